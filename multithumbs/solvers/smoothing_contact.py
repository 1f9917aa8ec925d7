"""Feet that stand: they do not slide, and their soles are on the floor."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from multithumbs.body import BodyModel
from multithumbs.solvers.smoothing_terms import motion_jacobian

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


def contact_cost(
    body: BodyModel,
    contact: Contact,
    rotmats: Float[Tensor, "N 24 3 3"],
    transl: Float[Tensor, "N 3"],
    betas: Float[Tensor, "N 10"],
) -> Float[Tensor, " N"]:
    """Cost per row; a displacement is charged to the earlier of its two rows."""
    soles = body.posed_by_matrices(rotmats, betas, transl).keypoints[:, list(SOLE_KEYPOINTS)]
    height = (soles[..., 1] - contact.height) / contact.floor_std_m
    cost = (contact.on_floor * height**2).sum(-1)
    moved = soles.diff(dim=0) / contact.still_std_m
    slide = (contact.still[:-1] * (moved**2).sum(-1)).sum(-1)
    return cost + torch.cat([slide, slide.new_zeros(1)])


class ContactModel(NamedTuple):
    """Gauss-Newton model of `contact_cost`; a displacement is charged to the earlier row."""

    hessian: Float[Tensor, "N D D"]
    ahead: Float[Tensor, "N_minus_1 D D"]
    """Block (next row, row)."""
    gradient: Float[Tensor, "N D"]
    border: Float[Tensor, "N D 10"]
    shape_hessian: Float[Tensor, "N 10 10"]
    shape_gradient: Float[Tensor, "N 10"]


def linearise_contact(
    body: BodyModel,
    contact: Contact,
    rotmats: Float[Tensor, "N 24 3 3"],
    transl: Float[Tensor, "N 3"],
    betas: Float[Tensor, "N 10"],
) -> ContactModel:
    """How standing feet pull at motion and shape.

    The shape matters: people of unknown size stand on one floor, and who is larger than
    assumed stands further away and seems to sink into it.
    """
    linear = body.linearise(rotmats, betas, transl)
    chosen = list(SOLE_KEYPOINTS)
    soles = linear.keypoints[:, chosen]
    by_motion = motion_jacobian(linear.keypoints_by_rotation[:, chosen])
    by_shape = linear.keypoints_by_betas[:, chosen]
    root = contact.on_floor.sqrt() / contact.floor_std_m
    up, grow = by_motion[:, :, 1] * root[..., None], by_shape[:, :, 1] * root[..., None]
    off = ((soles[..., 1] - contact.height) * root)[..., None]
    hessian = up.transpose(-1, -2) @ up
    gradient = (up * off).sum(1)
    border = up.transpose(-1, -2) @ grow
    shape_hessian = grow.transpose(-1, -2) @ grow
    shape_gradient = (grow * off).sum(1)
    # A foot that stands moves with neither shape nor time: the shape's part cancels here.
    root = (contact.still[:-1].sqrt() / contact.still_std_m)[..., None]
    before = (by_motion[:-1] * root[..., None]).flatten(1, 2)
    after = (by_motion[1:] * root[..., None]).flatten(1, 2)
    moved = (soles.diff(dim=0) * root).flatten(1)[..., None]
    hessian[:-1] += before.transpose(-1, -2) @ before
    hessian[1:] += after.transpose(-1, -2) @ after
    gradient[:-1] -= (before * moved).sum(1)
    gradient[1:] += (after * moved).sum(1)
    ahead = -after.transpose(-1, -2) @ before
    return ContactModel(hessian, ahead, gradient, border, shape_hessian, shape_gradient)
