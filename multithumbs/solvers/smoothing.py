"""Everyone's motion through the whole video as one robust least-squares problem.

The paper's Eq. 9-11 has no data term: its minimum is a body that stands still. Here every
frame's keypoints are reprojected (Eq. 3 everywhere instead of at the cuts alone), *acceleration*
is penalised instead of motion, feet that touch the floor stay where they are, and one shape
belongs to one person. Frames couple to the next two only, so the cost is linear in frames.
A cut is no boundary: the person's motion goes on, another camera sees it.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from multithumbs.body import BodyModel
from multithumbs.geometry.grouping import sum_by_group
from multithumbs.geometry.rotations import matrix_from_axis_angle
from multithumbs.solvers.banded import BlockBand, solve_bordered
from multithumbs.solvers.smoothing_acceleration import (
    Curvature,
    Motion,
    Timeline,
    bend_cost,
    bend_of,
    bend_weight,
    curvature_of,
)
from multithumbs.solvers.smoothing_chain import (
    ACTIVE,
    NUM_MOTION,
    NUM_SHAPE,
    TURNED,
    Chain,
    Pose,
    chain_of,
    levers,
    pose_rows,
)
from multithumbs.solvers.smoothing_contact import (
    NUM_CONTACT,
    Contact,
    contact_cost,
    contact_equations,
    next_blocks,
)
from multithumbs.solvers.smoothing_latent import LatentPrior, latent_cost, latent_equations
from multithumbs.solvers.smoothing_terms import (
    NUM_COLUMNS,
    Frames,
    Sight,
    Weights,
    keypoint_equations,
    normal_equations,
    pose_residual,
    row_costs,
    sight,
)
from multithumbs.types import KEYPOINT_NAMES

_DAMPING = 1e-5
"""Marquardt's, at first: against a diagonal that second differences make a thousand times the
data's. More would hold the slow motion that they leave free, and cost two steps."""
_KEYPOINTS = 2 * len(KEYPOINT_NAMES)
"""Equations of a row's keypoints."""
_LEGS = 6 + 3 * (ACTIVE.index(8) + 1)
"""Unknowns up to the ankles: soles move by none behind them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Problem:
    """All that stays the same from step to step."""

    chain: Chain
    frames: Frames
    timeline: Timeline
    weights: Weights
    curvature: Curvature
    contact: Contact | None
    latent: LatentPrior | None
    betas: Float[Tensor, "P 10"]
    """The shapes at the start."""
    shape_precision: Float[Tensor, " P"] | None
    """None where shapes stay."""


class _State(NamedTuple):
    """A motion, and what its cost and its linearisation both need."""

    motion: Motion
    pose: Pose
    sight: Sight
    turned: Float[Tensor, "N D_minus_3"]
    bend: Float[Tensor, "M D"]
    cost: Float[Tensor, " P"]


def smooth(
    body: BodyModel,
    frames: Frames,
    timeline: Timeline,
    weights: Weights,
    motion: Motion,
    contact: Contact | None,
    *,
    shape_precision: Float[Tensor, " P"] | None,
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
        shape_precision: of each person's start shape, per squared unit of betas; None where
            shapes stay.
        max_iterations: linearisations at most.
        relative_tolerance: a person is done once a step changes their cost by less than this
            fraction.
        latent: a learned prior of poses, or None.
    """
    problem = _Problem(
        chain=chain_of(body),
        frames=frames,
        timeline=timeline,
        weights=weights,
        curvature=curvature_of(timeline, weights),
        contact=contact,
        latent=latent,
        betas=motion.betas,
        shape_precision=shape_precision,
    )
    state = _evaluate(problem, motion)
    damping = torch.full_like(state.cost, _DAMPING)
    active = torch.ones_like(state.cost, dtype=torch.bool)
    for _ in range(max_iterations):
        step = _step(problem, state, damping)
        if step is None:
            damping = damping * 10
            if float(damping.min()) > 1e6:
                break
            continue
        trial = _evaluate(problem, _retract(state.motion, *step))
        change = (state.cost - trial.cost) / state.cost.clamp_min(1e-30)
        better = trial.cost < state.cost
        damping = torch.where(better, (damping / 5).clamp_min(1e-8), damping * 8)
        # A step that loses as little has come to where the model is as good as it gets.
        active &= ~(change.abs() < relative_tolerance) & (damping < 1e6)
        if bool(better.all()):
            state = trial
        elif bool(better.any()):
            kept = _select(better, timeline.person, trial.motion, state.motion)
            state = _evaluate(problem, kept)
        if not bool(active.any()):
            break
    return state.motion


