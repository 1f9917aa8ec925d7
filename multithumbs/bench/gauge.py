"""A clock and a memory gauge for solvers, on a CPU or a CUDA device."""

import ctypes
import gc
import resource
import threading
import time
from pathlib import Path
from typing import Final

import numpy as np
import torch

from multithumbs.errors import BackendUnavailable

_SAMPLE_S: Final = 0.01


def require_device(name: str) -> torch.device:
    """The device. Raises BackendUnavailable where it is not here, or is no device at all."""
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise BackendUnavailable(f"'{name}' is no device; expected cpu, cuda or cuda:0") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise BackendUnavailable(f"there is no CUDA device '{name}' here; use cpu")
    return device


def clock_s(device: torch.device) -> float:
    """The process's own seconds on a CPU; the wall's on a CUDA device, once it has nothing left
    to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return time.perf_counter()
    return time.process_time()


class Peak:
    """Megabytes added while a block runs: resident memory, sampled (the kernel's own peak also
    holds what was needed before), or what is allocated on a CUDA device."""

    def __init__(self, device: torch.device) -> None:
        self.megabytes = 0.0
        """NaN where the kernel does not tell."""
        self._device = device
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._start = 0.0

    def __enter__(self) -> "Peak":
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            self._start = torch.cuda.memory_allocated(self._device) / 2**20
        else:
            _return_freed_pages()
            self._start = _resident_mb()
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._device.type == "cuda":
            most = torch.cuda.max_memory_allocated(self._device) / 2**20
            self.megabytes = most - self._start
        else:
            self._done.set()
            self._thread.join()
            self._sample()

    def _watch(self) -> None:
        while not self._done.wait(_SAMPLE_S):
            self._sample()

    def _sample(self) -> None:
        # Unlike max, this keeps NaN.
        self.megabytes = float(np.maximum(self.megabytes, _resident_mb() - self._start))


def _return_freed_pages() -> None:
    """Or what a block takes of them again would not show."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):  # not glibc
        return


def _resident_mb() -> float:
    """NaN where the kernel does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return float("nan")
    return pages * resource.getpagesize() / 2**20
