"""PCK in the frame and across the cut."""

import dataclasses

import numpy as np
import pytest

from multithumbs.evaluation.matching import match
from multithumbs.evaluation.pck import correct_keypoints, pck_scores
from multithumbs.evaluation.scene import Scene

HW = (180, 320)
CUT = 12


@pytest.fixture(scope="module")
def true(two_shots):
    scene = Scene.of_result(two_shots)
    return dataclasses.replace(scene, seen=np.ones(len(scene.frame), bool))


def scored(predicted, true, body):
    return pck_scores(predicted, true, match(predicted, true, HW), HW, body)


def test_the_threshold_is_a_tenth_of_the_longer_side():
    true_uv = np.array([[[0.0, 0.0], [100.0, 40.0], [50.0, 500.0]]])
    counts = np.array([[True, True, False]])
    off = np.array([[[9.9, 0.0], [100.0, 50.1], [0.0, 0.0]]])
    assert correct_keypoints(off, true_uv, counts).tolist() == [1.0, 0.0]
    assert correct_keypoints(off * np.nan, true_uv, counts).tolist() == [0.0, 0.0]


def test_the_truth_explains_itself_and_both_sides_of_the_cut(true, body):
    found = scored(true, true, body)
    assert found.same == 100.0
    # The people walk on by one frame between the sides.
    assert found.cross is not None and found.cross > 99
    assert found.world is not None and found.world > 99


def test_a_pose_that_only_one_side_has_costs_across_the_cut_alone(true, body):
    pose, joints = true.pose.copy(), true.joints_world.copy()
    after = true.frame >= CUT
    pose[after, 16:18, 2] *= -1.0  # arms up instead of down
    bent = dataclasses.replace(true, pose=pose, joints_world=joints)
    found, before = scored(bent, true, body), scored(true, true, body)
    assert found.same == before.same
    assert found.cross is not None and before.cross is not None
    assert found.cross < before.cross - 5


def test_a_world_that_breaks_at_the_cut_costs_in_the_world_alone(true, body):
    broken = dataclasses.replace(true, space=(true.camera_frame >= CUT).astype(np.int64))
    found = scored(broken, true, body)
    assert found.same == 100.0
    assert found.cross is not None and found.cross > 99
    assert found.world == 0.0


def test_no_value_where_nobody_crosses(true, body):
    one_shot = dataclasses.replace(true, shot_start=np.array([0]))
    found = scored(one_shot, one_shot, body)
    assert (found.cross, found.world) == (None, None)