def _evaluate(problem: _Problem, motion: Motion) -> _State:
    frames, weights, person = problem.frames, problem.weights, problem.timeline.person
    pose = pose_rows(problem.chain, motion.rotmats, motion.betas[person], motion.transl)
    seen = sight(pose.keypoints, frames)
    turned = pose_residual(motion.rotmats, frames, weights)
    rows = row_costs(seen, turned, motion.transl, frames, weights)
    if problem.contact is not None:
        rows = rows + contact_cost(problem.contact, pose.keypoints)
    if problem.latent is not None:
        rows = rows + latent_cost(problem.latent, motion.rotmats)
    bend = bend_of(motion, problem.curvature)
    people = len(motion.betas)
    bent = sum_by_group(bend_cost(bend, problem.curvature), person[: len(bend)], people)
    cost = sum_by_group(rows, person, people) + bent
    if problem.shape_precision is not None:
        moved = ((motion.betas - problem.betas) ** 2).sum(-1)
        cost = cost + problem.shape_precision * moved
    return _State(motion, pose, seen, turned, bend, cost)


def _step(
    problem: _Problem, state: _State, damping: Float[Tensor, " P"]
) -> tuple[Float[Tensor, "N D"], Float[Tensor, "P 10"]] | None:
    motion, curvature, person = state.motion, problem.curvature, problem.timeline.person
    group = person.numpy(force=True)
    equations = _equations(problem, state)
    rows = normal_equations(equations, state.turned, motion.transl, problem.frames, problem.weights)
    matrix = BlockBand(len(group), NUM_MOTION, motion.transl.numpy(force=True).dtype)
    matrix.set_diagonal_blocks(rows.hessian.numpy(force=True))
    if problem.contact is not None:
        contact = equations[:, _KEYPOINTS : _KEYPOINTS + NUM_CONTACT]
        blocks = next_blocks(problem.contact, contact, _LEGS)
        matrix.add_next_blocks(blocks.numpy(force=True))
    gradient = rows.gradient.numpy(force=True).copy()
    weight = (bend_weight(state.bend, curvature) / curvature.std).numpy(force=True)
    stiff = weight / curvature.std.numpy(force=True)
    factors = curvature.factors.numpy(force=True)
    pull = weight * state.bend.numpy(force=True)
    count = len(pull)
    for i in range(3):
        gradient[i : count + i] += factors[:, i, None] * pull
        for j in range(i, 3):
            product = (factors[:, i] * factors[:, j])[:, None] * stiff
            matrix.add_diagonals(product, i, j - i)
    matrix.diagonal()[...] *= 1 + damping[person].numpy(force=True)[:, None]
    matrix.diagonal()[...] += 1e-6
    people = len(motion.betas)
    width = 0 if problem.shape_precision is None else NUM_SHAPE
    shape = sum_by_group(rows.shape_hessian, person, people)
    slope = sum_by_group(rows.shape_gradient, person, people)
    if problem.shape_precision is not None:
        slope = slope + problem.shape_precision[:, None] * (motion.betas - problem.betas)
        shape.diagonal(dim1=-2, dim2=-1).add_(problem.shape_precision[:, None])
    shape.diagonal(dim1=-2, dim2=-1).mul_(1 + damping[:, None])
    solved = solve_bordered(
        matrix,
        -gradient,
        rows.border[..., :width].numpy(force=True),
        shape[:, :width, :width].numpy(force=True),
        -slope[:, :width].numpy(force=True),
        group,
    )
    if solved is None:
        return None
    betas_step = torch.zeros_like(motion.betas)
    betas_step[:, :width] = torch.from_numpy(solved[1]).to(betas_step)
    return torch.from_numpy(solved[0]).to(motion.transl), betas_step


def _equations(problem: _Problem, state: _State) -> Float[Tensor, "N M E"]:
    """All weighted rows: keypoints, then contact, then the learned prior."""
    motion, person = state.motion, problem.timeline.person
    count = _KEYPOINTS + (0 if problem.contact is None else NUM_CONTACT)
    lever = levers(problem.chain, state.pose, motion.betas[person])
    rows = lever.new_zeros(count, NUM_COLUMNS, len(person))
    keypoint_equations(
        rows[:_KEYPOINTS], problem.chain, state.pose, lever, state.sight, problem.weights
    )
    if problem.contact is not None:
        contact_equations(rows[_KEYPOINTS:], problem.contact, problem.chain, state.pose, lever)
    equations = rows.flatten(0, 1).T.contiguous().unflatten(1, (count, NUM_COLUMNS))
    if problem.latent is not None:
        learned = latent_equations(problem.latent, motion.rotmats)
        equations = torch.cat([equations, learned], 1)
    return equations


def _retract(
    motion: Motion, step: Float[Tensor, "N D"], betas_step: Float[Tensor, "P 10"]
) -> Motion:
    rotmats = motion.rotmats.clone()
    turns = matrix_from_axis_angle(step[:, 3:].unflatten(-1, (-1, 3)))
    rotmats[:, TURNED] = rotmats[:, TURNED] @ turns
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
