"""Stage `boundaries` with VGGT: what is made of its answer."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from multithumbs.backends.boundaries.side import through_lens
from multithumbs.backends.boundaries.vggt_input import fit_frame, network_image
from multithumbs.backends.boundaries.vggt_people import person_pixels
from multithumbs.backends.boundaries.vggt_views import grid_of, overlap, views_of
from multithumbs.config.alignment import LmAlignmentConfig
from multithumbs.config.boundaries_vggt import (
    CommonPlaceConfig,
    VggtBoundariesConfig,
)
from multithumbs.models.vggt import Prediction
from multithumbs.models.vggt.pose import encode
from multithumbs.stages import alignment, boundaries
from multithumbs.synth.boundary_points import DepthNoise
from multithumbs.types import CutStatus

from . import cuts
from .reconstruction import HW, UNIT, exact_cut, pretend, scene_of, sides_of


@pytest.fixture(scope="module")
def cut(body):
    return exact_cut(body)


def test_frames_meet_the_network_as_the_official_loaders_do():
    wide = fit_frame((1080, 1920), "auto", 518, 14)
    assert wide.hw == wide.resized == (294, 518)
    assert wide.offset == (0, 0)
    tall = fit_frame((1920, 1080), "crop", 518, 14)
    assert tall.resized == (924, 518)
    assert tall.hw == (518, 518)
    assert tall.offset == (-203, 0)
    padded = fit_frame((1920, 1080), "auto", 518, 14)
    assert padded.resized == (518, 294)
    assert padded.hw == (518, 518)
    assert padded.offset == (0, 112)
    # The first pixel's outer corner of the frame lies on that of the resized frame.
    assert (padded.net_from_full @ [0, 0, 1])[:2].tolist() == [112, 0]
    assert np.allclose((tall.net_from_full @ [1080, 1920, 1])[:2], [518, 721])
    assert padded.content().sum() == 518 * 294
    cells = wide.full_cells()
    assert cells[0, 0].tolist() == [1, 1]
    assert cells[-1, -1].tolist() == [1078, 1918]
    assert tall.content().all()


@pytest.mark.parametrize("rule", ["crop", "pad"])
def test_the_network_sees_pillows_bicubic_pixels(rule):
    images = pytest.importorskip("PIL.Image")
    noise = np.random.default_rng(0).integers(0, 256, (240, 100, 3), dtype=np.uint8)
    # Pictures, not noise: overshoots are clipped between the two passes, in another order.
    frame = cv2.GaussianBlur(noise, (0, 0), 1.5)
    fit = fit_frame((240, 100), rule, 56, 14)
    rows, columns = fit.resized
    expected = np.asarray(
        images.fromarray(frame).resize((columns, rows), images.Resampling.BICUBIC)
    )
    found = network_image(frame, fit).permute(1, 2, 0).numpy()
    assert found.shape == (56, 56, 3)
    if rule == "crop":
        begin = (rows - 56) // 2
        np.testing.assert_allclose(found * 255, expected[begin : begin + 56], atol=1)
    else:
        assert rows == 56
        left = (56 - columns) // 2
        np.testing.assert_allclose(found[:, left : left + columns] * 255, expected, atol=1)
        assert (found[:, :left] == 1).all()
        assert (found[:, left + columns :] == 1).all()


@pytest.mark.parametrize("scale", ["median", "head_pelvis", "paper"])
def test_a_network_that_is_right_gives_cameras_points_and_metres(body, cut, scale):
    scene = scene_of(body, cut, VggtBoundariesConfig(scale=scale, mask_erosion_px=2))
    assert scene.status is CutStatus.ALIGNED
    # CHROMM compares keypoints with skin; the paper a whole mesh with what is seen of it, and
    # one of the six is half hidden.
    within = {"median": 0.005, "head_pelvis": 0.02, "paper": 0.25}[scale]
    assert abs(np.log(scene.metres_per_unit / UNIT)) < within
    found = scene.scene_from_cam[1].copy()
    found[:3, 3] *= UNIT
    np.testing.assert_allclose(found, np.linalg.inv(cut.after_from_before), atol=1e-9)
    assert np.array_equal(scene.scene_from_cam[0], np.eye(4))
    np.testing.assert_allclose(scene.K[:, 0, 0], 550, rtol=1e-9)
    before, after = cut.sides
    assert sorted(before.who[a] == after.who[b] for a, b in scene.pair) == [True] * 3
    assert scene.points_scene.shape[1:] == (144, 256, 3)


def test_points_project_onto_their_own_cells_half_pixels_included(body, cut):
    config = VggtBoundariesConfig(grid_px=518)
    scene = scene_of(body, cut, config)
    rows, columns = scene.confidence.shape[1:]
    fit = fit_frame(HW, "auto", 518, 14)
    for side in range(2):
        cam_from_scene = np.linalg.inv(scene.scene_from_cam[side])
        cam = scene.points_scene[side] @ cam_from_scene[:3, :3].T + cam_from_scene[:3, 3]
        uv = (cam @ scene.K[side].T)[..., :2] / cam[..., 2:]
        v, u = np.indices((rows, columns)) + 0.5
        net = np.stack([u / columns, v / rows], -1) * fit.hw[::-1]
        # The cell's point is the nearest pixel's: its centre, in the full frame.
        exact = (np.floor(net) + 0.5) * [HW[1] / fit.hw[1], HW[0] / fit.hw[0]]
        assert np.isfinite(uv).all()
        assert np.abs(uv - exact).max() < 1e-6


def test_the_scene_has_the_axes_of_the_first_camera(body, cut):
    config = VggtBoundariesConfig()
    fit, prediction = pretend(body, cut, config)
    views = views_of(prediction, fit, points="depth", min_confidence=1.1)
    move = torch.eye(4, dtype=torch.float64)
    move[:3, :3] = torch.tensor(
        [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64
    )
    move[:3, 3] = torch.tensor([0.1, 0.2, -0.3], dtype=torch.float64)
    cams = torch.tensor(np.linalg.inv(views.scene_from_cam)) @ move
    K = torch.tensor(fit.net_from_full @ views.K)
    moved = prediction._replace(pose_encodings=encode(cams, K, fit.hw)[None, None])
    again = views_of(moved, fit, points="depth", min_confidence=1.1)
    np.testing.assert_allclose(again.scene_from_cam, views.scene_from_cam, atol=1e-9)
    np.testing.assert_allclose(again.points, views.points, atol=1e-8)
    # The point head speaks of the network's own frame.
    back = np.linalg.inv(move.numpy())
    net = views.points[None] @ back[:3, :3].T + back[:3, 3]
    with_points = moved._replace(points=torch.tensor(net), points_confidence=moved.depth_confidence)
    third = views_of(with_points, fit, points="point_head", min_confidence=1.1)
    np.testing.assert_allclose(third.points, views.points, atol=1e-8)
    np.testing.assert_allclose(third.depth, views.depth, atol=1e-8)


LENS = 1.3


def longer_lens(prediction):
    """The same picture by a longer lens: everything is further away by its factor."""
    encodings = prediction.pose_encodings.clone()
    encodings[..., 7:] = 2 * torch.atan((encodings[..., 7:] / 2).tan() / LENS)
    return prediction._replace(pose_encodings=encodings, depth=prediction.depth * LENS)


def test_bodies_meet_the_points_through_the_reconstructions_lens(body, cut):
    """The fits assumed 550 px, the reconstruction says 715."""
    trusting = VggtBoundariesConfig(common_place=CommonPlaceConfig(required=False))
    scene = scene_of(body, cut, trusting, change=longer_lens)
    np.testing.assert_allclose(scene.K[:, 0, 0], 550 * LENS)
    assert abs(np.log(scene.metres_per_unit / UNIT)) < 0.005
    side = sides_of(cut)[0]
    lensed = through_lens(side, scene.K[0])
    before = side.joints_cam[:, 0] @ side.K.T
    after = lensed.joints_cam[:, 0] @ scene.K[0].T
    np.testing.assert_allclose(before[:, :2] / before[:, 2:], after[:, :2] / after[:, 2:])
    np.testing.assert_allclose(lensed.joints_cam[:, 0, 2], LENS * side.joints_cam[:, 0, 2])
    assert through_lens(side, side.K) is side
    # So does the alignment: bodies stay on their keypoints.
    alone = LmAlignmentConfig(pair_weight=0)
    work = cuts.work_at_cut(alone, HW)
    found = alignment.run(work, boundaries=replace(scene, pair=scene.pair[:0]), **cuts.inputs(cut))
    assert found.status is CutStatus.ALIGNED, found.reason
    assert found.residual_px.max() < 1


def test_noise_of_dense_networks_leaves_the_robust_scale_alone(body, cut):
    noisy = DepthNoise(pixel_log=0.02, person_log=0.0, hanging_px=3, wall_share=0.1)
    robust = scene_of(body, cut, VggtBoundariesConfig(scale="median"), noise=noisy)
    printed = scene_of(body, cut, VggtBoundariesConfig(scale="paper"), noise=noisy)
    assert abs(np.log(robust.metres_per_unit / UNIT)) < 0.04
    # Printed as it is, the rule follows stray points: that is noticed, not handed on.
    assert printed.status is CutStatus.FAILED
    assert "stray points" in printed.reason
    literal = VggtBoundariesConfig(scale="paper", max_log_spread=5)
    blindly = scene_of(body, cut, literal, noise=noisy)
    assert blindly.status is CutStatus.ALIGNED
    assert abs(np.log(blindly.metres_per_unit / UNIT)) > 1


def test_the_alignment_takes_the_scene(body, cut):
    config = VggtBoundariesConfig()
    scene = scene_of(body, cut, config)
    work = cuts.work_at_cut(LmAlignmentConfig(), HW)
    for pairs in (scene.pair, scene.pair[:0]):
        found = alignment.run(work, boundaries=replace(scene, pair=pairs), **cuts.inputs(cut))
        assert found.status is CutStatus.ALIGNED
        true = np.linalg.inv(cut.after_from_before)
        assert np.linalg.norm(found.scene_from_cam[1, :3, 3] - true[:3, 3]) < 0.1
        who = np.concatenate([s.who for s in cut.sides])
        error = np.linalg.norm(found.joints_scene[:, 0] - cut.pelvis_before[who], axis=1)
        assert error.max() < 0.25


def nans(prediction):
    return prediction._replace(depth=prediction.depth * torch.nan)


def blind(prediction):
    half = prediction.depth.clone()
    half[:, 1] = torch.inf
    return prediction._replace(depth=half)


def no_lens(prediction):
    encodings = prediction.pose_encodings.clone()
    encodings[..., 7:] = 0
    return prediction._replace(pose_encodings=encodings)


def no_turn(prediction):
    encodings = prediction.pose_encodings.clone()
    encodings[..., 3:7] = 0
    return prediction._replace(pose_encodings=encodings)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (nans, "no point that can be trusted"),
        (blind, "no point that can be trusted"),
        (no_lens, "cameras are not finite"),
        (no_turn, "cameras are not finite"),
    ],
)
def test_an_answer_that_is_no_number_fails_the_cut(body, cut, change, reason):
    scene = scene_of(body, cut, VggtBoundariesConfig(), change=change)
    assert scene.status is CutStatus.FAILED
    assert reason in scene.reason
    assert scene.points_scene.size == 0


def test_without_masks_or_people_nothing_gives_the_scale(body, cut):
    sides = tuple(replace(s, mask=np.zeros_like(s.mask)) for s in sides_of(cut))
    scene = scene_of(body, cut, VggtBoundariesConfig(), sides=sides)
    assert scene.status is CutStatus.FAILED
    assert "no person's points give the scale" in scene.reason
    inputs = cuts.inputs(cut)
    inputs["bodies"] = tuple(replace(b, confidence=np.zeros(len(b))) for b in inputs["bodies"])
    work = replace(cuts.work_at_cut(VggtBoundariesConfig(), HW), checkpoints={"vggt-1b": Path()})
    nobody = boundaries.run(work, **inputs)
    assert nobody.status is CutStatus.FAILED
    assert "nobody is seen" in nobody.reason


def test_people_on_one_side_are_enough_where_the_background_agrees(body, cut):
    before, after = sides_of(cut)
    alone = replace(
        after,
        **{
            name: getattr(after, name)[:0]
            for name in ("row", "uv", "confidence", "pose", "betas", "transl", "size", "joints_cam",
                         "body_confidence", "mask")
        },
    )  # fmt: skip
    scene = scene_of(body, cut, VggtBoundariesConfig(), sides=(before, alone))
    assert scene.status is CutStatus.ALIGNED
    assert len(scene.pair) == 0
    assert abs(np.log(scene.metres_per_unit / UNIT)) < 0.01


def test_two_places_are_not_joined(body, cut):
    def elsewhere(prediction):
        # Another room: surfaces that the first view cannot have seen, people far from people.
        depth = prediction.depth.clone()
        depth[:, 1] *= 2.2
        return prediction._replace(depth=depth)

    sides = sides_of(cut)
    far = replace(sides[1], transl=sides[1].transl * 2.2, joints_cam=sides[1].joints_cam * 2.2)
    scene = scene_of(body, cut, VggtBoundariesConfig(), sides=(sides[0], far), change=elsewhere)
    assert scene.status is CutStatus.FAILED
    assert "of one place" in scene.reason
    trusting = VggtBoundariesConfig(common_place=CommonPlaceConfig(required=False))
    scene = scene_of(body, cut, trusting, sides=(sides[0], far), change=elsewhere)
    assert scene.status is CutStatus.ALIGNED


def test_people_whose_scales_contradict_each_other_fail_the_cut(body, cut):
    sides = list(sides_of(cut))
    for index, (factor, side) in enumerate(zip((1.0, 4.0), sides, strict=True)):
        sides[index] = replace(
            side, transl=side.transl * factor, joints_cam=side.joints_cam * factor
        )
    scene = scene_of(body, cut, VggtBoundariesConfig(), sides=tuple(sides))
    assert scene.status is CutStatus.FAILED
    assert "disagree about the scale" in scene.reason


def test_the_overlap_is_that_of_the_backgrounds(body, cut):
    fit, prediction = pretend(body, cut, VggtBoundariesConfig())
    views = views_of(prediction, fit, points="depth", min_confidence=1.1)
    everything = np.ones((2, *fit.hw), dtype=bool)
    shares = overlap(views, everything, 0.05)
    assert 0.05 < min(shares) <= max(shares) < 1
    same = replace(
        views,
        scene_from_cam=np.stack([np.eye(4)] * 2),
        points=np.stack([views.points[0]] * 2),
        depth=np.stack([views.depth[0]] * 2),
    )
    assert overlap(same, everything, 0.01) == (1.0, 1.0)
    assert overlap(views, ~everything, 0.05) == (0.0, 0.0)


def test_a_persons_points_are_the_trusted_ones_away_from_the_silhouette():
    mask = np.zeros((40, 40), dtype=bool)
    mask[10:30, 10:30] = True
    trust = np.full((40, 40), 3.0)
    trust[10:20] = 2.0
    trust[:, 15] = 0.0
    chosen = person_pixels(mask, trust, erosion=2, quantile=0.0, least=1)
    assert chosen.sum() == 16 * 15
    assert not chosen[10:12].any()
    halved = person_pixels(mask, trust, erosion=0, quantile=0.6, least=1)
    assert not halved[:20].any()
    assert not person_pixels(mask, trust, erosion=0, quantile=0.0, least=500).any()
    at_border = np.zeros((40, 40), dtype=bool)
    at_border[:, :10] = True
    # Whoever is cut off by the image's border has no silhouette there.
    assert person_pixels(at_border, np.ones((40, 40)), erosion=2, quantile=0.0, least=1)[0, 0]


def test_cells_beyond_what_the_network_saw_hold_nothing():
    fit = fit_frame((1920, 1080), "crop", 518, 14)
    encoding = torch.tensor([0, 0, 0, 0, 0, 0, 1, 0.9, 0.9], dtype=torch.float64)
    ones = torch.ones(1, 2, 518, 518, dtype=torch.float64)
    prediction = Prediction(encoding.expand(1, 1, 2, 9), ones, 2 * ones, None, None)
    views = views_of(prediction, fit, points="depth", min_confidence=1.1)
    points, confidence = grid_of(views, 256)
    assert points.shape == (2, 256, 144, 3)
    known = np.isfinite(points[0]).all(-1)
    assert not known[:50].any()
    assert known[70:180].all()
    assert np.array_equal(confidence[0] > 0, known)
    assert confidence.max() == 0.5
