"""Which soles stand on the floor, from a motion that is already smooth."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor


class Standing(NamedTuple):
    """Weights from 0 (moves, or in the air) to 1 (stands)."""

    still: Float[Tensor, "N K"]
    """From this row to the next; 0 where no row follows."""
    on_floor: Float[Tensor, "N K"]


def stand(
    soles: Float[Tensor, "N K 3"],
    height: Float[Tensor, " K"],
    time_s: Float[Tensor, " N"],
    linked: Bool[Tensor, " N"],
    *,
    max_speed: float,
    max_height: float,
) -> Standing:
    """Soles that are slow and low.

    Args:
        soles: in ``ground`` axes (+y up, floor at 0), metres.
        height: of each point above the floor when its foot lies flat.
        time_s, linked: when each row is, and whether the next row follows it.
        max_speed: at which a sole counts half, m/s.
        max_height: above the floor, at which a sole counts half, metres.
    """
    speed = soles.new_full(soles.shape[:2], torch.inf)
    step = time_s.diff()
    moved = soles.diff(dim=0).norm(dim=-1) / step.abs().clamp_min(1e-6)[:, None]
    speed[:-1] = torch.where(linked[:-1, None], moved, torch.inf)
    slow = 1 / (1 + (speed / max_speed) ** 4)
    low = 1 / (1 + ((soles[..., 1] - height).clamp_min(0) / max_height) ** 4)
    before = torch.cat([slow[:1], torch.where(linked[:-1, None], slow[:-1], slow[1:])])
    still = slow * low
    still[:-1] *= low[1:]
    return Standing(still=still, on_floor=low * torch.maximum(slow, before))
