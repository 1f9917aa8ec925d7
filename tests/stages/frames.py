"""A `FrameReader` over frames in memory, and the `Work` that perception stages get."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from multithumbs.types import Frame, VideoInfo
from multithumbs.types.work import Runtime, ShotItem, Work


class FrameList:
    """Frames in memory."""

    def __init__(self, frames, rate: int = 25) -> None:
        self._frames = [np.asarray(f, dtype=np.uint8) for f in frames]
        self.info = VideoInfo(
            sha256="0" * 64,
            hw=self._frames[0].shape[:2],
            frame_rate=Fraction(rate),
            timestamps_s=np.arange(len(self._frames)) / rate,
        )

    def frames(self, start: int, end: int, step: int = 1) -> Iterator[Frame]:
        for index in range(start, end, step):
            yield Frame(index, self._frames[index])

    def frame(self, index: int) -> np.ndarray:
        return self._frames[index]


def work_on(video, config, checkpoints=None, shot: tuple[int, int] | None = None) -> Work:
    """Work on all of ``video``, or on the shot ``[start, end)``."""
    item = None
    if shot is not None:
        start, end = shot
        item = ShotItem(index=0, start=start, end=end, clean_start=start, clean_end=end)
    return Work(
        video=video,
        config=config,
        runtime=Runtime(threads=1),
        shot=item,
        cut=None,
        body_npz=Path("unused.npz"),
        checkpoints=checkpoints or {},
        progress=lambda done, total: None,
    )
