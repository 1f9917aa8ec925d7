"""The body fit against exact derivatives and against bodies that are known."""

import functools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from multithumbs.body import EMBEDDED_BODY, BodyModel, load_body
from multithumbs.config.bodies import FitConfig
from multithumbs.geometry.projection import intrinsics, project
from multithumbs.geometry.rotations import matrix_from_axis_angle
from multithumbs.solvers.body_fit import Fit, fit_rows, gather_evidence, judge
from multithumbs.solvers.body_fit_chains import chains
from multithumbs.solvers.body_fit_smooth import smooth
from multithumbs.solvers.body_fit_start import start
from multithumbs.solvers.body_fit_terms import (
    NUM_PARAMETERS,
    BodyTerms,
    Evidence,
    FitState,
    retract,
)
from multithumbs.solvers.priors import pose_prior

HW = (720, 1280)
CONFIG = FitConfig(landmarks_face_ray=False)


@functools.cache
def body() -> BodyModel:
    return load_body(EMBEDDED_BODY)


def people(count: int, seed: int = 0) -> FitState:
    """Average adults in random poses within the limits, 3 to 7 m away, of any heading."""
    rng = np.random.default_rng(seed)
    prior = pose_prior(torch.zeros(1, dtype=torch.float64))
    noise = torch.from_numpy(rng.normal(0, 0.8, (count, 23, 3)))
    pose = torch.minimum(torch.maximum(prior.mean + noise * prior.spread, prior.low), prior.high)
    turn = torch.from_numpy(rng.uniform(0, 2 * math.pi, count))
    zero = torch.zeros_like(turn)
    upright = matrix_from_axis_angle(torch.stack([zero + math.pi, zero, zero], -1))
    root = upright @ matrix_from_axis_angle(torch.stack([zero, turn, zero], -1))
    depth = rng.uniform(3, 7, count)
    place = np.stack([rng.uniform(-0.15, 0.15, count) * depth, 0 * depth, depth], -1)
    return FitState(
        root, pose, torch.zeros(count, 10, dtype=torch.float64), torch.from_numpy(place)
    )


def observe(
    truth: FitState, *, pixels: float = 0.0, metres: float = 0.0, seed: int = 1
) -> tuple[Evidence, Tensor, Tensor]:
    rng = np.random.default_rng(seed)
    count = len(truth.root)
    points = body().posed_by_matrices(truth.rotmats(), truth.betas, truth.transl).keypoints
    K = intrinsics(torch.full((count,), math.hypot(*HW), dtype=torch.float64), HW)
    uv = project(points, K) + torch.from_numpy(rng.normal(0, 1, (count, 23, 2))) * pixels
    xyz = points - points[:, 11:13].mean(1, keepdim=True)
    xyz = xyz + torch.from_numpy(rng.normal(0, 1, (count, 23, 3))) * metres
    sure = torch.full((count, 23), 0.9, dtype=torch.float64)
    return gather_evidence(uv, sure, xyz, sure, K, CONFIG)


def fitted(evidence: Evidence, xyz: Tensor, weight: Tensor) -> Fit:
    return judge(body(), evidence, fit_rows(body(), evidence, xyz, weight, CONFIG), CONFIG)


def joints(state: FitState) -> Tensor:
    return body().posed_by_matrices(state.rotmats(), state.betas, state.transl).joints


def test_gradient_against_finite_differences() -> None:
    truth = people(3)
    evidence, xyz, weight = observe(truth, pixels=5, metres=0.05)
    state = start(body(), evidence, xyz, weight, CONFIG)
    state = state._replace(betas=state.betas + 0.3)
    terms = BodyTerms(body(), evidence, CONFIG, CONFIG.robust_scale)
    gradient = terms.linearise(state).gradient
    torch.testing.assert_close(terms.linearise(state).cost, terms.evaluate(state))
    step = 1e-6
    for parameter in range(NUM_PARAMETERS):
        move = torch.zeros(3, NUM_PARAMETERS, dtype=torch.float64)
        move[:, parameter] = step
        ahead = terms.evaluate(retract(state, move))
        behind = terms.evaluate(retract(state, -move))
        torch.testing.assert_close(
            (ahead - behind) / (4 * step), gradient[:, parameter], atol=2e-5, rtol=2e-5
        )


def test_hessian_is_positive_definite() -> None:
    evidence, xyz, weight = observe(people(4), pixels=3, metres=0.03)
    terms = BodyTerms(body(), evidence, CONFIG, CONFIG.robust_scale)
    hessian = terms.linearise(start(body(), evidence, xyz, weight, CONFIG)).hessian
    torch.testing.assert_close(hessian, hessian.transpose(-1, -2))
    assert float(torch.linalg.eigvalsh(hessian).min()) > 0


