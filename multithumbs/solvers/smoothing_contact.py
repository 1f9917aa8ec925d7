"""Feet that stand: they do not slide, and their soles are on the floor."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from multithumbs.solvers.smoothing_chain import NUM_MOTION, NUM_SHAPE, Chain, Pose, by_turns
from multithumbs.solvers.smoothing_terms import fill_turns

SOLE_KEYPOINTS = (17, 18, 19, 20, 21, 22)
"""Big toe, small toe and heel of the left foot, then of the right."""
_FIRST = SOLE_KEYPOINTS[0]
NUM_CONTACT = 4 * len(SOLE_KEYPOINTS)
"""Equations of a row: three of "does not move" for each sole keypoint, then "on the floor"."""


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


def contact_cost(contact: Contact, keypoints: Float[Tensor, "23 3 N"]) -> Float[Tensor, " N"]:
    """Cost per row, given its posed keypoints; a displacement is charged to the earlier row."""
    soles = keypoints[_FIRST:]
    height = (soles[:, 1] - contact.height[:, None]) / contact.floor_std_m
    cost = (contact.on_floor.T * height**2).sum(0)
    moved = soles.diff(dim=-1) / contact.still_std_m
    cost[:-1] += (contact.still[:-1].T * (moved**2).sum(1)).sum(0)
    return cost


def contact_equations(
    out: Float[Tensor, "24 E N"],
    contact: Contact,
    chain: Chain,
    pose: Pose,
    levers: Float[Tensor, "L 3 N"],
) -> None:
    """Fill in weighted rows ``[by motion | by shape | residual]``.

    "Does not move" ties a row to the one before and the one after; here is what it says to one
    row while the others stay (`next_blocks` couples them). A shape that both rows share hardly
    enters. On the floor it matters: people of unknown size stand on one floor, and who is larger
    than assumed stands further away and seems to sink into it.
    """
    soles, count = pose.keypoints[_FIRST:], len(SOLE_KEYPOINTS)
    eye = torch.eye(3, dtype=out.dtype, device=out.device)
    chosen = (chain.pair_point >= _FIRST).nonzero()[:, 0]
    point, column = chain.pair_point[chosen] - _FIRST, chain.pair_column[chosen]
    turns = by_turns(pose.axes[chain.pair_joint[chosen]], levers[chosen], eye[None, ..., None])

    still, floor = out[: 3 * count], out[3 * count :]
    forward = _forward(contact)
    both = forward + torch.nn.functional.pad(forward, (1, -1))
    root = both.sqrt()[:, None]
    fill_turns(still, turns * root[point, :, None], point, column)
    rows = still.view(count, 3, *out.shape[1:])
    rows[:, :, :3] = root[:, :, None] * eye[..., None]
    pull = forward[:, None] * torch.nn.functional.pad(soles.diff(dim=-1), (0, 1))
    pull = torch.nn.functional.pad(pull, (1, -1)) - pull
    rows[:, :, -1] = pull / root.clamp_min(1e-12)

    root = (contact.on_floor.sqrt() / contact.floor_std_m).T
    fill_turns(floor, turns[:, 1:2] * root[point, None, None], point, column)
    floor[:, 1] = root
    floor[:, NUM_MOTION : NUM_MOTION + NUM_SHAPE] = pose.by_betas[_FIRST:, :, 1] * root[:, None]
    floor[:, -1] = (soles[:, 1] - contact.height[:, None]) * root


def next_blocks(
    contact: Contact, equations: Float[Tensor, "N 24 E"], size: int
) -> Float[Tensor, "N_minus_1 D D"]:
    """Blocks (row, next row) of the first ``size`` unknowns: feet that stand tie the two.

    ``equations`` are `contact_equations`' rows of all rows.
    """
    forward = _forward(contact)
    both = (forward + torch.nn.functional.pad(forward, (1, -1))).clamp_min(1e-12)
    share = forward[:, :-1] / (both[:, :-1] * both[:, 1:]).sqrt()
    still = equations[:, : 3 * len(SOLE_KEYPOINTS), :size]
    scaled = still[:-1] * share.T.repeat_interleave(3, 1)[..., None]
    return -scaled.transpose(-1, -2) @ still[1:]


def _forward(contact: Contact) -> Float[Tensor, "6 N"]:
    """Precision of "does not move until the next row", 1/m^2."""
    forward = contact.still.T / contact.still_std_m**2
    return torch.nn.functional.pad(forward[:, :-1], (0, 1))
