"""Where and how fast, never what: nothing here is part of a key."""

from pathlib import Path

from pydantic import Field

from multithumbs.config.base import StageConfig


class RuntimeConfig(StageConfig):
    """The machine's side of a run."""

    device: str = Field(default="cpu", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    """``cpu``, ``cuda``, ``cuda:<index>``, or ``auto`` for CUDA where there is a device."""
    threads: int = Field(default=0, ge=0, le=1024)
    """CPU threads; 0 for one per available core."""
    checkpoints: Path | None = None
    """Folder of the weight files; null for $MULTITHUMBS_CHECKPOINTS or the default folder."""
