"""A video of one grey picture, and the result that `tests/conftest.py` makes."""

from fractions import Fraction

import numpy as np
import pytest

from multithumbs.types import Frame, VideoInfo
from multithumbs.types.outputs import CutSummary, StageSummary, Summary

HW = (180, 320)
GREY = 120


class GreyVideo:
    """A `FrameReader` that remembers how many frames it gave out."""

    def __init__(self, num_frames, hw=HW):
        self.info = VideoInfo(
            sha256="0" * 64,
            hw=hw,
            frame_rate=Fraction(30000, 1001),
            timestamps_s=np.arange(num_frames) * 1001 / 30000,
        )
        self.served = []

    def frames(self, start, end, step=1):
        for index in range(start, end, step):
            yield Frame(index, self.frame(index))

    def frame(self, index):
        self.served.append(index)
        return np.full((*self.info.hw, 3), GREY, np.uint8)


@pytest.fixture
def video():
    return GreyVideo(24)


@pytest.fixture
def summary():
    return Summary(
        num_frames=24,
        num_shots=2,
        num_people=2,
        num_islands=1,
        cuts=(CutSummary(frame=12, status="aligned", matched=2, residual_px=3.25),),
        stages={
            "shots": StageSummary(seconds=0.5, peak_rss_mb=200, cached=True),
            "bodies": StageSummary(seconds=4.0, peak_rss_mb=900, cached=False),
        },
        seconds_total=12.0,
        peak_rss_mb=900,
        warnings=(),
    )
