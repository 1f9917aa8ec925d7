"""From readings of the landmark network to keypoints and masks."""

import numpy as np
import pytest

from multithumbs.backends.keypoints.blazepose import fuse
from multithumbs.backends.masks.blazepose import separate
from multithumbs.config.masks import BlazePoseMasksConfig
from multithumbs.models.blazepose import Landmarks
from multithumbs.models.blazepose.crowd import read_everyone
from multithumbs.models.blazepose.network import LandmarkNetwork
from multithumbs.types import KEYPOINT_NAMES

HW = (120, 160)


def reading(seed=0, *, roi=(80, 60, 100, 0), shift=(0, 0), visibility=0.9, disc=None) -> Landmarks:
    uv = np.random.default_rng(seed).uniform(30, 110, (35, 2)) + shift
    rows, columns = np.mgrid[0:256, 0:256] + 0.5
    segmentation = np.full((256, 256), -50.0)
    if disc is not None:
        u, v, radius, peak = disc
        segmentation = peak * (1 - np.hypot(columns - u, rows - v) / radius)
    return Landmarks(
        roi=np.array(roi, dtype=np.float64),
        uv=uv,
        visibility=np.full(35, visibility),
        presence=np.full(35, 1.0),
        xyz=np.tile(np.arange(33.0)[:, None], (1, 3)),
        flag=1.0,
        segmentation=segmentation.astype(np.float32),
    )


def test_keypoints_are_the_landmarks_of_the_same_name():
    uv, confidence, xyz, xyz_confidence = fuse([reading()], HW, 0.05)
    left_knee = KEYPOINT_NAMES.index("left_knee")
    np.testing.assert_allclose(uv[left_knee], reading().uv[25])
    np.testing.assert_allclose(xyz[left_knee], 25)
    np.testing.assert_allclose(confidence[left_knee], 0.9)
    np.testing.assert_allclose(xyz_confidence[left_knee], 0.9)
    for name in ("left_small_toe", "right_small_toe"):
        missing = KEYPOINT_NAMES.index(name)
        assert confidence[missing] == xyz_confidence[missing] == 0
        assert not uv[missing].any()
        assert not xyz[missing].any()


def test_readings_that_agree_are_averaged_and_others_are_not():
    near = fuse([reading(), reading(shift=(2, 0))], HW, 0.05)
    known = near[1] > 0
    np.testing.assert_allclose(near[0][known], fuse([reading(shift=(1, 0))], HW, 0.05)[0][known])
    surer = reading(shift=(0, 12), visibility=0.95)
    far = fuse([reading(), surer], HW, 0.05)
    np.testing.assert_allclose(far[0][known], fuse([surer], HW, 0.05)[0][known], atol=1e-4)
    assert (far[3][known] < 0.6).all()


def test_joints_outside_the_image_keep_their_place_but_no_confidence():
    uv, confidence, _, xyz_confidence = fuse([reading(shift=(140, 0))], HW, 0.05)
    outside = uv[:17, 0] >= HW[1]
    assert outside.any()
    assert (confidence[:17][outside] == 0).all()
    assert (xyz_confidence[:17] > 0).all()


def test_people_share_no_pixel_and_the_surer_one_has_it():
    a = reading(disc=(110, 128, 60, 5.0))
    b = reading(disc=(150, 128, 60, 50.0))
    masks = separate([a, b], HW, BlazePoseMasksConfig(min_component=0.0))
    assert not (masks[0] & masks[1]).any()
    alone = separate([b], HW, BlazePoseMasksConfig(min_component=0.0))[0]
    assert masks[1].sum() > 0.95 * alone.sum()
    assert 0 < masks[0].sum() < 0.8 * alone.sum()
    v, u = np.nonzero(alone)
    np.testing.assert_allclose([u.mean() + 0.5, v.mean() + 0.5], [80 + 22 / 2.56, 60], atol=0.3)


def test_parts_without_landmarks_are_dropped():
    seen = reading(disc=(128, 128, 40, 5.0))
    seen.segmentation[230:250, 230:250] = 9.0  # a speck in the corner
    seen.uv[:] = (80, 60)
    mask = separate([seen], HW, BlazePoseMasksConfig())[0]
    assert mask[60, 80]
    assert not mask[95:, 115:].any()


def test_nobody_has_no_masks():
    assert separate([], HW, BlazePoseMasksConfig()) == []


class Recorder(LandmarkNetwork):
    """Notes in which order people are read, and who is painted over."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, bool, list[float]]] = []

    def __call__(self, rgb, roi, *, mirrored=False, others=()) -> Landmarks:
        self.calls.append((roi[0], mirrored, [o.roi[0] for o in others]))
        return reading(roi=roi)


@pytest.mark.parametrize("mirror", [True, False])
def test_everyone_is_read_in_order_of_score_without_the_better_ones(mirror):
    rois = np.array([[10.0, 5, 5, 0], [20.0, 5, 5, 0], [30.0, 5, 5, 0]])
    network = Recorder()
    found = read_everyone(
        np.zeros((*HW, 3), np.uint8), rois, np.array([0.5, 0.9, 0.7]), network, mirror=mirror
    )
    assert [readings[0].roi[0] for readings in found] == [10, 20, 30]
    straight = [(u, others) for u, mirrored, others in network.calls if not mirrored]
    assert straight == [(20, []), (30, [20]), (10, [20, 30])]
    assert sum(mirrored for _, mirrored, _ in network.calls) == 3 * mirror
