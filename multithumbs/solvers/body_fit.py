"""Fit bodies to keypoints, each row on its own: evidence, start, Levenberg-Marquardt."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from multithumbs.body import BodyModel
from multithumbs.config.bodies import FitConfig
from multithumbs.geometry.rotations import (
    axis_angle_from_matrix,
    matrix_from_axis_angle,
    rotation_between,
)
from multithumbs.solvers.body_fit_start import TORSO, facing, limb_directions, start
from multithumbs.solvers.body_fit_terms import (
    KEYPOINT_STD,
    BodyTerms,
    Evidence,
    FitState,
    retract,
    select,
)
from multithumbs.solvers.levenberg_marquardt import Solution, solve

WIDE = 4.0
"""The robust scale starts this much wider, so that a poor start is pulled in, not given up."""
WIDE_ITERATIONS = 5
ROUND_ITERATIONS = 5
TOLERANCE = 1e-3
OTHER_HEADINGS_RAD = (1.0, -1.0, math.pi)


@dataclass(frozen=True, slots=True)
class Fit:
    """Bodies fitted to rows."""

    state: FitState
    cost: Float[Tensor, " B"]
    """Final cost: squared standard deviations, priors included."""
    residual_px: Float[Tensor, " B"]
    confidence: Float[Tensor, " B"]
    """0 to 1; 0 where the row failed."""


def gather_evidence(
    uv: Float[Tensor, "B 23 2"],
    confidence: Float[Tensor, "B 23"],
    xyz: Float[Tensor, "B 23 3"],
    xyz_confidence: Float[Tensor, "B 23"],
    K: Float[Tensor, "B 3 3"],
    config: FitConfig,
) -> tuple[Evidence, Float[Tensor, "B 23 3"], Float[Tensor, "B 23"]]:
    """Weights, noise and limb directions; also the landmarks in ``cam`` and their weights."""
    weight = torch.where(confidence >= config.min_confidence, confidence, 0.0)
    xyz_weight = torch.where(xyz_confidence >= config.min_confidence, xyz_confidence, 0.0)
    size = extent_px(uv, weight)
    if config.landmarks_face_ray:
        centre = _weighted_centre(uv, weight)
        offset = centre - K[:, :2, 2]
        focal = torch.stack([K[:, 0, 0], K[:, 1, 1]], -1)
        ray = torch.cat([offset / focal, torch.ones_like(offset[:, :1])], -1)
        ahead = ray.new_tensor([0.0, 0.0, 1.0]).expand_as(ray)
        xyz = xyz @ rotation_between(ahead, ray).transpose(-1, -2)
    direction, direction_weight = limb_directions(xyz, xyz_weight)
    relative = uv.new_tensor(KEYPOINT_STD)
    std = (config.keypoint_std * size) ** 2 + config.keypoint_std_px**2
    evidence = Evidence(
        uv=uv,
        weight=weight,
        std_px=relative * std.sqrt()[:, None],
        direction=direction,
        direction_weight=direction_weight,
        K=K,
        size_px=size,
    )
    return evidence, xyz, xyz_weight


def fit_rows(
    model: BodyModel,
    evidence: Evidence,
    xyz: Float[Tensor, "B 23 3"],
    xyz_weight: Float[Tensor, "B 23"],
    config: FitConfig,
    progress: Callable[[int], None] = lambda done: None,
) -> FitState:
    """The independent fit of every row, in chunks."""
    parts = []
    for begin in range(0, len(xyz), config.chunk_rows):
        rows = slice(begin, begin + config.chunk_rows)
        some = Evidence(*(x[rows] for x in evidence))
        state = start(model, some, xyz[rows], xyz_weight[rows], config)
        state = refine(model, some, state, config)
        blind = (xyz_weight[rows][:, TORSO] == 0).any(-1).nonzero().squeeze(-1)
        if len(blind):
            state = _try_headings(model, some, state, blind, config)
        parts.append(state)
        progress(min(begin + config.chunk_rows, len(xyz)))
    return FitState(*(torch.cat(x) for x in zip(*parts, strict=True)))


def _try_headings(
    model: BodyModel,
    evidence: Evidence,
    state: FitState,
    rows: Int64[Tensor, " R"],
    config: FitConfig,
) -> FitState:
    """Without 3D landmarks of the torso the heading is a guess: fit from others, keep the best."""
    some = Evidence(*(x[rows] for x in evidence))
    terms = BodyTerms(model, some, config, config.robust_scale)
    best = FitState(*(x[rows] for x in state))
    for heading in OTHER_HEADINGS_RAD:
        trial = refine(model, some, facing(best, heading), config)
        best = select(terms.evaluate(trial) < terms.evaluate(best), trial, best)
    return FitState(*(x.index_copy(0, rows, y) for x, y in zip(state, best, strict=True)))


def refine(model: BodyModel, evidence: Evidence, state: FitState, config: FitConfig) -> FitState:
    """Levenberg-Marquardt from a start: first with a wide robust scale, then as configured."""
    wide = BodyTerms(model, evidence, config, WIDE * config.robust_scale)
    state = _solve(wide, state, WIDE_ITERATIONS).state
    # Rows that have converged leave the batch, so that a few slow ones do not hold up the rest.
    rows = torch.arange(len(state.root), device=state.root.device)
    for _ in range(0, config.iterations, ROUND_ITERATIONS):
        some = Evidence(*(x[rows] for x in evidence))
        part = FitState(*(x[rows] for x in state))
        terms = BodyTerms(model, some, config, config.robust_scale)
        solution = _solve(terms, part, ROUND_ITERATIONS)
        state = FitState(
            *(x.index_copy(0, rows, y) for x, y in zip(state, solution.state, strict=True))
        )
        rows = rows[~solution.converged]
        if len(rows) == 0:
            break
    return state


def _solve(terms: BodyTerms, state: FitState, iterations: int) -> Solution[FitState]:
    return solve(
        terms.linearise,
        terms.evaluate,
        retract,
        select,
        state,
        max_iterations=iterations,
        relative_tolerance=TOLERANCE,
    )


def judge(model: BodyModel, evidence: Evidence, state: FitState, config: FitConfig) -> Fit:
    """How far each fitted row can be believed."""
    terms = BodyTerms(model, evidence, config, config.robust_scale)
    residual, trust = terms.residual_px(state)
    cost = terms.evaluate(state)
    weight = evidence.weight
    agreed = (weight * trust).sum(-1) / weight.sum(-1).clamp_min(1e-9)
    seen = (weight > 0).sum(-1)
    complete = (seen / 12).clamp_max(1)
    finite = _finite(state) & cost.isfinite()
    good = finite & (seen >= config.min_keypoints)
    good = good & (residual <= config.max_residual * evidence.size_px)
    confidence = torch.where(good, agreed * complete, torch.zeros_like(agreed))
    return Fit(state, cost, residual, confidence)


def pose_of(state: FitState) -> Float[Tensor, "B 24 3"]:
    """Axis-angle of all 24 joints."""
    wrapped = axis_angle_from_matrix(matrix_from_axis_angle(state.body))
    return torch.cat([axis_angle_from_matrix(state.root)[:, None], wrapped], 1)


def extent_px(uv: Float[Tensor, "B 23 2"], weight: Float[Tensor, "B 23"]) -> Float[Tensor, " B"]:
    """Diagonal of the box around the keypoints in use, at least one pixel."""
    used = (weight > 0)[..., None]
    high = torch.where(used, uv, -torch.inf).amax(1)
    low = torch.where(used, uv, torch.inf).amin(1)
    diagonal = (high - low).norm(dim=-1)
    return torch.where(diagonal.isfinite(), diagonal, torch.ones_like(diagonal)).clamp_min(1)


def _weighted_centre(
    uv: Float[Tensor, "B 23 2"], weight: Float[Tensor, "B 23"]
) -> Float[Tensor, "B 2"]:
    total = weight.sum(-1, keepdim=True)
    mean = (weight[..., None] * uv).sum(1) / total.clamp_min(1e-9)
    return torch.where(total > 0, mean, uv.mean(1))


def _finite(state: FitState) -> Bool[Tensor, " B"]:
    return torch.stack([x.flatten(1).isfinite().all(-1) for x in state]).all(0)
