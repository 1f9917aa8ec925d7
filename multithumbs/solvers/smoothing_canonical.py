"""Multi-shot optimisation of Pavlakos et al., "Human Mesh Recovery from Multiple Shots", Eq. 1-3.

One person at a time and without any relation between the cameras of a cut: reprojection and
prior in every frame, and smoothness of the body in its *canonical* frame, which has no global
orientation, so that it holds across a cut. Everyone is one batch; nothing couples two people.
The terms' weights are not published; ours are standard deviations.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from multithumbs.body import BodyModel
from multithumbs.geometry.projection import project
from multithumbs.solvers.priors import limit_residual, pose_prior


class CanonicalState(NamedTuple):
    """``N`` person-frames of ``P`` persons."""

    pose: Float[Tensor, "N 24 3"]
    """Axis-angle; row 0 is the orientation in the world of its own shot."""
    transl: Float[Tensor, "N 3"]
    betas: Float[Tensor, "P 10"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CanonicalProblem:
    """What was seen."""

    person: Int64[Tensor, " N"]
    follows: Int64[Tensor, " M"]
    """Rows whose person's next frame is the next row, cuts included."""
    cam_from_world: Float[Tensor, "N 4 4"]
    K: Float[Tensor, "N 3 3"]
    uv: Float[Tensor, "N 23 2"]
    confidence: Float[Tensor, "N 23"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CanonicalWeights:
    """Standard deviations of the residuals, and of AdamW's steps."""

    keypoint_px: float = 5.0
    robust_px: float = 50.0
    """Scale of Geman-McClure's loss on keypoints (SMPLify's kind of data term)."""
    initial_rad: float = 0.3
    """Of a body rotation around the initial estimate: a regressor's, as in the paper."""
    joint_m: float = 0.03
    """Of a canonical joint's step from frame to frame (Eq. 1)."""
    param_rad: float = 0.15
    """Of a rotation's step from frame to frame (Eq. 2)."""
    learning_rate: float = 5e-3
    iterations: int = 300


def loss(
    body: BodyModel, state: CanonicalState, start: CanonicalState, problem: CanonicalProblem,
    weights: CanonicalWeights,
) -> Float[Tensor, ""]:  # fmt: skip
    """Eq. 3."""
    betas = state.betas[problem.person]
    points = body.posed(state.pose, betas, state.transl).keypoints
    rotation = problem.cam_from_world[:, :3, :3]
    cam = points @ rotation.transpose(-1, -2) + problem.cam_from_world[:, None, :3, 3]
    squared = ((project(cam, problem.K) - problem.uv) ** 2).sum(-1)
    robust = squared / (1 + squared / weights.robust_px**2)
    projected = (problem.confidence * robust).sum() / weights.keypoint_px**2
    limits, _ = limit_residual(state.pose[:, 1:], pose_prior(state.pose), 0.1)
    moved = (state.pose[:, 1:] - start.pose[:, 1:]) / weights.initial_rad
    prior = (limits**2).sum() + (moved**2).sum() + ((state.betas - start.betas) ** 2).sum()
    still = torch.cat([torch.zeros_like(state.pose[:, :1]), state.pose[:, 1:]], dim=1)
    canonical = body.posed(still, betas, torch.zeros_like(state.transl)).joints
    canonical = canonical - canonical[:, :1]
    after = problem.follows + 1
    joint = (canonical[after] - canonical[problem.follows]) / weights.joint_m
    param = (state.pose[after, 1:] - state.pose[problem.follows, 1:]) / weights.param_rad
    return projected + prior + (joint**2).sum() + (param**2).sum()


def minimise(
    body: BodyModel, start: CanonicalState, problem: CanonicalProblem, weights: CanonicalWeights
) -> CanonicalState:
    """Adam from ``start`` for a fixed number of iterations."""
    state = CanonicalState(*(x.clone().requires_grad_() for x in start))
    optimiser = torch.optim.Adam(list(state), lr=weights.learning_rate)
    for _ in range(weights.iterations):
        optimiser.zero_grad()
        loss(body, state, start, problem, weights).backward()
        optimiser.step()
    return CanonicalState(*(x.detach() for x in state))
