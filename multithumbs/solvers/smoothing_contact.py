"""Feet that stand: they do not slide, and their soles are on the floor."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from multithumbs.body import PosedLinear
from multithumbs.solvers.smoothing_terms import motion_columns

SOLE_KEYPOINTS = (17, 18, 19, 20, 21, 22)
"""Big toe, small toe and heel of the left foot, then of the right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """Standing soles in `ground` axes (+y up)."""

    still: Float[Tensor, "N 6"]
    """Weight of "does not move until the next row"; 0 at the last row of a sequence."""
    on_floor: Float[Tensor, "N 6"]
    """Weight of "at height `height`"."""
    height: Float[Tensor, " 6"]
    """Of each sole keypoint above the floor when the foot lies flat, metres."""
    still_std_m: float
    """Of a standing point's displacement from row to row."""
    floor_std_m: float


def contact_cost(contact: Contact, keypoints: Float[Tensor, "N 23 3"]) -> Float[Tensor, " N"]:
    """Cost per row, given its posed keypoints; a displacement is charged to the earlier row."""
    soles = keypoints[:, list(SOLE_KEYPOINTS)]
    height = (soles[..., 1] - contact.height) / contact.floor_std_m
    cost = (contact.on_floor * height**2).sum(-1)
    moved = soles.diff(dim=0) / contact.still_std_m
    slide = (contact.still[:-1] * (moved**2).sum(-1)).sum(-1)
    return cost + torch.cat([slide, slide.new_zeros(1)])


def floor_equations(contact: Contact, linear: PosedLinear) -> Float[Tensor, "N 6 E"]:
    """Weighted rows ``[by motion | by shape | residual]`` of "stands on the floor".

    The shape matters: people of unknown size stand on one floor, and who is larger than
    assumed stands further away and seems to sink into it.
    """
    chosen = list(SOLE_KEYPOINTS)
    root = (contact.on_floor.sqrt() / contact.floor_std_m)[..., None]
    by_rotation = motion_columns(linear.keypoints_by_rotation[:, chosen, 1])
    by_transl = torch.zeros_like(by_rotation[..., :3])
    by_transl[..., 1] = 1
    by_shape = linear.keypoints_by_betas[:, chosen, 1]
    off = (linear.keypoints[:, chosen, 1] - contact.height)[..., None]
    return torch.cat([by_transl, by_rotation, by_shape, off], -1) * root


class StillModel(NamedTuple):
    """Gauss-Newton model of "does not move until the next row"."""

    hessian: Float[Tensor, "N D D"]
    ahead: Float[Tensor, "N_minus_1 D D"]
    """Block (next row, row)."""
    gradient: Float[Tensor, "N D"]


def still_equations(contact: Contact, linear: PosedLinear) -> StillModel:
    """How feet that stand tie a row to the next; a shape that both rows share hardly enters."""
    chosen = list(SOLE_KEYPOINTS)
    by_rotation = motion_columns(linear.keypoints_by_rotation[:, chosen].flatten(1, 2))
    eye = torch.eye(3, dtype=by_rotation.dtype, device=by_rotation.device).repeat(6, 1)
    jacobian = torch.cat([eye.expand(len(by_rotation), 18, 3), by_rotation], -1)
    root = (contact.still[:-1].sqrt() / contact.still_std_m).repeat_interleave(3, 1)
    before, after = jacobian[:-1] * root[..., None], jacobian[1:] * root[..., None]
    moved = linear.keypoints[:, chosen].diff(dim=0).flatten(1)[..., None] * root[..., None]
    size = jacobian.shape[-1]
    hessian = jacobian.new_zeros(len(jacobian), size, size)
    gradient = jacobian.new_zeros(len(jacobian), size)
    hessian[:-1] += before.transpose(-1, -2) @ before
    hessian[1:] += after.transpose(-1, -2) @ after
    gradient[:-1] -= (before * moved).sum(1)
    gradient[1:] += (after * moved).sum(1)
    return StillModel(hessian, -after.transpose(-1, -2) @ before, gradient)
