"""A learned pose prior in the motion problem: poses whose latent code is likely (Eq. 10)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from multithumbs.geometry.rotations import axis_angle_from_matrix, left_jacobian
from multithumbs.solvers.smoothing_chain import ACTIVE, NUM_MOTION, NUM_SHAPE

LineariseLatent = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From poses (N, 63) of SMPL's joints 1 to 21 the latent code (N, Z) and its derivative
(N, Z, 63)."""
_JOINTS = 21


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentPrior:
    """``|zeta|^2 / std^2`` per row: VPoser's codes are standard normal."""

    linearise: LineariseLatent
    std: float


def latent_cost(prior: LatentPrior, rotmats: Float[Tensor, "N 24 3 3"]) -> Float[Tensor, " N"]:
    """Cost of each row."""
    code, _ = prior.linearise(_pose(rotmats).flatten(1))
    return (code**2).sum(-1) / prior.std**2


def latent_equations(
    prior: LatentPrior, rotmats: Float[Tensor, "N 24 3 3"]
) -> Float[Tensor, "N Z E"]:
    """Weighted rows ``[by motion | by shape | residual]``; rotations are perturbed on the right."""
    pose = _pose(rotmats)
    code, by_pose = prior.linearise(pose.flatten(1))
    # log(exp(w) exp(d)) = w + Jr(w)^-1 d, and Jr(w) = Jl(-w).
    turn = torch.linalg.inv(left_jacobian(-pose))
    by_turn = torch.einsum("nzji,njik->nzjk", by_pose.unflatten(-1, (_JOINTS, 3)), turn)
    moved = [joint - 1 for joint in ACTIVE]
    rows = code.new_zeros(*code.shape, NUM_MOTION + NUM_SHAPE + 1)
    rows[..., 6:NUM_MOTION] = by_turn[:, :, moved].flatten(2)
    rows[..., -1] = code
    return rows / prior.std


def _pose(rotmats: Float[Tensor, "N 24 3 3"]) -> Float[Tensor, "N 21 3"]:
    return axis_angle_from_matrix(rotmats[:, 1 : 1 + _JOINTS])
