"""Feet that stand: they do not slide, and their soles are on the floor."""

from dataclasses import dataclass

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


def contact_normal(
    body: BodyModel,
    contact: Contact,
    rotmats: Float[Tensor, "N 24 3 3"],
    transl: Float[Tensor, "N 3"],
    betas: Float[Tensor, "N 10"],
) -> tuple[Float[Tensor, "N D D"], Float[Tensor, "N_minus_1 D D"], Float[Tensor, "N D"]]:
    """Diagonal blocks, blocks (next row, row), and gradient of `contact_cost`; the shape is
    taken as fixed here, for a foot's place hardly tells it."""
    linear = body.linearise(rotmats, betas, transl)
    chosen = list(SOLE_KEYPOINTS)
    soles = linear.keypoints[:, chosen]
    jacobian = motion_jacobian(linear.keypoints_by_rotation[:, chosen])
    up = jacobian[:, :, 1] * (contact.on_floor.sqrt() / contact.floor_std_m)[..., None]
    off = (soles[..., 1] - contact.height) * contact.on_floor.sqrt() / contact.floor_std_m
    own = up.transpose(-1, -2) @ up
    pull = (up * off[..., None]).sum(1)
    root = (contact.still[:-1].sqrt() / contact.still_std_m)[..., None]
    before = (jacobian[:-1] * root[..., None]).flatten(1, 2)
    after = (jacobian[1:] * root[..., None]).flatten(1, 2)
    moved = (soles.diff(dim=0) * root).flatten(1)[..., None]
    own[:-1] += before.transpose(-1, -2) @ before
    own[1:] += after.transpose(-1, -2) @ after
    pull[:-1] -= (before * moved).sum(1)
    pull[1:] += (after * moved).sum(1)
    return own, -after.transpose(-1, -2) @ before, pull
