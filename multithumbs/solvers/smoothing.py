"""Everyone's motion through the whole video as one robust least-squares problem.

The paper's Eq. 9-11 has no data term: its minimum is a body that stands still. Here every
frame's keypoints are reprojected (Eq. 3 everywhere instead of at the cuts alone), *acceleration*
is penalised instead of motion, feet that touch the floor stay where they are, and one shape
belongs to one person. Frames couple to the next two only, so the cost is linear in frames.
A cut is no boundary: the person's motion goes on, another camera sees it.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from multithumbs.body import BodyModel
from multithumbs.geometry.rotations import axis_angle_from_matrix, matrix_from_axis_angle
from multithumbs.solvers.banded import BlockBand, solve_bordered
from multithumbs.solvers.smoothing_contact import (
    Contact,
    contact_cost,
    floor_equations,
    still_equations,
)
from multithumbs.solvers.smoothing_latent import LatentPrior, latent_cost, latent_equations
from multithumbs.solvers.smoothing_terms import (
    ACTIVE,
    NUM_MOTION,
    Frames,
    Weights,
    keypoint_equations,
    normal_equations,
    row_costs,
)

_ROTATED = [0, *ACTIVE]
_DAMPING = 1e-5
"""Marquardt's, at first: against a diagonal that second differences make a thousand times the
data's. More would hold the slow motion that they leave free, and cost two steps."""


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
class _Curvature:
    """Second differences over rows ``n, n + 1, n + 2``: factors of the three, in std."""

    factors: Float[Tensor, "M 3"]
    std: Float[Tensor, " D"]
    transl_huber: float


def smooth(
    body: BodyModel,
    frames: Frames,
    timeline: Timeline,
    weights: Weights,
    motion: Motion,
    contact: Contact | None,
    *,
    shape_precision: Float[Tensor, " P"],
    max_iterations: int,
    relative_tolerance: float,
    latent: LatentPrior | None = None,
) -> Motion:
    """Levenberg-Marquardt with a damping of its own for every person.

    Args:
        body: the body model.
        frames: what is known of each row.
        timeline: how rows follow each other.
        weights: standard deviations of all terms.
        motion: the start, and what the prior pulls to.
        contact: feet that stand, or None.
        shape_precision: of each person's start shape, per squared unit of betas.
        max_iterations: linearisations at most.
        relative_tolerance: a person is done once a step changes their cost by less than this
            fraction.
        latent: a learned prior of poses, or None.
    """
    people = len(motion.betas)
    person = timeline.person
    curvature = _curvature(timeline, weights)
    start, prior = motion, shape_precision.numpy(force=True)

    def cost(state: Motion) -> Float[Tensor, " P"]:
        posed = body.posed_by_matrices(state.rotmats, state.betas[person], state.transl)
        rows = row_costs(posed.keypoints, frames, weights, state.rotmats, state.transl)
        if contact is not None:
            rows = rows + contact_cost(contact, posed.keypoints)
        if latent is not None:
            rows = rows + latent_cost(latent, state.rotmats)
        bend = _bend_cost(state, curvature)
        total = rows.new_zeros(people).index_add(0, person, rows)
        total = total.index_add(0, person[: len(bend)], bend)
        return total + shape_precision * ((state.betas - start.betas) ** 2).sum(-1)

    best = cost(motion)
    damping = torch.full_like(best, _DAMPING)
    active = torch.ones_like(best, dtype=torch.bool)
    for _ in range(max_iterations):
        step = _step(body, frames, timeline, weights, curvature, contact, latent, motion, start,
                     prior, damping)  # fmt: skip
        if step is None:
            damping = damping * 10
            if float(damping.min()) > 1e6:
                break
            continue
        trial = _retract(motion, *step)
        trial_cost = cost(trial)
        better = active & (trial_cost < best)
        gain = (best - trial_cost) / best.clamp_min(1e-30)
        motion = _select(better, person, trial, motion)
        best = torch.where(better, trial_cost, best)
        damping = torch.where(better, (damping / 5).clamp_min(1e-8), damping * 8)
        # A step that loses as little has come to where the model is as good as it gets.
        active &= ~(gain.abs() < relative_tolerance) & (damping < 1e6)
        if not bool(active.any()):
            break
    return motion


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
    curvature = _curvature(timeline, weights)
    bend = _bend(motion, curvature)[:, 3:].square().mean(-1).sqrt()
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


def _curvature(timeline: Timeline, weights: Weights) -> _Curvature:
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
    return _Curvature(factors=factors, std=std, transl_huber=weights.transl_huber)


def _bend(motion: Motion, curvature: _Curvature) -> Float[Tensor, "M D"]:
    """Accelerations in standard deviations: translation, then the tangents of the rotations."""
    f0, f1, f2 = (f[:, None] for f in curvature.factors.unbind(-1))
    p = motion.transl
    linear = f0 * p[:-2] + f1 * p[1:-1] + f2 * p[2:]
    turned = motion.rotmats[:, _ROTATED]
    steps = axis_angle_from_matrix(turned[:-1].transpose(-1, -2) @ turned[1:]).flatten(1)
    angular = f2 * steps[1:] - f0 * steps[:-1]
    return torch.cat([linear, angular], -1) / curvature.std


