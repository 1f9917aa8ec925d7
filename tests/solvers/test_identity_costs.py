"""D, A, P and the matching."""

import numpy as np
import pytest

from multithumbs.solvers.identity_costs import (
    joint_visibility,
    match,
    pose_difference,
    texture_difference,
)
from multithumbs.types import JOINT_NAMES, KEYPOINT_NAMES


def textures(*colours):
    rgb = np.zeros((len(colours), 8, 8, 3), dtype=np.uint8)
    rgb[:] = np.array(colours, dtype=np.uint8)[:, None, None]
    return rgb, np.ones((len(colours), 8, 8))


def test_pose_difference_counts_only_joints_visible_in_both():
    a, b = np.zeros((1, 24, 3)), np.zeros((1, 24, 3))
    a[0, 0], a[0, 4], a[0, 5] = [0, 2.0, 0], [0.6, 0, 0], [3.0, 0, 0]
    seen = np.zeros((1, 24), dtype=bool)
    seen[0, [0, 4, 7]] = True
    # Joint 4 differs by 0.6 and joint 7 not at all; the global orientation does not count.
    assert pose_difference(a, seen, b, seen)[0, 0] == pytest.approx(0.3)
    assert np.isnan(pose_difference(a, seen, b, np.zeros((1, 24), dtype=bool))[0, 0])


def test_a_joint_is_visible_only_with_the_bone_below_it():
    confidence = np.ones((1, 23))
    confidence[0, KEYPOINT_NAMES.index("left_ankle")] = 0.1
    visible = joint_visibility(confidence, 0.3)[0]
    assert not visible[JOINT_NAMES.index("left_knee")]
    assert visible[JOINT_NAMES.index("left_hip")]
    assert visible[JOINT_NAMES.index("right_knee")]


def test_texture_difference_ignores_exposure_but_not_hue():
    a = textures((120, 60, 60))
    darker = textures((84, 42, 42))
    other = textures((60, 60, 120))
    same, share = texture_difference(*a, *darker, 1)
    assert same[0, 0] < 0.01
    assert share[0, 0] == 1
    assert texture_difference(*a, *other, 1)[0][0, 0] > 0.1
    assert texture_difference(*darker, *a, 1)[0][0, 0] == pytest.approx(same[0, 0])


def test_noise_of_single_texels_does_not_hide_that_two_textures_are_one():
    rng = np.random.default_rng(0)
    a, b, other = np.full((3, 1, 32, 32, 3), (120.0, 60.0, 60.0))
    other[:, :16] = (140, 45, 60)
    a, b, other = (
        (rgb + rng.normal(0, 20, rgb.shape)).clip(0, 255).astype(np.uint8) for rgb in (a, b, other)
    )
    seen = np.ones((1, 32, 32))
    texels = [texture_difference(a, seen, c, seen, 1)[0][0, 0] for c in (b, other)]
    cells = [texture_difference(a, seen, c, seen, 4)[0][0, 0] for c in (b, other)]
    assert cells[0] < 0.5 * texels[0]
    assert cells[1] / cells[0] > 1.5 > texels[1] / texels[0]


def test_texture_difference_is_unknown_where_nothing_is_shared():
    rgb, weight = textures((120, 60, 60))
    left, right = weight.copy(), weight.copy()
    left[:, :, :4], right[:, :, 4:] = 0, 0
    difference, share = texture_difference(rgb, left, rgb, right, 1)
    assert np.isnan(difference[0, 0])
    assert share[0, 0] == 0


def test_texture_difference_looks_at_mutually_visible_texels_only():
    """What only one of them saw, or nobody did, may hold any colour."""
    (a, seen_a), (b, seen_b) = textures((120, 60, 60)), textures((110, 70, 60))
    seen_a[:, :, 5:], seen_b[:, :, :2] = 0, 0
    seen_a[:, 0, 3], seen_b[:, 1, 3] = np.nan, np.nan
    clean, share = texture_difference(a, seen_a, b, seen_b, 1)
    assert share[0, 0] == pytest.approx(22 / 64)
    a[:, :, 5:], b[:, :, :2] = 255, 255
    a[:, 0, 3], b[:, 1, 3] = (0, 255, 0), (0, 0, 255)
    assert texture_difference(a, seen_a, b, seen_b, 1)[0][0, 0] == clean[0, 0]
    a[0, 2, 3] = 255
    assert texture_difference(a, seen_a, b, seen_b, 1)[0][0, 0] > clean[0, 0]


def test_match_is_the_cheapest_whole_and_never_a_forbidden_pair():
    cost = np.array([[0.1, 0.2], [0.15, 0.9]])
    links = match(cost, np.ones((2, 2), dtype=bool), no_match=1.0, scale=0.25)
    assert sorted(zip(links.row.tolist(), links.column.tolist(), strict=True)) == [(0, 1), (1, 0)]
    allowed = np.array([[True, False], [False, False]])
    links = match(cost, allowed, no_match=1.0, scale=0.25)
    assert links.row.tolist() == links.column.tolist() == [0]
    assert match(np.zeros((0, 2)), np.zeros((0, 2), dtype=bool), 1.0, 0.25).row.size == 0


def test_one_sure_link_is_not_given_up_for_two_poor_ones():
    cost = np.array([[0.9, 0.1], [5.0, 0.9]])
    allowed = np.array([[True, True], [False, True]])
    links = match(cost, allowed, no_match=1.0, scale=0.25)
    assert (links.row.tolist(), links.column.tolist()) == ([0], [1])
    as_many_as_possible = match(cost, allowed, no_match=1000.0, scale=0.25)
    assert as_many_as_possible.row.tolist() == [0, 1]


def test_confidence_falls_as_the_best_alternative_comes_near():
    allowed = np.ones((1, 2), dtype=bool)
    clear = match(np.array([[0.1, 0.9]]), allowed, 1.0, 0.25).confidence[0]
    close = match(np.array([[0.1, 0.12]]), allowed, 1.0, 0.25).confidence[0]
    assert clear > 0.9
    assert 0.5 < close < 0.55