def test_exact_observations_give_back_the_body() -> None:
    truth = people(24)
    fit = fitted(*observe(truth))
    found, known = joints(fit.state), joints(truth)
    error = (found - found[:, :1] - known + known[:, :1]).norm(dim=-1).mean(-1)
    depth = found[:, 0, 2] / known[:, 0, 2] - 1
    assert float(error.median()) < 0.03
    assert float(error.max()) < 0.1
    assert abs(float(depth.median())) < 0.01
    assert float(depth.abs().max()) < 0.05
    assert float(fit.confidence.min()) > 0.8


def test_noise_of_a_network_leaves_depth_unbiased() -> None:
    truth = people(48, seed=3)
    fit = fitted(*observe(truth, pixels=4, metres=0.04))
    found, known = joints(fit.state), joints(truth)
    error = (found - found[:, :1] - known + known[:, :1]).norm(dim=-1).mean(-1)
    depth = found[:, 0, 2] / known[:, 0, 2] - 1
    assert float(error.median()) < 0.06
    assert abs(float(depth.median())) < 0.015
    assert float(depth.std()) < 0.05


def test_a_cut_off_person_is_placed_by_the_upper_body() -> None:
    truth = people(16, seed=4)
    evidence, xyz, weight = observe(truth, pixels=3, metres=0.03)
    hidden = torch.arange(23) >= 11
    evidence = evidence._replace(
        weight=evidence.weight.masked_fill(hidden, 0),
        direction_weight=evidence.direction_weight * 0
        + torch.tensor([1.0] * 4 + [0.0] * 4 + [1.0] + [0.0] * 3 + [1.0] * 3 + [0.0] * 4),
    )
    fit = fitted(evidence, xyz, weight)
    found, known = joints(fit.state), joints(truth)
    depth = found[:, 12, 2] / known[:, 12, 2] - 1
    assert abs(float(depth.median())) < 0.05
    assert float(fit.confidence.min()) > 0


def test_too_few_keypoints_fail() -> None:
    evidence, xyz, weight = observe(people(2))
    few = evidence.weight.clone()
    few[0, 4:] = 0
    fit = fitted(evidence._replace(weight=few), xyz, weight)
    assert float(fit.confidence[0]) == 0
    assert float(fit.confidence[1]) > 0.5


@pytest.mark.parametrize(("frames", "window"), [(3, 128), (40, 128), (40, 16)])
def test_a_tracklet_fitted_together_is_smoother_and_nearer(frames: int, window: int) -> None:
    still = people(1, seed=6)
    wave = torch.linspace(0, 1, frames, dtype=torch.float64)
    truth = FitState(*(x.expand(frames, *x.shape[1:]).clone() for x in still))
    truth.body[:, 15, 2] += wave
    truth.transl[:, 0] += wave * frames / 30
    evidence, xyz, weight = observe(truth, pixels=4, metres=0.04)
    alone = fitted(evidence, xyz, weight).state
    time_s = torch.arange(frames, dtype=torch.float64) / 30
    rows = torch.arange(frames)
    together = smooth(
        body(), evidence, alone, rows, time_s, CONFIG.model_copy(update={"smooth_rows": window})
    )
    known = joints(truth)

    def error(state: FitState) -> float:
        return float((joints(state) - known).norm(dim=-1).mean())

    def jerk(state: FitState) -> float:
        return float(joints(state).diff(n=2, dim=0).norm(dim=-1).mean())

    assert float((together.betas - together.betas[0]).abs().max()) == 0
    assert jerk(together) < 0.5 * jerk(alone)
    assert error(together) < 1.1 * error(alone)


def test_chains_join_neighbours_and_break_at_gaps() -> None:
    rng = np.random.default_rng(0)
    figure = rng.normal(0, 50, (2, 23, 2))
    figure[1, :, 0] += 400
    frame = np.repeat(np.array([0, 1, 2, 20, 21]), 2)
    uv = np.tile(figure, (5, 1, 1)) + rng.normal(0, 1, (10, 23, 2))
    uv[[2, 3]] = uv[[3, 2]]  # rows of one frame come in any order
    parts = chains(
        frame, frame / 30, uv, np.ones((10, 23)), np.full(10, 200.0),
        tolerance=0.08, min_similarity=0.4, max_gap_s=0.2,
    )  # fmt: skip
    assert sorted(map(list, parts)) == [[0, 3, 4], [1, 2, 5], [6, 8], [7, 9]]