def _bend_weight(bend: Float[Tensor, "M D"], curvature: _Curvature) -> Float[Tensor, "M D"]:
    """Huber's weight of the translation, where a wrong cut may jump; 1 for rotations."""
    size = bend[:, :3].norm(dim=-1, keepdim=True)
    weight = torch.ones_like(bend)
    weight[:, :3] = (curvature.transl_huber / size.clamp_min(1e-12)).clamp_max(1)
    return weight


def _bend_cost(motion: Motion, curvature: _Curvature) -> Float[Tensor, " M"]:
    bend = _bend(motion, curvature)
    size, limit = bend[:, :3].norm(dim=-1), curvature.transl_huber
    linear = torch.where(size <= limit, size**2, 2 * limit * size - limit**2)
    return linear + (bend[:, 3:] ** 2).sum(-1)


def _step(
    body: BodyModel,
    frames: Frames,
    timeline: Timeline,
    weights: Weights,
    curvature: _Curvature,
    contact: Contact | None,
    latent: LatentPrior | None,
    motion: Motion,
    start: Motion,
    prior: Float[np.ndarray, " P"],
    damping: Float[Tensor, " P"],
) -> tuple[Float[Tensor, "N D"], Float[Tensor, "P 10"]] | None:
    person = timeline.person
    group = person.numpy(force=True)
    linear = body.linearise(motion.rotmats, motion.betas[person], motion.transl)
    equations = keypoint_equations(linear, frames, weights)
    matrix = BlockBand(len(group), NUM_MOTION, motion.transl.numpy(force=True).dtype)
    if contact is not None:
        equations = torch.cat([equations, floor_equations(contact, linear)], 1)
    if latent is not None:
        equations = torch.cat([equations, latent_equations(latent, motion.rotmats)], 1)
    rows = normal_equations(equations, frames, weights, motion.rotmats, motion.transl)
    if contact is not None:
        still = still_equations(contact, linear)
        rows.hessian.add_(still.hessian)
        rows.gradient.add_(still.gradient)
        matrix.add_next_blocks(still.ahead.numpy(force=True))
    matrix.add_diagonal_blocks(rows.hessian.numpy(force=True))
    gradient = rows.gradient.numpy(force=True).copy()
    bend = _bend(motion, curvature)
    weight = (_bend_weight(bend, curvature) / curvature.std).numpy(force=True)
    stiff = weight / curvature.std.numpy(force=True)
    factors = curvature.factors.numpy(force=True)
    pull = weight * bend.numpy(force=True)
    count = len(bend)
    for i in range(3):
        gradient[i : count + i] += factors[:, i, None] * pull
        for j in range(i, 3):
            product = (factors[:, i] * factors[:, j])[:, None] * stiff
            matrix.add_diagonals(product, i, j - i)
    per_row = damping[person].numpy(force=True)[:, None]
    matrix.diagonal()[...] *= 1 + per_row
    matrix.diagonal()[...] += 1e-6
    shape = rows.shape_hessian.new_zeros(len(motion.betas), 10, 10)
    shape = shape.index_add(0, person, rows.shape_hessian).numpy(force=True)
    slope = rows.shape_gradient.new_zeros(len(motion.betas), 10)
    slope = slope.index_add(0, person, rows.shape_gradient).numpy(force=True)
    slope = slope + prior[:, None] * (motion.betas - start.betas).numpy(force=True)
    shape = shape + prior[:, None, None] * np.eye(10)
    shape *= 1 + damping.numpy(force=True)[:, None, None] * np.eye(10)
    solved = solve_bordered(matrix, -gradient, rows.border.numpy(force=True), shape, -slope, group)
    if solved is None:
        return None
    like = motion.transl
    return torch.from_numpy(solved[0]).to(like), torch.from_numpy(solved[1]).to(like)


def _retract(
    motion: Motion, step: Float[Tensor, "N D"], betas_step: Float[Tensor, "P 10"]
) -> Motion:
    rotmats = motion.rotmats.clone()
    turns = matrix_from_axis_angle(step[:, 3:].unflatten(-1, (-1, 3)))
    rotmats[:, _ROTATED] = rotmats[:, _ROTATED] @ turns
    return Motion(rotmats, motion.transl + step[:, :3], motion.betas + betas_step)


def _select(
    better: Bool[Tensor, " P"], person: Int64[Tensor, " N"], new: Motion, old: Motion
) -> Motion:
    rows = better[person]
    return Motion(
        torch.where(rows[:, None, None, None], new.rotmats, old.rotmats),
        torch.where(rows[:, None], new.transl, old.transl),
        torch.where(better[:, None], new.betas, old.betas),
    )
