"""Who faces the camera: what one reading says, what time makes of it, what is reflected."""

from dataclasses import replace

import numpy as np
import pytest

from multithumbs.backends.keypoints.facing import decide, one_sided, reflect, signed_width
from multithumbs.config.keypoints import FacingConfig
from multithumbs.models.blazepose import Landmarks
from multithumbs.models.blazepose.landmarks import MIRROR

CONFIG = FacingConfig()
FPS = 30


def person(width: float, *, angle: float = 0.0, at=(200.0, 200.0)) -> Landmarks:
    """Somebody upright (turned by ``angle`` in the image), as wide as ``width`` torso lengths."""
    rng = np.random.default_rng(3)
    uv = rng.uniform(-60, 60, (35, 2))
    uv[[11, 12, 23, 24]] = [(50, -50), (-50, -50), (50, 50), (-50, 50)]
    uv[:, 0] *= width
    cos, sin = np.cos(angle), np.sin(angle)
    return Landmarks(
        roi=np.array([*at, 400.0, angle]),
        uv=uv @ np.array([[cos, sin], [-sin, cos]]) + at,
        visibility=np.full(35, 0.95),
        presence=np.ones(35),
        xyz=rng.normal(size=(33, 3)),
        flag=1.0,
        segmentation=np.zeros((256, 256), dtype=np.float32),
    )


def decided(widths, face=np.nan) -> list[bool]:
    """For one person at `FPS`; a row is one width, or one per reading."""
    width = np.array([np.atleast_1d(w) for w in widths], dtype=np.float64)
    logit = np.broadcast_to(np.asarray(face, dtype=np.float64), len(width))
    time_s = np.arange(len(width)) / FPS
    return decide(width, np.ones_like(width), logit, time_s, CONFIG).tolist()


@pytest.mark.parametrize("angle", [0.0, 0.7, np.pi, -2.0])
@pytest.mark.parametrize("width", [1.0, 0.4, -0.4, -1.0])
def test_the_width_is_signed_by_the_side_that_is_seen_however_one_lies(width, angle):
    # Shoulders and hips are 100 times the width wide, the torso is 100 long: twice the mean.
    assert signed_width(person(width, angle=angle)) == pytest.approx(2 * width)


def test_a_torso_seen_from_its_end_says_little():
    seen = person(1.0)
    uv = seen.uv.copy()
    uv[[11, 12], 1] = 249.0
    assert abs(signed_width(replace(seen, uv=uv))) < 200 / (0.12 * 400) + 1e-9


def test_few_readings_of_a_back_count_more_than_many_of_a_front():
    assert decided([0.9] * 20 + [-0.9] * 8) == [False] * 28
    assert decided([(0.9, 0.9)] * 12 + [(0.9, -0.9)] * 6) == [False] * 18
    assert decided([0.9] * 40 + [-0.9] * 2 + [0.9] * 40) == [True] * 82
    assert decided([0.9] * 30) == [True] * 30
    assert decided([-0.9] * 30) == [False] * 30


def test_who_is_seen_wide_and_shows_no_face_turns_the_back():
    both_front = [(1.0, 1.0)] * 20
    assert decided(both_front, face=-9.0) == [False] * 20
    assert decided(both_front, face=9.0) == [True] * 20
    # Half of the frames without a face (a hand before it) are no reason.
    assert decided(both_front, face=[-9.0, 9.0] * 10) == [True] * 20


def test_a_missing_face_says_nothing_of_a_narrow_body():
    assert decided([(0.5, 0.5)] * 20, face=-9.0) == [True] * 20


def test_a_face_does_not_outweigh_readings_of_a_back():
    """Somebody else's face may be in the region, over a shoulder."""
    assert decided([(-1.0, -1.0)] * 20, face=9.0) == [False] * 20


def test_two_readings_that_see_a_front_are_reflected_where_there_is_no_face():
    front = person(0.5)
    frame = np.arange(10)
    readings = [[front, front]] * 10
    kept, doubtful = one_sided(readings, frame, frame / FPS, CONFIG, np.full(10, -9.0))
    assert all(signed_width(r) < 0 for row in kept for r in row)
    assert doubtful.all()
    kept, doubtful = one_sided(readings, frame, frame / FPS, CONFIG)
    assert all(row[0] is front for row in kept)
    assert not doubtful.any()


