"""Stage `alignment`: what it hands on, and its failures."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from multithumbs.config.alignment import (
    AdamWAlignmentConfig,
    AlignmentLimitsConfig,
    LmAlignmentConfig,
    PointSizesConfig,
    TogetherConfig,
)
from multithumbs.config.boundaries import PeopleBoundariesConfig
from multithumbs.stages import alignment, boundaries
from multithumbs.types import CutStatus

from ..elsewhere import elsewhere
from . import cuts

HW = (360, 640)


@pytest.fixture(scope="module")
def cut(body):
    return cuts.small_cut(body, seed=1, people=3)


@pytest.fixture(scope="module")
def scene(cut):
    return boundaries.run(cuts.work_at_cut(PeopleBoundariesConfig(), HW), **cuts.inputs(cut))


def align(cut, scene, config, device="cpu"):
    work = cuts.work_at_cut(config, HW, device=device)
    return alignment.run(work, boundaries=scene, **cuts.inputs(cut))


SOLVERS = pytest.mark.parametrize(
    "config",
    [LmAlignmentConfig(), AdamWAlignmentConfig(stage2_iterations=60, stage3_iterations=60)],
    ids=["lm", "adamw"],
)


@SOLVERS
def test_everyone_of_both_sides_stands_in_the_scene(body, cut, scene, config):
    aligned = align(cut, scene, config)
    assert aligned.status is CutStatus.ALIGNED
    assert aligned.side.tolist() == [0, 0, 0, 1, 1, 1]
    np.testing.assert_allclose(aligned.scene_from_cam[0], np.eye(4), atol=1e-9)
    rows = [aligned.row[aligned.side == i] for i in range(2)]
    who = np.concatenate([side.who[r] for side, r in zip(cut.sides, rows, strict=True)])
    error = np.linalg.norm(aligned.joints_scene[:, 0] - cut.pelvis_before[who], axis=1)
    assert error.mean() < 0.5
    assert [who[a] == who[b] for a, b in aligned.pair] == [True] * len(aligned.pair)
    assert len(aligned.pair) == 3
    assert np.isfinite(aligned.loss)
    # global_orient and transl are smplx's: with pose and shape they give the joints.
    fits = [(side.bodies, r) for side, r in zip(cut.sides, rows, strict=True)]
    pose = np.concatenate([bodies.pose[r] for bodies, r in fits])
    betas = np.concatenate([bodies.betas[r] for bodies, r in fits])
    pose[:, 0] = aligned.global_orient
    posed = body.posed(*(torch.tensor(x) for x in (pose, betas, aligned.transl)))
    np.testing.assert_allclose(posed.joints.numpy(), aligned.joints_scene, atol=1e-8)


@SOLVERS
def test_fewer_stages_move_less(cut, scene, config):
    by_stages = {
        stages: align(cut, scene, config.model_copy(update={"stages": stages}))
        for stages in ((1, 2, 3), (3,), ())
    }
    still = by_stages[()]
    before = still.side == 0  # its camera is the scene's
    fits = cut.sides[0].bodies.joints_cam[still.row[before]]
    np.testing.assert_allclose(still.joints_scene[before], fits, atol=1e-3)
    assert by_stages[1, 2, 3].loss < by_stages[()].loss
    assert by_stages[3,].loss < by_stages[()].loss


def test_lm_needs_no_stage_but_the_last(cut, scene):
    every, last = (align(cut, scene, LmAlignmentConfig(stages=s)) for s in ((1, 2, 3), (3,)))
    assert last.loss == pytest.approx(every.loss, rel=0.01)
    np.testing.assert_allclose(every.joints_scene[:, 0], last.joints_scene[:, 0], atol=5e-3)
    np.testing.assert_allclose(every.scene_from_cam, last.scene_from_cam, atol=1e-4)


def test_the_same_input_gives_the_same_bits(cut, scene):
    first, second = (align(cut, scene, LmAlignmentConfig()) for _ in range(2))
    assert np.array_equal(first.joints_scene, second.joints_scene)


@SOLVERS
def test_another_device_gives_the_same(cut, scene, config):
    given = replace(  # of another scale, for what only reconstructions go through
        scene,
        metres_per_unit=2.0,
        points_scene=scene.points_scene / 2,
        scene_from_cam=np.stack([_shrunk(matrix) for matrix in scene.scene_from_cam]),
    )
    expected = align(cut, given, config)
    assert expected.status is CutStatus.ALIGNED
    with elsewhere() as device:
        found = align(cut, given, config, device)
    np.testing.assert_allclose(found.joints_scene, expected.joints_scene, rtol=0, atol=1e-9)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@SOLVERS
def test_cuda_gives_the_same(cut, scene, config):
    first, second = (align(cut, scene, config, "cuda:0").joints_scene for _ in range(2))
    assert np.array_equal(first, second)
    expected = align(cut, scene, config).joints_scene
    np.testing.assert_allclose(first, expected, rtol=0, atol=1e-5)


def test_a_failed_scene_stays_failed_for_its_reason(cut, scene):
    failed = replace(scene, status=CutStatus.FAILED, reason="nobody is seen after the cut")
    aligned = align(cut, failed, LmAlignmentConfig())
    assert aligned.status is CutStatus.FAILED
    assert aligned.reason == failed.reason
    assert len(aligned.side) == 0
    assert np.isnan(aligned.loss)


def test_a_side_without_people_leaves_its_camera_where_the_scene_has_it(cut, scene):
    inputs = cuts.inputs(cut)
    before, after = inputs["bodies"]
    inputs["bodies"] = (before, replace(after, confidence=np.zeros(len(after))))
    turned = replace(scene, pair=np.zeros((0, 2), dtype=np.int64))
    work = cuts.work_at_cut(LmAlignmentConfig(), HW)
    aligned = alignment.run(work, boundaries=turned, **inputs)
    assert aligned.status is CutStatus.ALIGNED
    assert aligned.side.tolist() == [0, 0, 0]
    np.testing.assert_allclose(aligned.scene_from_cam, scene.scene_from_cam, atol=0.02)


def test_one_wild_keypoint_moves_nobody(cut, scene):
    inputs = cuts.inputs(cut)
    before, after = inputs["keypoints"]
    uv = before.uv.copy()
    wrist = np.argmax(before.confidence[0, 9:11] > 0) + 9
    uv[0, wrist] = [320.0, 20.0]
    inputs["keypoints"] = (replace(before, uv=uv), after)
    moved = {}
    for share in (0.05, 0.0):
        config = LmAlignmentConfig(keypoint_outlier_of_height=share, pair_weight=0)
        clean = align(cut, scene, config)
        wild = alignment.run(cuts.work_at_cut(config, HW), boundaries=scene, **inputs)
        moved[share] = np.linalg.norm(wild.joints_scene[0] - clean.joints_scene[0], axis=1).mean()
    assert moved[0.05] < 0.3 * moved[0.0]


def test_too_large_a_residual_fails(cut, scene):
    strict = LmAlignmentConfig(limits=AlignmentLimitsConfig(max_residual_of_height=1e-4))
    aligned = align(cut, scene, strict)
    assert aligned.status is CutStatus.FAILED
    assert "keypoints" in aligned.reason


def test_a_scene_of_another_scale_is_brought_to_metres(cut, scene):
    halved = replace(
        scene,
        metres_per_unit=2.0,
        points_scene=scene.points_scene / 2,
        scene_from_cam=np.array([_shrunk(m) for m in scene.scene_from_cam]),
    )
    # Only Algorithm 1: a scene in units of its own is no people's, whose cameras are adjusted.
    config = LmAlignmentConfig(
        points=PointSizesConfig(enabled=False), together=TogetherConfig(enabled=False)
    )
    first, second = (align(cut, s, config) for s in (scene, halved))
    np.testing.assert_allclose(second.joints_scene, first.joints_scene, atol=1e-4)


def _shrunk(matrix):
    shrunk = matrix.copy()
    shrunk[:3, 3] /= 2
    return shrunk


def test_people_on_both_sides_mend_the_cameras_of_a_reconstruction(cut, scene):
    true = np.linalg.inv(cut.after_from_before)
    wrong = true.copy()
    wrong[:3, :3] = Rotation.from_rotvec([0.03, -0.05, 0.02]).as_matrix() @ true[:3, :3]
    wrong[:3, 3] *= 1.08
    given = replace(
        scene,
        metres_per_unit=2.0,
        points_scene=scene.points_scene / 2,
        scene_from_cam=np.stack([np.eye(4), _shrunk(wrong)]),
        pair=np.zeros((0, 2), np.int64),
    )
    off, who = {}, {}
    for enabled in (False, True):
        config = LmAlignmentConfig(together=TogetherConfig(enabled=enabled))
        aligned = align(cut, given, config)
        relation = np.linalg.inv(aligned.scene_from_cam[0]) @ aligned.scene_from_cam[1]
        turn = Rotation.from_matrix(relation[:3, :3].T @ true[:3, :3]).magnitude()
        off[enabled] = np.array([turn, np.linalg.norm(relation[:3, 3] - true[:3, 3])])
        rows = [
            [cut.sides[side].who[aligned.row[p]] for p in aligned.pair[:, side]]
            for side in range(2)
        ]
        who[enabled] = list(zip(*rows, strict=True))
    assert who[False] == []
    assert sorted(who[True]) == [(0, 0), (1, 1), (2, 2)]
    assert (off[True] < 0.6 * off[False]).all()
