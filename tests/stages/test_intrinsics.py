"""Stage `intrinsics`: what was assumed or given is what comes out; what a room shows is found."""

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from multithumbs.config.intrinsics import (
    AssumedIntrinsicsConfig,
    GivenIntrinsicsConfig,
    PeopleIntrinsicsConfig,
    RoomIntrinsicsConfig,
)
from multithumbs.stages import intrinsics
from multithumbs.types import Detections, Frame, Intrinsics, Keypoints, VideoInfo
from multithumbs.types.work import Runtime, ShotItem, Work

from .drawn_room import draw_room

NOBODY = Keypoints(
    uv=np.zeros((0, 23, 2)),
    confidence=np.zeros((0, 23)),
    xyz=np.zeros((0, 23, 3)),
    xyz_confidence=np.zeros((0, 23)),
)


class Unread:
    """A video whose pixels nobody may ask for."""

    def __init__(self, info: VideoInfo) -> None:
        self.info = info

    def frames(self, start: int, end: int, step: int = 1) -> Iterator[Frame]:
        raise AssertionError("this back-end needs no pixels")

    def frame(self, index: int) -> np.ndarray:
        raise AssertionError("this back-end needs no pixels")


def run(config: object, hw: tuple[int, int] = (720, 1280)) -> Intrinsics:
    info = VideoInfo(sha256="", hw=hw, frame_rate=Fraction(25), timestamps_s=np.arange(3) / 25)
    work = Work(
        video=Unread(info),
        config=config,
        runtime=Runtime(),
        shot=None,
        cut=None,
        body_npz=Path(),
        checkpoints={},
        progress=lambda done, total: None,
    )
    return intrinsics.run(work, keypoints=NOBODY)  # type: ignore[arg-type]


@pytest.mark.parametrize("hw", [(720, 1280), (1280, 720), (241, 427)])
def test_assumed_focal_is_a_share_of_the_diagonal(hw: tuple[int, int]) -> None:
    found = run(AssumedIntrinsicsConfig(focal_over_diagonal=1.2), hw)
    assert found.source == "assumed"
    assert math.isclose(found.K[0, 0], 1.2 * math.hypot(*hw))
    assert found.K[0, 0] == found.K[1, 1]
    np.testing.assert_array_equal(found.K[:2, 2], [hw[1] / 2, hw[0] / 2])
    assert found.log_focal_std > 0


def test_given_focal_or_field_of_view() -> None:
    by_focal = run(GivenIntrinsicsConfig(focal_px=640))
    by_angle = run(GivenIntrinsicsConfig(horizontal_fov_deg=90))
    assert by_focal.source == by_angle.source == "given"
    assert by_focal.log_focal_std == 0
    np.testing.assert_allclose(by_focal.K, by_angle.K)


def test_nobody_in_the_shot_leaves_the_prior() -> None:
    config = PeopleIntrinsicsConfig()
    found = run(config)
    assert found.source == "assumed"
    assert found.log_focal_std == config.log_focal_std


class Drawn(Unread):
    """A video whose frames are given."""

    def __init__(self, frames: list[np.ndarray]) -> None:
        hw = (frames[0].shape[0], frames[0].shape[1])
        times = np.arange(len(frames)) / 25
        super().__init__(VideoInfo(sha256="", hw=hw, frame_rate=Fraction(25), timestamps_s=times))
        self._frames = frames

    def frame(self, index: int) -> np.ndarray:
        return self._frames[index]


def run_room(frames: list[np.ndarray], boxes: np.ndarray | None = None) -> Intrinsics:
    shot = ShotItem(index=0, start=0, end=len(frames), clean_start=0, clean_end=len(frames))
    boxes = np.zeros((0, 4)) if boxes is None else boxes
    seen = Detections(
        frame=np.zeros(len(boxes), dtype=np.int64), box_xyxy=boxes, score=np.ones(len(boxes)),
        roi=np.zeros((len(boxes), 4)),
    )  # fmt: skip
    work = Work(
        video=Drawn(frames), config=RoomIntrinsicsConfig(), runtime=Runtime(), shot=shot,
        cut=None, body_npz=Path(), checkpoints={}, progress=lambda done, total: None,
    )  # fmt: skip
    return intrinsics.run(work, detections=seen)  # type: ignore[arg-type]


@pytest.mark.parametrize("factor", [0.7, 1.25])
def test_a_room_shows_its_focal_length(factor: float) -> None:
    focal = factor * math.hypot(720, 1280)
    found = run_room([draw_room(focal)])
    assert found.source == "estimated"
    assert math.isclose(found.K[0, 0], focal, rel_tol=0.02)
    assert 0 < found.log_focal_std < 0.05


def test_of_a_zooming_shot_the_first_frame_counts() -> None:
    focal = math.hypot(720, 1280)
    found = run_room([draw_room(focal * factor) for factor in (1.0, 1.15, 1.3, 1.45, 1.6)])
    assert math.isclose(found.K[0, 0], focal, rel_tol=0.02)


def test_where_no_room_is_seen_the_lens_is_assumed() -> None:
    plain = np.full((720, 1280, 3), 128, np.uint8)
    hidden = run_room([draw_room(900.0)], np.array([[0.0, 0.0, 1280.0, 720.0]]))
    for found in (run_room([plain]), hidden):
        assert found.source == "assumed"
        assert math.isclose(found.K[0, 0], math.hypot(720, 1280))


@pytest.mark.parametrize("fields", [{}, {"focal_px": 500, "horizontal_fov_deg": 60}])
def test_exactly_one_must_be_given(fields: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="exactly one"):
        GivenIntrinsicsConfig(**fields)
