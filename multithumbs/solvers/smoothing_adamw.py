"""The paper's post-processing, Eq. 9-11, as printed, by AdamW.

There is no data term away from the cuts: what holds the motion is that AdamW stops after a
fixed number of small steps. Kept as the reference that the least-squares solver must beat.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from multithumbs.body import BodyModel
from multithumbs.geometry.projection import project
from multithumbs.solvers.priors import limit_residual, pose_prior

PoseLatent = Callable[[Tensor], Tensor]
"""From body poses (N, 23, 3) the latent code zeta (N, Z) of Eq. 10: VPoser's encoder, or a
stand-in."""


def joint_limits(body_pose: Float[Tensor, "N 23 3"]) -> Float[Tensor, "N 69"]:
    """Stand-in for VPoser: how far each angle is past its joint's limits, per 0.1 rad."""
    residual, _ = limit_residual(body_pose, pose_prior(body_pose), 0.1)
    return residual.flatten(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """``X`` person-frames at cuts, each seen through the other side's camera (Eq. 11)."""

    row: Int64[Tensor, " X"]
    """The body that is projected ..."""
    cam_from_world: Float[Tensor, "X 4 4"]
    """... by the camera across the cut ..."""
    K: Float[Tensor, "X 3 3"]
    uv: Float[Tensor, "X 23 2"]
    """... and compared with what that camera saw, pixels."""
    weight: Float[Tensor, "X 23"]
    """1, or 0 where that camera saw nothing."""


class Bodies(NamedTuple):
    """``N`` person-frames of ``P`` persons."""

    pose: Float[Tensor, "N 24 3"]
    transl: Float[Tensor, "N 3"]
    betas: Float[Tensor, "P 10"]


def loss(
    body: BodyModel,
    state: Bodies,
    person: Int64[Tensor, " N"],
    follows: Int64[Tensor, " M"],
    crossing: Crossing,
    latent: PoseLatent,
    *,
    smooth_weight: float,
    cross_weight: float,
) -> Float[Tensor, ""]:
    """Eq. 9. ``follows[m]`` is a row whose person's next frame is the next row."""
    posed = body.posed(state.pose, state.betas[person], state.transl)
    moved = posed.joints[follows] - posed.joints[follows + 1]
    smooth = (moved**2).sum() + (state.betas**2).sum() + (latent(state.pose[:, 1:]) ** 2).sum()
    keypoints = posed.keypoints[crossing.row]
    rotation = crossing.cam_from_world[:, :3, :3]
    cam = keypoints @ rotation.transpose(-1, -2) + crossing.cam_from_world[:, None, :3, 3]
    off = (project(cam, crossing.K) - crossing.uv) * crossing.weight[..., None]
    return smooth_weight * smooth + cross_weight * (off**2).sum()


def minimise(
    body: BodyModel,
    start: Bodies,
    person: Int64[Tensor, " N"],
    follows: Int64[Tensor, " M"],
    crossing: Crossing,
    latent: PoseLatent,
    *,
    smooth_weight: float,
    cross_weight: float,
    learning_rate: float,
    weight_decay: float,
    iterations: int,
    progress: Callable[[int], None],
) -> Bodies:
    """AdamW from ``start`` for a fixed number of iterations."""
    state = Bodies(*(x.clone().requires_grad_() for x in start))
    optimiser = torch.optim.AdamW(list(state), lr=learning_rate, weight_decay=weight_decay)
    for done in range(iterations):
        optimiser.zero_grad()
        loss(
            body, state, person, follows, crossing, latent,
            smooth_weight=smooth_weight, cross_weight=cross_weight,
        ).backward()  # fmt: skip
        optimiser.step()
        progress(done + 1)
    return Bodies(*(x.detach() for x in state))
