"""How people move from row to row: accelerations, and who is livelier than usual."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from multithumbs.geometry.rotations import axis_angle_from_matrix
from multithumbs.solvers.smoothing_chain import ACTIVE, TURNED
from multithumbs.solvers.smoothing_terms import Weights


class Motion(NamedTuple):
    """What is solved for: ``N`` person-frames, sorted by person, then time; ``P`` persons."""

    rotmats: Float[Tensor, "N 24 3 3"]
    """Row 0 is the orientation in the world."""
    transl: Float[Tensor, "N 3"]
    betas: Float[Tensor, "P 10"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """How rows follow each other."""

    person: Int64[Tensor, " N"]
    time_s: Float[Tensor, " N"]
    linked: Bool[Tensor, " N"]
    """Whether the next row is the same person's next frame."""
    activity: Float[Tensor, " N"]
    """Factor on the usual accelerations around each row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curvature:
    """Second differences over rows ``n, n + 1, n + 2``: factors of the three, in std."""

    factors: Float[Tensor, "M 3"]
    std: Float[Tensor, " D"]
    transl_huber: float


def measured_activity(
    motion: Motion, timeline: Timeline, weights: Weights, *, usual: float, power: float, reach: int
) -> Float[Tensor, " N"]:
    """By how much people move more than usual: ``activity`` for a second round, from a first.

    The smoother that suits someone who stands would freeze a runner's legs. What is left of
    their angular accelerations after a first round tells the two apart; being smoothed already,
    the lively have lost more of them, hence the power.

    Args:
        motion: what the first round found, with ``timeline.activity`` as it was there.
        timeline: how rows follow each other.
        weights: standard deviations of the accelerations.
        usual: mean acceleration, in standard deviations, up to which the answer is 1.
        power: of the ratio to it.
        reach: rows before and after over which the mean is taken, of one person's.
    """
    curvature = curvature_of(timeline, weights)
    bend = bend_of(motion, curvature)[:, 3:].square().mean(-1).sqrt()
    known = curvature.factors[:, 1] != 0
    row = torch.arange(len(timeline.person), device=bend.device)
    starts = torch.searchsorted(timeline.person, timeline.person, right=False)
    ends = torch.searchsorted(timeline.person, timeline.person, right=True)
    low, high = torch.maximum(row - reach, starts), torch.minimum(row + reach + 1, ends)
    total, count = (
        torch.nn.functional.pad(values.double(), (2, 1)).cumsum(0)
        for values in (bend * known, known)
    )
    mean = (total[high] - total[low]) / (count[high] - count[low]).clamp_min(1)
    return (mean / usual).clamp_min(1).to(bend) ** power


def curvature_of(timeline: Timeline, weights: Weights) -> Curvature:
    time, linked = timeline.time_s, timeline.linked
    both = linked[:-2] & linked[1:-1]
    before, after = time.diff()[:-1], time.diff()[1:]
    ones = torch.ones_like(before)
    before, after = torch.where(both, before, ones), torch.where(both, after, ones)
    half = (before + after) / 2
    first, last = 1 / (before * half), 1 / (after * half)
    known = both / timeline.activity[1:-1]
    factors = torch.stack([first, -first - last, last], -1) * known[:, None]
    std = torch.cat(
        [
            time.new_full((3,), weights.transl_std_m_s2),
            time.new_full((3,), weights.root_std_rad_s2),
            time.new_full((3 * len(ACTIVE),), weights.pose_std_rad_s2),
        ]
    )
    return Curvature(factors=factors, std=std, transl_huber=weights.transl_huber)


def bend_of(motion: Motion, curvature: Curvature) -> Float[Tensor, "M D"]:
    """Accelerations in standard deviations: translation, then the tangents of the rotations."""
    f0, f1, f2 = (f[:, None] for f in curvature.factors.unbind(-1))
    p = motion.transl
    linear = f0 * p[:-2] + f1 * p[1:-1] + f2 * p[2:]
    turned = motion.rotmats[:, TURNED]
    steps = axis_angle_from_matrix(turned[:-1].transpose(-1, -2) @ turned[1:]).flatten(1)
    angular = f2 * steps[1:] - f0 * steps[:-1]
    return torch.cat([linear, angular], -1) / curvature.std


def bend_weight(bend: Float[Tensor, "M D"], curvature: Curvature) -> Float[Tensor, "M D"]:
    """Huber's weight of the translation, where a wrong cut may jump; 1 for rotations."""
    size = bend[:, :3].norm(dim=-1, keepdim=True)
    weight = torch.ones_like(bend)
    weight[:, :3] = (curvature.transl_huber / size.clamp_min(1e-12)).clamp_max(1)
    return weight


def bend_cost(bend: Float[Tensor, "M D"], curvature: Curvature) -> Float[Tensor, " M"]:
    size, limit = bend[:, :3].norm(dim=-1), curvature.transl_huber
    linear = torch.where(size <= limit, size**2, 2 * limit * size - limit**2)
    return linear + (bend[:, 3:] ** 2).sum(-1)
