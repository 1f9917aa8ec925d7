"""Eq. 1-5: derivatives, the solvers against each other, the gauge."""

import numpy as np
import pytest
import torch

from multithumbs.backends.alignment import algorithm1
from multithumbs.backends.alignment.problem import build_problem, distance_to, pose_people
from multithumbs.backends.boundaries import people as people_backend
from multithumbs.backends.boundaries.side import gather_side
from multithumbs.config.alignment import AdamWAlignmentConfig, LmAlignmentConfig
from multithumbs.config.boundaries import BackgroundConfig, PeopleBoundariesConfig
from multithumbs.geometry import rigid
from multithumbs.solvers import alignment as eq1
from multithumbs.solvers import alignment_lm
from multithumbs.synth.boundary_oracle import CutSetup, make_cut

PAPER = LmAlignmentConfig(pair_weight=0, camera_weight=0, keypoint_outlier_of_height=0)


def posed_cut(body, people, seed):
    """A cut, its problem, and the end of stage 1."""
    cut = make_cut(body, CutSetup(people=people, view_rad=1.0, mask_stride=4), seed=seed)
    sides = tuple(
        gather_side(
            frame, side.detections, side.keypoints, side.bodies, side.tracks, side.masks,
            window_frames=0, min_confidence=0.3,
        )
        for frame, side in enumerate(cut.sides)
    )  # fmt: skip
    grey = np.full((*sides[0].hw, 3), 127, dtype=np.uint8)
    config = PeopleBoundariesConfig(background=BackgroundConfig(enabled=False))
    empty = np.zeros(sides[0].hw, dtype=bool)
    scene = people_backend.reconstruct(sides, (grey, grey), (empty, empty), body, config, "cpu")
    people = pose_people(sides, scene.pair, body, PAPER.objective)
    problem = build_problem(people, sides, scene, PAPER.objective)
    return cut, problem, algorithm1.start(people, problem, scene)


@pytest.fixture(scope="module")
def cut_problem(body):
    return posed_cut(body, people=2, seed=3)


@pytest.fixture(scope="module")
def solved(cut_problem):
    _, problem, start = cut_problem
    return algorithm1.solve(problem, start, PAPER)


def value(state, problem, weights):
    return float(eq1.loss(state, problem, weights, state.cam_from_scene).paper(weights))


def test_analytic_gradient_is_autograds(cut_problem):
    _, problem, start = cut_problem
    weights = eq1.AlignmentWeights(50.0, 0.01, 1.0, 1.0, pair=30.0, camera=20.0)
    anchor, layout = start.cam_from_scene, alignment_lm._Layout.of(problem)
    model = alignment_lm._linearise(start, problem, layout, weights, anchor, cameras=True)
    step = torch.zeros(1, model.gradient.shape[1], dtype=torch.float64, requires_grad=True)
    moved = alignment_lm._retract(start, step, layout)
    loss = eq1.loss(moved, problem, weights, anchor).total(weights)
    loss.backward()
    at = eq1.look_up(eq1.place(start, problem), problem, points=True)
    assert at.paired.sum() > 50
    assert float(loss.detach()) == pytest.approx(float(model.cost))
    # Below the smoothing floor |d| is modelled as a square, so its slope there is less than 1.
    slack = 0.01 * float((at.slope.norm(dim=-1) * (at.distance < 0.5)).sum()) * 2000
    torch.testing.assert_close(2 * model.gradient[0], step.grad[0], rtol=1e-6, atol=slack + 1e-6)


def test_hessian_predicts_the_gradient_of_the_keypoint_term(cut_problem, solved):
    _, problem, _ = cut_problem
    weights = eq1.AlignmentWeights(1.0, 0.0, 0.0, 1.0)
    anchor, layout = solved.cam_from_scene, alignment_lm._Layout.of(problem)
    model = alignment_lm._linearise(solved, problem, layout, weights, anchor, cameras=True)
    assert torch.allclose(model.hessian, model.hessian.transpose(-1, -2))
    for index in (0, 4, 9, 12, 16, 20):
        step = torch.zeros_like(model.gradient)
        step[0, index] = 1e-4
        moved = alignment_lm._retract(solved, step, layout)
        after = alignment_lm._linearise(moved, problem, layout, weights, anchor, cameras=True)
        change = (after.gradient - model.gradient)[0, index] / 1e-4
        # Gauss-Newton leaves out the residuals' curvature: near, not equal.
        assert float(change) == pytest.approx(float(model.hessian[0, index, index]), rel=0.2)


