"""What a stage sees of the video, and its division into shots."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64, Int64, UInt8


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInfo:
    """Facts of one video file, exact: frames were counted and timestamps read, not assumed."""

    sha256: str
    hw: tuple[int, int]
    """Height and width as displayed: rotation metadata is already applied."""
    frame_rate: Fraction
    """Average frames per second."""
    timestamps_s: Float64[np.ndarray, " F"]
    """Presentation time of each frame in seconds, from the container, the first frame at 0."""

    @property
    def num_frames(self) -> int:
        return len(self.timestamps_s)


class Frame(NamedTuple):
    """One decoded frame."""

    index: int
    """The source video's frame index."""
    rgb: UInt8[np.ndarray, "H W 3"]


@runtime_checkable
class FrameReader(Protocol):
    """Streams decoded frames; never holds more than a few of them."""

    @property
    def info(self) -> VideoInfo: ...

    def frames(self, start: int, end: int, step: int = 1) -> Iterator[Frame]:
        """Frames ``start, start + step, ...`` before ``end``, in order."""
        ...

    def frame(self, index: int) -> UInt8[np.ndarray, "H W 3"]:
        """One frame by index, exact (seek to the key frame before it, then decode)."""
        ...


class Transition(IntEnum):
    """How a shot begins."""

    START = 0
    CUT = 1
    FADE = 2
    DISSOLVE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Shots:
    """Half-open intervals ``[start, end)`` that tile the processed span of the video.

    ``clean_start``/``clean_end`` (half-open too) leave out frames that a fade or dissolve
    blends with the neighbouring shot: boundary frames are taken from the clean part.
    """

    start: Int64[np.ndarray, " S"]
    end: Int64[np.ndarray, " S"]
    clean_start: Int64[np.ndarray, " S"]
    clean_end: Int64[np.ndarray, " S"]
    transition: Int64[np.ndarray, " S"]
    """`Transition` into each shot."""

    def __len__(self) -> int:
        return len(self.start)

    def shot_of(self, frame: Int64[np.ndarray, " N"]) -> Int64[np.ndarray, " N"]:
        """Index of the shot that holds each frame (frames must lie in the processed span)."""
        return np.searchsorted(self.start, frame, side="right").astype(np.int64) - 1
