"""Finding and following people with scripted networks: what the follower itself does."""

import numpy as np
import pytest

from multithumbs.backends.detections.blazepose import chunked, detections_of, is_person
from multithumbs.backends.detections.follow import Follower
from multithumbs.backends.detections.tiles import merge_candidates, tile_windows
from multithumbs.config.detections import BlazePoseDetectionsConfig
from multithumbs.models.blazepose import (
    Candidates,
    DetectorNetwork,
    LandmarkNetwork,
    Landmarks,
)
from multithumbs.models.blazepose.landmarks import CENTRE, SCALE
from multithumbs.types import Frame

HW = (200, 400)
SIZE = 40.0
"""Hips to scale point: regions are 100 pixels wide."""
SHAPE = np.random.default_rng(0).uniform(-1, 1, (33, 2)) * (12, 35)


class Script:
    """Where each person's hips are in each frame; None while they cannot be seen."""

    def __init__(self, *paths) -> None:
        self.paths = paths

    @property
    def frames(self) -> list[Frame]:
        """Pictures whose first pixel tells the frame, since networks see pictures only."""
        count = len(self.paths[0]) if self.paths else 20
        return [Frame(i, np.full((*HW, 3), i, dtype=np.uint8)) for i in range(count)]

    def present(self, rgb) -> list[np.ndarray]:
        return [np.array(p[rgb[0, 0, 0]]) for p in self.paths if p[rgb[0, 0, 0]] is not None]


class Detector(DetectorNetwork):
    """Proposes everyone, but only in the frames where it may."""

    def __init__(self, script: Script, awake) -> None:
        self.script, self.awake = script, awake

    def __call__(self, rgb, window, *, min_score, others=()) -> Candidates:
        hips = self.script.present(rgb) if rgb[0, 0, 0] in self.awake else []
        hips = [h for h in hips if all(np.hypot(*(h - o.uv[CENTRE])) > 10 for o in others)]
        uv = np.array(hips, dtype=np.float64).reshape(-1, 2)
        return Candidates(
            score=np.full(len(uv), 0.9), hip_uv=uv + 2, scale_uv=uv + np.array([2, -SIZE])
        )


class Landmarker(LandmarkNetwork):
    """Sees whoever is nearest to the region's centre, unless they are painted over."""

    def __init__(self, script: Script, furniture=()) -> None:
        self.script, self.furniture = script, furniture

    def __call__(self, rgb, roi, *, mirrored=False, others=()) -> Landmarks:
        hips = [
            h
            for h in self.script.present(rgb)
            if all(np.hypot(*(h - o.uv[CENTRE])) > 10 for o in others)
        ]
        near = min(hips, key=lambda h: np.hypot(*(h - roi[:2])), default=None)
        seen = near is not None and np.hypot(*(near - roi[:2])) < 45
        hip = near if seen else np.array(roi[:2])
        uv = np.zeros((35, 2))
        uv[:33] = hip + SHAPE
        uv[CENTRE], uv[SCALE] = hip, hip - (0, SIZE)
        if mirrored and any(np.hypot(*(hip - f)) < 10 for f in self.furniture):
            uv[:33] += (0, 15)  # the network does not agree with itself
        segmentation = np.full((256, 256), -9.0, dtype=np.float32)
        segmentation[30:220, 95:160] = 9.0
        return Landmarks(
            roi=np.array([*hip, 2.5 * SIZE, 0.0]),
            uv=uv,
            visibility=np.ones(35),
            presence=np.ones(35),
            xyz=np.zeros((33, 3)),
            flag=0.99 if seen else 0.05,
            segmentation=segmentation,
        )


def follow(script: Script, awake=range(1000), furniture=(), **settings):
    config = BlazePoseDetectionsConfig(key_every=6, **settings)
    windows = tile_windows(HW, config.tile_fractions, config.tile_overlap)
    follower = Follower(Detector(script, awake), Landmarker(script, furniture), windows, config)
    frames = script.frames
    done = list(follower.follow(chunked(frames, config.key_every)))
    assert done[-1] == len(frames)
    follower.rewind(lambda start, end: frames[start:end])
    return [r for r in follower.runs if is_person(r, len(frames), config)]


def test_people_are_found_once_and_in_every_frame():
    script = Script([(80 + 3 * i, 100) for i in range(20)], [(300, 110)] * 20)
    runs = follow(script)
    assert len(runs) == 2
    found = detections_of(runs)
    assert (np.diff(found.frame) >= 0).all()
    np.testing.assert_array_equal(np.bincount(found.frame), [2] * 20)
    first = found.roi[::2]
    np.testing.assert_allclose(first[:, 0], 80 + 3 * np.arange(20), atol=1e-6)
    np.testing.assert_allclose(found.roi[:, 2], 2.5 * SIZE, atol=1e-6)
    assert ((found.score > 0.9) & (found.score <= 1)).all()
    assert (found.box_xyxy[:, 2:] > found.box_xyxy[:, :2]).all()


