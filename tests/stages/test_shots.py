"""Shots of synthetic frame streams whose cuts are known."""

import cv2
import numpy as np
import pytest

from multithumbs.config.shots import ShotsConfig
from multithumbs.stages import shots
from multithumbs.types import Transition

from .frames import FrameList, work_on

HW = (90, 160)


def room(seed: int, hw=(180, 320)) -> np.ndarray:
    """A wall with pictures: smooth noise and rectangles in a narrow range of colours."""
    rng = np.random.default_rng(seed)
    noise = cv2.resize(rng.uniform(60, 190, (12, 20, 3)).astype(np.float32), hw[::-1])
    for _ in range(14):
        v, u = rng.integers(0, hw[0] - 40), rng.integers(0, hw[1] - 40)
        height, width = rng.integers(10, 40, 2)
        noise[v : v + height, u : u + width] = rng.uniform(40, 210, 3)
    return noise


def view(scene: np.ndarray, centre_uv, zoom: float = 1.0) -> np.ndarray:
    """What a camera of size `HW` sees around a point of the scene."""
    affine = np.array([[1 / zoom, 0, 0], [0, 1 / zoom, 0]])
    affine[:, 2] = np.array(centre_uv) - affine[:, :2] @ (np.array(HW[::-1]) / 2)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(scene, affine, HW[::-1], flags=flags, borderMode=cv2.BORDER_REFLECT)


def clip(pictures, seed: int = 0) -> list[np.ndarray]:
    """Frames with camera noise."""
    rng = np.random.default_rng(seed)
    return [np.clip(p + rng.normal(0, 2, p.shape), 0, 255).astype(np.uint8) for p in pictures]


A = [view(room(0), (150 + 0.3 * i, 90)) for i in range(60)]
"""A slow pan."""
B = [view(room(0), (100, 70 + 0.2 * i), zoom=1.5) for i in range(60)]
"""The same room from a closer camera."""
C = [view(room(7), (150, 90)) for _ in range(60)]
"""Another room."""


def shots_of(pictures, rate: int = 25, **config):
    return shots.run(work_on(FrameList(clip(pictures), rate), ShotsConfig(**config)))


def check_tiling(found, count: int) -> None:
    assert found.start[0] == 0
    assert found.end[-1] == count
    np.testing.assert_array_equal(found.end[:-1], found.start[1:])
    assert (found.start <= found.clean_start).all()
    assert (found.clean_start < found.clean_end).all()
    assert (found.clean_end <= found.end).all()
    assert found.transition[0] == Transition.START


@pytest.mark.parametrize("other", [B, C], ids=["same room", "other room"])
def test_a_hard_cut_is_found_exactly(other):
    found = shots_of(A[:40] + other[:35])
    check_tiling(found, 75)
    assert found.start.tolist() == [0, 40]
    assert found.transition.tolist() == [Transition.START, Transition.CUT]
    np.testing.assert_array_equal(found.clean_start, found.start)
    np.testing.assert_array_equal(found.clean_end, found.end)
    np.testing.assert_array_equal(found.shot_of(np.array([0, 39, 40, 74])), [0, 0, 1, 1])


def test_a_virtual_camera_cut_is_found():
    """The same moving picture, from frame 30 on rotated and zoomed: what the issue cuts."""
    turn = cv2.getRotationMatrix2D((80, 45), 4, 1.3)
    other = [cv2.warpAffine(p, turn, HW[::-1], borderMode=cv2.BORDER_REFLECT) for p in A]
    assert shots_of(A[:30] + other[30:]).start.tolist() == [0, 30]


def test_two_stills_held_for_a_second_are_two_shots():
    found = shots_of([A[0]] * 25 + [B[0]] * 25)
    assert found.start.tolist() == [0, 25]
    assert shots_of([A[0], B[0]], rate=1).start.tolist() == [0, 1]


def test_a_fade_through_black_is_one_transition():
    out = [A[40 + i] * (1 - (i + 1) / 9) for i in range(8)]
    black = [A[0] * 0.0] * 4
    back = [C[i] * ((i + 1) / 9) for i in range(8)]
    found = shots_of(A[:40] + out + black + back + C[:40])
    check_tiling(found, 100)
    assert found.transition.tolist() == [Transition.START, Transition.FADE]
    assert 46 <= found.start[1] <= 54
    assert 37 <= found.clean_end[0] <= 41
    assert 59 <= found.clean_start[1] <= 63


@pytest.mark.parametrize("steps", [8, 20])
@pytest.mark.parametrize("other", [B, C], ids=["same room", "other room"])
def test_a_dissolve_is_one_transition_without_its_blended_frames(other, steps):
    weight = np.arange(1, steps) / steps
    blend = [a * (1 - w) + b * w for a, b, w in zip(A[30:], other, weight, strict=False)]
    found = shots_of(A[:30] + blend + other[len(blend) :])
    check_tiling(found, 30 + len(blend) + 60 - len(blend))
    assert found.transition.tolist() == [Transition.START, Transition.DISSOLVE]
    assert 30 <= found.start[1] <= 30 + steps
    assert found.clean_end[0] <= 32  # at most a tenth of the other picture
    assert found.clean_start[1] >= 30 + steps - 3
    assert found.clean_end[0] > 24
    assert found.clean_start[1] < 30 + steps + 6


@pytest.mark.parametrize("length", [1, 2, 4])
@pytest.mark.parametrize("kind", ["brighter", "white"])
def test_a_flash_is_not_a_cut(kind, length):
    lit = [p + 120 if kind == "brighter" else p * 0 + 255.0 for p in A[30 : 30 + length]]
    found = shots_of(A[:30] + lit + A[30 + length :])
    check_tiling(found, 60)
    assert found.start.tolist() == [0]


@pytest.mark.parametrize("speed", [0.5, 3, 10], ids=["slow", "fast", "whip"])
def test_a_pan_is_not_a_cut(speed):
    wide = np.concatenate([room(3), room(4), room(5)], axis=1)
    wide = cv2.GaussianBlur(wide, (0, 0), 2)
    still = [view(wide, (90, 90))] * 15
    pan = [view(wide, (90 + speed * i, 90)) for i in range(40)]
    assert len(shots_of(still + pan)) == 1


def test_light_that_slowly_comes_on_is_not_a_dissolve():
    assert len(shots_of([p * (0.4 + 0.6 * min(i / 20, 1)) for i, p in enumerate(A)])) == 1


def test_one_shot_and_one_frame():
    check_tiling(shots_of(A), 60)
    assert len(shots_of(A)) == 1
    single = shots_of(A[:1])
    check_tiling(single, 1)
    assert len(single) == 1


def test_blank_frames_alone_are_one_shot():
    check_tiling(shots_of([A[0] * 0.0] * 10), 10)


def test_a_shot_that_is_too_short_joins_a_neighbour():
    """Four frames of another room between two views: one cut, and no boundary frame in it."""
    found = shots_of(A[:30] + C[:4] + B[:30])
    check_tiling(found, 64)
    assert len(found) == 2
    assert found.start[1] in (30, 34)
    assert found.clean_end[0] == 30
    assert found.clean_start[1] == 34


def test_grey_and_tiny_pictures():
    grey = [np.repeat(p.mean(-1, keepdims=True), 3, -1) for p in A[:30] + C[:30]]
    assert shots_of(grey).start.tolist() == [0, 30]
    tiny = [cv2.resize(p, (9, 7)) for p in A[:30] + C[:30]]
    assert shots_of(tiny).start.tolist() == [0, 30]
