"""Masks are given to people by the overlap with their meshes (paper section 3.1)."""

from dataclasses import replace

import numpy as np
import pytest

from multithumbs.backends.masks import sam
from multithumbs.backends.masks.assign import Silhouettes, assign_masks, coarse, overlaps
from multithumbs.body import EMBEDDED_BODY
from multithumbs.config.masks import SamMasksConfig
from multithumbs.errors import ConfigError
from multithumbs.stages import masks
from multithumbs.types import Bodies, Detections, Masks

from .frames import FrameList, work_on

HW = (60, 80)


def disc(u: float, v: float, radius: float) -> np.ndarray:
    y, x = np.mgrid[: HW[0], : HW[1]] + 0.5
    return (x - u) ** 2 + (y - v) ** 2 < radius**2


def test_masks_go_to_the_people_whose_silhouettes_they_overlap_most():
    silhouettes = np.stack([disc(20, 30, 12), disc(45, 30, 12), disc(70, 10, 6)])
    found = np.stack([disc(46, 31, 11), disc(5, 5, 4), disc(22, 30, 12)])
    assert assign_masks(found, silhouettes, 0.3).tolist() == [2, 0, -1]
    assert assign_masks(found, silhouettes, 0.95).tolist() == [-1, -1, -1]
    assert assign_masks(found[:0], silhouettes, 0.3).tolist() == [-1, -1, -1]
    assert assign_masks(found, silhouettes[:0], 0.3).tolist() == []


def test_the_sum_of_the_overlaps_decides_and_not_the_first_come():
    """Person 0 overlaps mask 0 a little more than mask 1, but mask 0 is all that person 1 has."""
    silhouettes = np.stack([disc(30, 30, 14), disc(38, 30, 14)])
    found = np.stack([disc(35, 30, 14), disc(24, 30, 14)])
    overlap = overlaps(silhouettes, found)
    assert overlap[0, 0] > overlap[0, 1] and overlap[1, 0] > overlap[0, 0]
    assert assign_masks(found, silhouettes, 0.1).tolist() == [1, 0]


def test_an_empty_mask_is_nobodys():
    assert assign_masks(np.zeros((1, *HW), bool), np.zeros((1, *HW), bool), 0.0).tolist() == [-1]


K = np.array([[70.0, 0, 40], [0, 70.0, 30], [0, 0, 1]])


def bodies_at(places: np.ndarray, confidence: np.ndarray) -> Bodies:
    count = len(places)
    pose = np.zeros((count, 24, 3))
    pose[:, 0, 0] = np.pi  # upright in a camera whose y axis points down
    return Bodies(
        pose=pose,
        betas=np.zeros((count, 10)),
        transl=places,
        joints_cam=np.zeros((count, 24, 3)),
        K=np.tile(K, (count, 1, 1)),
        confidence=confidence,
        residual_px=np.zeros(count),
    )


def test_a_body_in_front_hides_the_one_behind(body):
    places = np.array([[0.0, 0.0, 6.0], [0.1, 0.0, 3.0], [1.2, 0.0, 5.0]])
    bodies = bodies_at(places, np.ones(3))
    renderer = Silhouettes(body, bodies, HW)
    behind, front, beside = renderer.visible(np.arange(3))
    alone = renderer.visible(np.array([0]))[0]
    assert front.any() and beside.any()
    assert not (behind & front).any()
    assert alone.sum() > behind.sum()
    assert coarse(np.ones((1, *HW), bool)).shape == (1, *front.shape)


def test_swapped_masks_find_their_people(body, monkeypatch):
    """Each box asked for the other person's mask; their meshes tell."""
    frame = np.array([1, 1, 2, 2, 3, 3, 4])
    count = len(frame)
    detections = Detections(
        frame=frame, box_xyxy=np.zeros((count, 4)), score=np.ones(count), roi=np.zeros((count, 4))
    )
    place = np.array([[-0.7, 0.0, 4.0], [0.9, 0.0, 4.0]])[np.arange(count) % 2]
    confidence = np.ones(count)
    confidence[[2, 3, 5]] = 0
    bodies = bodies_at(place, confidence)
    everyone = Silhouettes(body, bodies, HW).visible(np.array([0, 1]))
    whole = np.repeat(np.repeat(everyone, 4, 1), 4, 2)[:, : HW[0], : HW[1]]
    swapped = [whole[(row + 1) % 2] for row in range(count)]
    monkeypatch.setattr(sam, "segment", lambda *_: Masks.from_dense(swapped, HW))
    config = SamMasksConfig(assign_by_mesh=True)
    video = FrameList([np.zeros((*HW, 3))] * 5)
    work = replace(work_on(video, config, {}, shot=(0, 5)), body_npz=EMBEDDED_BODY)
    given = masks.run(work, detections=detections, bodies=bodies)
    found = np.stack([given.dense(row) for row in range(count)])
    np.testing.assert_array_equal(found[[0, 1]], whole)  # both meshes known: swapped back
    np.testing.assert_array_equal(found[[2, 3]], whole[[1, 0]])  # none known: boxes decide
    np.testing.assert_array_equal(found[4], whole[0])
    assert not found[5].any()  # its box's mask was the other one's
    assert not found[6].any()  # alone in its frame, and no mask fits its mesh
    with pytest.raises(ConfigError, match="assign_by_mesh"):
        masks.run(work, detections=detections)
