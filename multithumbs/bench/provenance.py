"""Where a table comes from: version, commit, machine, time."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy
import torch

_ROOT = Path(__file__).resolve().parents[2]


def provenance(suite: str, detail: str = "") -> str:
    """One line in Markdown; ``detail`` says what was run."""
    cpu = _cpu()
    cuda = torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device"
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    what = f" · {detail}" if detail else ""
    return (
        f"Suite `{suite}` · multithumbs {version('multithumbs')} at {commit()}{what} · {cpu}, "
        f"{os.cpu_count()} cores, {cuda} · Python {platform.python_version()}, NumPy "
        f"{numpy.__version__}, torch {torch.__version__} · {now}"
    )


def commit() -> str:
    """The checkout's commit, marked where files differ from it; ``no checkout`` without one."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=10"],  # noqa: S607
            cwd=_ROOT, capture_output=True, text=True, check=True, timeout=20,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return "no checkout"
    return found.stdout.strip()


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
