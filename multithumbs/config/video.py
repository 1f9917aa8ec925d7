"""Which part of the video to process."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from multithumbs.config.base import StageConfig

_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d+(?:\.\d*)?)")


def _seconds(value: Any) -> Any:
    """Read ``[HH:]MM:SS[.s]``; anything else is left to the field's own checks."""
    match = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return value
    hours, minutes, seconds = match.groups()
    return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds)


Time = Annotated[float, Field(ge=0, le=1e6), BeforeValidator(_seconds)]


class VideoConfig(StageConfig):
    """The processed span: frames shown at or after `start` and before `end`."""

    start: Time = 0.0
    """Seconds, or [HH:]MM:SS, from the first frame."""
    end: Time | None = None
    """Seconds, or [HH:]MM:SS, from the first frame; null for the end of the video."""

    @model_validator(mode="after")
    def _in_order(self) -> "VideoConfig":
        if self.end is not None and self.end <= self.start:
            raise ValueError(f"video.end={self.end:g} must lie after video.start={self.start:g}")
        return self