@pytest.mark.parametrize(
    "config",
    [
        LmAlignmentConfig(),
        AdamWAlignmentConfig(stage2_iterations=20, stage3_iterations=20),
    ],
    ids=["lm", "adamw"],
)
def test_cuts_solved_side_by_side_end_as_they_would_alone(body, cut_problem, config):
    cuts = [cut_problem, posed_cut(body, people=3, seed=4), posed_cut(body, people=1, seed=5)]
    problems, starts = [problem for _, problem, _ in cuts], [start for _, _, start in cuts]
    assert all(len(problem.pair) for problem in problems)
    whole, start = eq1.joined(problems, starts)
    together = algorithm1.solve(whole, start, config)
    bodies = views = 0
    for problem, alone in zip(problems, starts, strict=True):
        alone = algorithm1.solve(problem, alone, config)
        mine = slice(bodies, bodies + len(problem.view))
        tolerance = {"rtol": 0, "atol": 1e-6}
        torch.testing.assert_close(together.pelvis[mine], alone.pelvis, **tolerance)
        torch.testing.assert_close(together.rotation[mine], alone.rotation, **tolerance)
        cameras = together.cam_from_scene[views : views + 2]
        torch.testing.assert_close(cameras, alone.cam_from_scene, **tolerance)
        bodies, views = mine.stop, views + 2
    weights = algorithm1.stage3_weights(config)
    loss = eq1.loss(together, whole, weights, start.cam_from_scene).total(weights)
    assert loss.shape == (3,)


def test_lm_reaches_a_loss_no_higher_than_adamws(cut_problem, solved):
    _, problem, start = cut_problem
    config = AdamWAlignmentConfig(stage2_iterations=150, stage3_iterations=350)
    weights = algorithm1.stage3_weights(PAPER)
    adamw = algorithm1.solve(problem, start, config)
    reached = value(adamw, problem, weights)
    assert reached < value(start, problem, weights)
    assert value(solved, problem, weights) <= reached


def test_adamw_moves_cameras_only_in_stage_3(cut_problem):
    _, problem, start = cut_problem
    frozen = AdamWAlignmentConfig(stage2_iterations=3, stage3_iterations=0)
    assert torch.allclose(
        algorithm1.solve(problem, start, frozen).cam_from_scene, start.cam_from_scene, atol=1e-12
    )
    moving = AdamWAlignmentConfig(stage2_iterations=0, stage3_iterations=3)
    assert not torch.allclose(
        algorithm1.solve(problem, start, moving).cam_from_scene, start.cam_from_scene, atol=1e-4
    )


def test_default_terms_hold_cameras_and_join_pairs(cut_problem):
    _, problem, start = cut_problem
    state = algorithm1.solve(problem, start, LmAlignmentConfig())
    moved = eq1.camera_offsets(state.cam_from_scene, start.cam_from_scene)
    assert moved.abs().max() < 0.05
    paper = algorithm1.solve(problem, start, PAPER)
    joined = eq1.pair_offsets(state, problem).norm(dim=-1).mean()
    assert joined < eq1.pair_offsets(paper, problem).norm(dim=-1).mean()
    assert joined < 0.25


def test_first_camera_as_scene_changes_no_image(cut_problem, solved):
    _, problem, _ = cut_problem
    turned = eq1.first_camera_as_scene(solved)
    assert torch.allclose(turned.cam_from_scene[0], torch.eye(4, dtype=torch.float64), atol=1e-12)
    before, after = eq1.place(solved, problem), eq1.place(turned, problem)
    torch.testing.assert_close(after.keypoints_uv, before.keypoints_uv)
    torch.testing.assert_close(after.vertices_cam, before.vertices_cam)


def test_stage_1_puts_the_root_on_the_point_behind_its_pixel(cut_problem):
    _, problem, start = cut_problem
    cam = rigid.apply(start.cam_from_scene[problem.view], start.pelvis[:, None])[:, 0]
    uv = torch.einsum("pij,pj->pi", problem.K[problem.view], cam)
    hips = problem.uv[:, [11, 12]].mean(1)
    # The point map has a cell of 8 pixels.
    assert ((uv[:, :2] / uv[:, 2:] - hips).abs() < 8).all()


def test_distance_is_zero_inside_and_grows_by_one_per_pixel_outside():
    mask = np.zeros((20, 40), dtype=bool)
    mask[:, :10] = True
    distance = distance_to(mask)
    assert (distance[mask] == 0).all()
    assert np.allclose(distance[5, 10:], np.arange(1, 31), atol=0.05)
    assert (distance_to(np.zeros((4, 4), dtype=bool)) == 0).all()


def test_sampled_distance_has_the_slope_of_full_pixels():
    ramp = torch.arange(40, dtype=torch.float64).expand(20, 40)[None] * 2 + 1
    uv = torch.tensor([[[20.0, 10.0], [31.0, 17.0]]], dtype=torch.float64)
    distance, slope = eq1._bilinear(ramp, uv, (40, 80))
    # Cell centres lie at full pixels 1, 3, 5, ...: the ramp is the pixel itself.
    torch.testing.assert_close(distance, uv[..., 0])
    torch.testing.assert_close(slope, torch.tensor([[[1.0, 0.0]] * 2], dtype=torch.float64))