def test_somebody_whom_the_detector_sees_once_is_followed_both_ways():
    runs = follow(Script([(80 + 3 * i, 100) for i in range(20)]), awake=[12])
    assert [sorted(r.sightings) for r in runs] == [list(range(20))]


def test_somebody_found_late_is_followed_back_only_to_where_they_came_in():
    runs = follow(Script([None] * 3 + [(80 + 3 * i, 100) for i in range(17)]), awake=[18])
    assert [sorted(r.sightings) for r in runs] == [list(range(3, 20))]


def test_somebody_found_late_does_not_take_over_who_was_there():
    """Going back, the second person's region reaches the first one, who stays one row."""
    first = [(100, 100)] * 20
    second = [None] * 8 + [(130 + 4 * i, 100) for i in range(12)]
    found = detections_of(follow(Script(first, second), awake=[0, 18]))
    np.testing.assert_array_equal(np.bincount(found.frame), [1] * 8 + [2] * 12)


def test_a_person_who_vanishes_for_a_moment_is_one_run():
    path = [(80, 100)] * 20
    path[8:10] = [None, None]
    runs = follow(Script(path), awake=[0])
    assert [sorted(r.sightings) for r in runs] == [[*range(8), *range(10, 20)]]


def test_a_person_who_leaves_is_not_seen_afterwards():
    runs = follow(Script([(80, 100)] * 9 + [None] * 11))
    assert [sorted(r.sightings) for r in runs] == [list(range(9))]


def test_a_region_cannot_slip_onto_somebody_else():
    """Who is near after the first person vanished is 40 px away: a new run, not the old one."""
    runs = follow(Script([(80, 100)] * 10 + [None] * 10, [None] * 10 + [(120, 100)] * 10))
    assert sorted(len(r.sightings) for r in runs) == [10, 10]


def test_two_people_who_meet_stay_two_rows_at_most_and_come_apart():
    left = [(100 + 6 * i, 100) for i in range(24)]
    right = [(238 - 6 * i, 100) for i in range(24)]
    found = detections_of(follow(Script(left, right)))
    count = np.bincount(found.frame, minlength=24)
    assert count.max() == 2
    assert (count[:9] == 2).all()
    assert (count[-9:] == 2).all()
    assert (count >= 1).all()


def test_furniture_is_not_a_person():
    """A region in which the network disagrees with its own mirror image."""
    assert follow(Script([(200, 100)] * 20), furniture=[(200, 100)]) == []


def test_short_sightings_and_small_people_are_left_out():
    brief = Script([None] * 11 + [(80, 100)] * 3 + [None] * 6)
    assert follow(brief) == []
    assert len(follow(brief, min_run_frames=3)) == 1
    assert follow(Script([(80, 100)] * 20), min_height_px=150) == []


def test_a_single_frame_is_enough_in_a_shot_of_one():
    assert len(follow(Script([(80, 100)]))) == 1


def test_nobody_gives_empty_arrays():
    found = detections_of(follow(Script()))
    assert len(found) == 0
    assert found.roi.shape == (0, 4)
    assert found.box_xyxy.shape == (0, 4)
    assert found.frame.dtype == np.int64


def test_silhouettes_are_not_kept():
    runs = follow(Script([(80, 100)] * 20))
    assert all(s.look is None for r in runs for s in r.sightings.values())


@pytest.mark.parametrize("hw", [(720, 1280), (1280, 720), (90, 90), (31, 1000)])
def test_tiles_cover_every_pixel_at_every_scale(hw):
    for fraction in (1.0, 0.6, 0.36):
        tiles = tile_windows(hw, (fraction,), 0.5)
        half = tiles[:, 2] / 2
        for axis, length in ((0, hw[1]), (1, hw[0])):
            low, high = tiles[:, axis] - half, tiles[:, axis] + half
            assert low.min() <= 1e-6
            assert high.max() >= length - 1e-6
            starts = np.unique(low.round(6))
            assert (np.diff(starts) <= 0.5 * tiles[0, 2] + 1e-6).all()


def test_proposals_of_one_person_are_joined_and_others_kept():
    hip = np.array([[100.0, 100], [103, 100], [160, 100], [101, 100]])
    scale = np.array([[100.0, 60], [103, 60], [160, 60], [101, 130]])
    found = merge_candidates(
        Candidates(score=np.array([0.6, 0.9, 0.8, 0.5]), hip_uv=hip, scale_uv=scale), 0.1
    )
    np.testing.assert_allclose(found.score, [0.9, 0.8, 0.5])
    np.testing.assert_allclose(found.hip_uv[0], [101.8, 100])


def test_chunks_end_with_key_frames():
    frames = Script([(0, 0)] * 20).frames
    assert [[f.index for f in c] for c in chunked(frames, 8)] == [
        [0],
        list(range(1, 9)),
        list(range(9, 17)),
        [17, 18, 19],
    ]
