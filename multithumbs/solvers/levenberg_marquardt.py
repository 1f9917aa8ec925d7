"""Batched dense Levenberg-Marquardt over a manifold.

Many small problems are solved side by side. Each keeps its own damping and stops on its own;
a step that does not lower a problem's cost is undone for that problem alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

State = TypeVar("State")
"""Whatever describes the variables: a tensor or a (named) tuple of tensors, batch first."""


class Linearisation(NamedTuple):
    """Gauss-Newton model of ``cost = sum_i rho(r_i^2)`` at one state, per problem."""

    cost: Float[Tensor, " B"]
    gradient: Float[Tensor, "B P"]
    """``J^T W r``: half of the cost's gradient in the tangent space."""
    hessian: Float[Tensor, "B P P"]
    """``J^T W J``."""


@dataclass(frozen=True, slots=True)
class Solution(Generic[State]):
    """Where each problem ended."""

    state: State
    cost: Float[Tensor, " B"]
    iterations: Int64[Tensor, " B"]
    converged: Bool[Tensor, " B"]


def solve(
    linearise: Callable[[State], Linearisation],
    evaluate: Callable[[State], Float[Tensor, " B"]],
    retract: Callable[[State, Float[Tensor, "B P"]], State],
    select: Callable[[Bool[Tensor, " B"], State, State], State],
    state: State,
    *,
    max_iterations: int,
    relative_tolerance: float = 1e-6,
    initial_damping: float = 1e-3,
) -> Solution[State]:
    """Minimise the cost of every problem of the batch.

    Args:
        linearise: cost, gradient and Gauss-Newton Hessian at a state.
        evaluate: the cost alone (cheaper; decides whether a step is kept).
        retract: the state moved by a tangent step.
        select: ``select(mask, a, b)`` takes problems from ``a`` where the mask is true.
        state: the start.
        max_iterations: linearisations at most.
        relative_tolerance: a problem stops once an accepted step lowers its cost by less
            than this fraction, or its damping has grown past use.
        initial_damping: Marquardt's factor on the Hessian's diagonal.
    """
    model = linearise(state)
    cost = model.cost
    damping = torch.full_like(cost, initial_damping)
    done = torch.zeros_like(cost, dtype=torch.bool)
    iterations = torch.zeros_like(cost, dtype=torch.int64)
    for _ in range(max_iterations):
        iterations += (~done).to(torch.int64)
        diagonal = model.hessian.diagonal(dim1=-2, dim2=-1)
        # Problems differ in units between parameters: scale the damping with the diagonal,
        # floored so that an unobserved parameter stays put instead of making it singular.
        floor = 1e-9 * diagonal.amax(-1, keepdim=True).clamp_min(1e-12)
        damped = model.hessian + torch.diag_embed(damping[:, None] * diagonal + floor)
        factor, info = torch.linalg.cholesky_ex(damped)
        usable = info == 0
        eye = torch.eye(damped.shape[-1], dtype=damped.dtype, device=damped.device)
        factor = torch.where(usable[:, None, None], factor, eye)
        step = -torch.cholesky_solve(model.gradient[..., None], factor).squeeze(-1)
        active = (usable & ~done)[:, None]
        step = torch.where(active & step.isfinite(), step, torch.zeros_like(step))
        trial = retract(state, step)
        trial_cost = evaluate(trial)
        better = usable & ~done & trial_cost.isfinite() & (trial_cost < cost)
        gain = (cost - trial_cost) / cost.clamp_min(1e-30)
        state = select(better, trial, state)
        settled = better & (gain < relative_tolerance)
        cost = torch.where(better, trial_cost, cost)
        damping = torch.where(better, (damping / 3).clamp_min(1e-9), damping * 4)
        done = done | settled | (damping > 1e8)
        if bool(done.all()):
            break
        model = linearise(state)
    return Solution(state, cost, iterations, done)