def test_somebody_who_turns_round_has_turned_round():
    turn = np.cos(np.linspace(0, np.pi, 20)).tolist()
    found = decided([1.0] * 20 + turn + [-1.0] * 20)
    assert found[:25] == [True] * 25
    assert found[-25:] == [False] * 25
    assert decided([-1.0] * 20 + turn[::-1] + [1.0] * 20)[-25:] == [True] * 25


def test_the_time_between_frames_is_time_to_turn():
    width = np.array([[1.0]] * 10 + [[-1.0]] * 10)
    time_s = np.arange(20) / FPS
    unknown = np.full(20, np.nan)
    together = decide(width, np.ones_like(width), unknown, time_s, CONFIG)
    assert together.tolist() == [False] * 20
    time_s[10:] += 0.5
    apart = decide(width, np.ones_like(width), unknown, time_s, CONFIG)
    assert apart.tolist() == [True] * 10 + [False] * 10


def test_a_reflection_exchanges_the_sides_and_the_depths():
    seen = person(0.8)
    other = reflect(seen)
    assert signed_width(other) == pytest.approx(-signed_width(seen))
    np.testing.assert_array_equal(other.uv, seen.uv[MIRROR])
    np.testing.assert_array_equal(other.xyz[11], seen.xyz[12] * (1, 1, -1))
    back = reflect(other)
    np.testing.assert_array_equal(back.uv, seen.uv)
    np.testing.assert_array_equal(back.xyz, seen.xyz)


def test_the_reading_of_the_wrong_side_goes_and_two_of_them_are_reflected():
    front, back, far = person(0.5), person(-0.5), person(0.5, at=(900.0, 300.0))
    # Two people in every frame: one who stands in front of the camera, one whose back is seen.
    sights = [[front, front]] * 4 + [[front, back]] * 3 + [[back, back]] * 8
    readings = [row for seen in sights for row in (seen, [far, far])]
    frame = np.repeat(np.arange(len(sights)), 2)
    kept, doubtful = one_sided(readings, frame, frame / FPS, CONFIG)
    assert doubtful.tolist() == [True, False] * 4 + [False] * 22
    assert [len(row) for row in kept[::2]] == [2] * 4 + [1] * 3 + [2] * 8
    assert all(signed_width(r) < 0 for row in kept[::2] for r in row)
    assert all(r is far for row in kept[1::2] for r in row), "nobody else is touched"


def test_nearly_from_the_side_nothing_is_decided():
    slim = [person(0.09)] * 10 + [person(-0.09)] * 3 + [person(0.09)] * 10
    frame = np.arange(len(slim))
    kept, doubtful = one_sided([[r] for r in slim], frame, frame / FPS, CONFIG)
    assert not doubtful.any()
    assert all(row[0] is r for row, r in zip(kept, slim, strict=True))


def test_a_torso_that_collapses_for_a_frame_is_left_out_or_doubted():
    wide, torn = person(0.5), person(0.05)
    sights = [[wide, wide]] * 6 + [[wide, torn], [torn, torn]] + [[wide, wide]] * 6
    frame = np.arange(len(sights))
    kept, doubtful = one_sided(sights, frame, frame / FPS, CONFIG)
    assert doubtful.tolist() == [False] * 7 + [True] + [False] * 6
    assert [len(row) for row in kept] == [2] * 6 + [1, 2] + [2] * 6
    assert kept[6][0] is wide


def test_a_turn_is_no_collapse():
    widths = [1.0] * 12 + np.cos(np.linspace(0, np.pi, 14)).tolist() + [-1.0] * 12
    sights = [[person(w / 2)] for w in widths]
    frame = np.arange(len(sights))
    kept, doubtful = one_sided(sights, frame, frame / FPS, CONFIG)
    assert not doubtful.any()
    assert all(row[0] is seen[0] for row, seen in zip(kept, sights, strict=True))


def test_nobody_is_no_trouble():
    kept, doubtful = one_sided([], np.zeros(0, np.int64), np.zeros(0), CONFIG)
    assert kept == []
    assert len(doubtful) == 0


@pytest.mark.parametrize(
    ("small", "large"), [("side_width", "full_width"), ("narrow_width", "wide_width")]
)
def test_the_widths_that_decide_are_ordered(small, large):
    with pytest.raises(ValueError, match=f"{large} 0.5 must exceed {small} 0.6"):
        FacingConfig(**{small: 0.6, large: 0.5})
