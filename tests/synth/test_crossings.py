"""Crossing scenes: what a tracker reads fits the truth that it is scored by."""

from dataclasses import replace

import numpy as np
import pytest

from multithumbs.synth.crossing_clip import make_crossing
from multithumbs.synth.crossings import CROSSINGS, crossing_scene


def short(kind: str, seed: int, frames: int):
    scene = crossing_scene(kind, seed)
    return replace(scene, shots=(replace(scene.shots[0], end=frames),))


@pytest.mark.parametrize("kind", CROSSINGS)
def test_every_kind_has_a_cast_that_differs_by_seed(kind: str) -> None:
    first, again, other = (crossing_scene(kind, seed) for seed in (0, 0, 1))
    assert len(first.actors) >= 2
    assert first == again
    assert first.actors != other.actors
    assert first.num_frames == 110


def test_rows_belong_to_their_person(body) -> None:
    clip = make_crossing(body, short("pass", 3, 5), seed=3)
    count = len(clip.person)
    assert count == len(clip.detections) == len(clip.masks) == len(clip.bodies) == 10
    height, width = clip.masks.hw
    for row in range(count):
        mask, box = clip.masks.dense(row), clip.detections.box_xyxy[row]
        inside = mask[int(box[1]) : int(box[3]), int(box[0]) : int(box[2])]
        assert inside.sum() == mask.sum() > 0.002 * height * width
        place = clip.bodies.transl[row]
        uv = (clip.bodies.K[row] @ place)[:2] / place[2]
        centre = (box[:2] + box[2:]) / 2
        assert np.abs(uv - centre).max() < 0.5 * (box[3] - box[1])
    for frame in range(5):
        both = [clip.masks.dense(int(r)) for r in np.flatnonzero(clip.detections.frame == frame)]
        assert (both[0] & both[1]).mean() < 0.002
    again = make_crossing(body, short("pass", 3, 5), seed=3)
    np.testing.assert_array_equal(again.video.frame(2), clip.video.frame(2))
    np.testing.assert_array_equal(again.bodies.pose, clip.bodies.pose)
    np.testing.assert_array_equal(again.masks.counts, clip.masks.counts)
    assert not np.array_equal(
        make_crossing(body, short("pass", 4, 5), seed=4).video.frame(2), clip.video.frame(2)
    )
