"""What this process may use of the machine, and what it has used."""

import os
import resource
import sys
from pathlib import Path
from typing import Final

_CLEAR: Final = Path("/proc/self/clear_refs")
_STATUS: Final = Path("/proc/self/status")
_RESET_PEAK: Final = "5"


def reset_peak() -> None:
    """Start a new measurement; where this is impossible the peak is the process's so far."""
    try:
        _CLEAR.write_text(_RESET_PEAK)
    except OSError:
        return


def peak_rss_mb() -> float:
    """Peak resident memory since `reset_peak`, in MiB."""
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / (1 << 20)


def available_cores() -> int:
    """CPU cores that this process may run on; containers may grant fewer than there are."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
