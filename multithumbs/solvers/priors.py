"""What a human body can do, and does mostly: limits and spreads of SMPL's joint rotations.

Axes are those of SMPL's T-pose: +x the person's left, +y up, +z out of the chest. A joint's
rotation is its axis-angle vector, whose components are bounded and spread one by one: crude
for a shoulder, exact for a hinge, and linear in what the solver moves. The numbers are
anatomical ranges of motion (normal adults, with some slack), not learned from any data set.
"""

from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from multithumbs.types.skeleton import JOINT_NAMES

_WIDE = 0.01
"""Spread of joints that no keypoint observes: they stay where the prior puts them."""

# Joint: (mean, spread, lowest, highest), radians, of the left side's x, y, z.
_TABLE: dict[str, tuple[tuple[float, ...], ...]] = {
    "hip": ((-0.15, 0.0, 0.05), (0.6, 0.25, 0.25), (-2.2, -0.8, -0.45), (0.5, 0.8, 1.1)),
    "knee": ((0.3, 0.0, 0.0), (0.6, 0.08, 0.08), (0.0, -0.25, -0.15), (2.6, 0.25, 0.15)),
    "ankle": ((0.0, 0.0, 0.0), (0.3, 0.2, 0.15), (-0.7, -0.6, -0.5), (0.9, 0.6, 0.5)),
    "foot": ((0.0, 0.0, 0.0), (_WIDE,) * 3, (-0.1,) * 3, (0.1,) * 3),
    "collar": ((0.0, 0.0, 0.0), (0.1, 0.12, 0.15), (-0.2, -0.4, -0.5), (0.2, 0.4, 0.7)),
    "shoulder": ((0.0, -0.2, -1.1), (0.4, 0.7, 0.6), (-1.5, -2.0, -1.8), (1.5, 1.0, 1.6)),
    "elbow": ((0.0, -0.5, 0.0), (0.15, 0.7, 0.1), (-0.6, -2.7, -0.3), (0.6, 0.0, 0.3)),
    "wrist": ((0.0, 0.0, 0.0), (_WIDE,) * 3, (-0.1,) * 3, (0.1,) * 3),
    "hand": ((0.0, 0.0, 0.0), (_WIDE,) * 3, (-0.1,) * 3, (0.1,) * 3),
    "spine1": ((0.05, 0.0, 0.0), (0.2, 0.1, 0.1), (-0.3, -0.3, -0.3), (0.8, 0.3, 0.3)),
    "spine2": ((0.0, 0.0, 0.0), (0.12, 0.12, 0.1), (-0.3, -0.4, -0.3), (0.5, 0.4, 0.3)),
    "spine3": ((0.0, 0.0, 0.0), (0.08, 0.12, 0.1), (-0.3, -0.4, -0.3), (0.4, 0.4, 0.3)),
    "neck": ((0.05, 0.0, 0.0), (0.2, 0.3, 0.15), (-0.7, -0.9, -0.5), (0.8, 0.9, 0.5)),
    "head": ((0.0, 0.0, 0.0), (0.15, 0.25, 0.12), (-0.6, -0.8, -0.4), (0.6, 0.8, 0.4)),
}

FREE_JOINTS: tuple[int, ...] = tuple(
    index
    for index, name in enumerate(JOINT_NAMES)
    if index > 0 and _TABLE[name.split("_")[-1]][1][0] > _WIDE
)
"""Joints besides the root that keypoints can observe (all but toes, wrists and hands)."""


@dataclass(frozen=True, slots=True)
class PosePrior:
    """Per component of the 23 joints' axis-angle vectors, radians."""

    mean: Float[Tensor, "23 3"]
    spread: Float[Tensor, "23 3"]
    low: Float[Tensor, "23 3"]
    high: Float[Tensor, "23 3"]


@cache
def _rows() -> tuple[tuple[tuple[float, ...], ...], ...]:
    rows = []
    for name in JOINT_NAMES[1:]:
        mean, spread, low, high = _TABLE[name.split("_")[-1]]
        if name.startswith("right_"):
            # Mirrored through the sagittal plane: rotations about y and z change sign.
            (_, my, mz), (lx, ly, lz), (hx, hy, hz) = mean, low, high
            mean, low, high = (mean[0], -my, -mz), (lx, -hy, -hz), (hx, -ly, -lz)
        rows.append((mean, spread, low, high))
    return tuple(rows)


def pose_prior(like: Float[Tensor, "..."]) -> PosePrior:
    """The prior in the dtype and on the device of ``like``."""
    table = torch.tensor(_rows(), dtype=like.dtype, device=like.device)
    return PosePrior(*table.unbind(1))


def spread_residual(
    body: Float[Tensor, "*batch 23 3"], prior: PosePrior
) -> Float[Tensor, "*batch 23 3"]:
    """Distance from the mean in spreads; its derivative is ``1 / spread`` per component."""
    return (body - prior.mean) / prior.spread


def limit_residual(
    body: Float[Tensor, "*batch 23 3"], prior: PosePrior, softness_rad: float
) -> tuple[Float[Tensor, "*batch 23 3"], Float[Tensor, "*batch 23 3"]]:
    """How far each component is past its limits over ``softness_rad``, and its derivative."""
    over = (body - prior.high).clamp_min(0) + (body - prior.low).clamp_max(0)
    return over / softness_rad, (over != 0).to(body.dtype) / softness_rad
