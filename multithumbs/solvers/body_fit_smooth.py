"""Fit all rows of one tracklet together: one shape, and a motion without needless jerks.

The unknowns of a tracklet are a pose per row (rotations and translation) and one shape. Second
differences tie each row to the next two only, so the Hessian is banded with an arrow for the
shape: a banded Cholesky factor and a 10x10 Schur complement, linear in the number of rows.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from scipy.linalg import LinAlgError, cho_solve_banded, cholesky_banded
from torch import Tensor

from multithumbs.body import BodyModel
from multithumbs.config.bodies import FitConfig
from multithumbs.geometry.rotations import axis_angle_from_matrix
from multithumbs.solvers.body_fit_terms import (
    NUM_POSE,
    BodyTerms,
    Evidence,
    FitState,
    retract,
)
from multithumbs.solvers.priors import FREE_JOINTS

NUM_MOTION = NUM_POSE + 3
"""Unknowns of one row besides the shape."""
_MOTION = [*range(NUM_POSE), *range(NUM_POSE + 10, NUM_POSE + 13)]
_SHAPE = list(range(NUM_POSE, NUM_POSE + 10))
TOLERANCE = 1e-4
MIN_WINDOW = 8
"""A last window of fewer rows joins the one before."""
FIXED = 1e9
"""Stiffness of held rows over the stiffest free one."""


class Temporal(NamedTuple):
    """Second differences over three successive rows, in standard deviations."""

    weights: Float[Tensor, "S 3"]
    """Of the three rows, per unit of the whitened unknown; 0 across gaps."""
    std: Float[Tensor, " M"]
    """Expected acceleration of each unknown."""


class Window(NamedTuple):
    """Successive rows that are fitted together."""

    terms: BodyTerms
    temporal: Temporal
    held: int
    """Leading rows that stay as they are: the end of the window before."""
    free_shape: bool


def smooth(
    model: BodyModel,
    evidence: Evidence,
    state: FitState,
    rows: Int64[Tensor, " T"],
    time_s: Float[Tensor, " T"],
    config: FitConfig,
) -> FitState:
    """The bodies of one tracklet's ``rows`` (in order of time) fitted together.

    A tracklet longer than ``smooth_rows`` is fitted in windows, so that memory does not grow
    with its length: once to learn the shape that all windows share, then again with it, each
    window going on smoothly from the two last rows of the one before.
    """
    part = FitState(*(x[rows] for x in state))
    seen = Evidence(*(x[rows] for x in evidence))
    weight = seen.weight.sum(-1).clamp_min(1e-6)

    def fit(begin: int, end: int, *, held: int, free_shape: bool) -> FitState:
        some = slice(begin - held, end)
        terms = BodyTerms(model, Evidence(*(x[some] for x in seen)), config, config.robust_scale)
        window = Window(terms, _temporal(time_s[some], config), held, free_shape)
        fitted = _minimise(window, FitState(*(x[some] for x in part)), config)
        return FitState(*(x[held:] for x in fitted))

    bounds = [*range(0, len(rows), config.smooth_rows), len(rows)]
    if len(bounds) > 2 and bounds[-1] - bounds[-2] < MIN_WINDOW:
        del bounds[-2]
    spans = list(pairwise(bounds))
    part = _with_shape(part, _mean_shape(part, weight))
    part = _joined([fit(*span, held=0, free_shape=True) for span in spans])
    if len(spans) == 1:
        return part
    part = _with_shape(part, _mean_shape(part, weight))
    for begin, end in spans:
        fitted = fit(begin, end, held=min(2, begin), free_shape=False)
        part = FitState(
            *(torch.cat([x[:begin], y, x[end:]]) for x, y in zip(part, fitted, strict=True))
        )
    return part


def _mean_shape(state: FitState, weight: Float[Tensor, " T"]) -> Float[Tensor, "10"]:
    return (weight[:, None] * state.betas).sum(0) / weight.sum()


def _with_shape(state: FitState, betas: Float[Tensor, "10"]) -> FitState:
    return state._replace(betas=betas.expand_as(state.betas))


def _joined(parts: list[FitState]) -> FitState:
    return FitState(*(torch.cat(x) for x in zip(*parts, strict=True)))


def _minimise(window: Window, state: FitState, config: FitConfig) -> FitState:
    """Levenberg-Marquardt over all rows of a window at once."""
    damping = 1e-3
    cost = _cost(window, state)
    for _ in range(config.smooth_iterations):
        step = _step(window, state, damping)
        trial = retract(state, step) if step is not None else state
        trial_cost = _cost(window, trial)
        if step is not None and bool(trial_cost < cost):
            gain = float((cost - trial_cost) / cost)
            state, cost, damping = trial, trial_cost, damping / 3
            if gain < TOLERANCE:
                break
        else:
            damping *= 8
    return state


def _temporal(time_s: Float[Tensor, " T"], config: FitConfig) -> Temporal:
    step = time_s.diff()
    before, after = step[:-1], step[1:]
    half = (before + after) / 2
    near = (before <= config.max_gap_s) & (after <= config.max_gap_s)
    first, last = 1 / (before * half), 1 / (after * half)
    weights = torch.stack([first, -first - last, last], -1) * near[:, None]
    angle = [config.pose_std_rad_s2] * NUM_POSE
    return Temporal(weights, time_s.new_tensor(angle + [config.transl_std_m_s2] * 3))


def _second_differences(state: FitState, temporal: Temporal) -> Float[Tensor, "S M"]:
    """Accelerations of every unknown, in their standard deviations."""
    free = state.body[:, [joint - 1 for joint in FREE_JOINTS]].flatten(1)
    # The root's tangent at the middle row; a difference of neighbours needs no more.
    middle = state.root[1:-1].transpose(-1, -2)
    back = axis_angle_from_matrix(middle @ state.root[:-2])
    ahead = axis_angle_from_matrix(middle @ state.root[2:])
    w0, w1, w2 = temporal.weights.unbind(-1)
    root = w0[:, None] * back + w2[:, None] * ahead
    rest = torch.cat([free, state.transl], -1)
    rest = w0[:, None] * rest[:-2] + w1[:, None] * rest[1:-1] + w2[:, None] * rest[2:]
    return torch.cat([root, rest], -1) / temporal.std


def _cost(window: Window, state: FitState) -> Float[Tensor, ""]:
    smoothness = (_second_differences(state, window.temporal) ** 2).sum()
    return window.terms.evaluate(state).sum() + smoothness


def _step(window: Window, state: FitState, damping: float) -> Float[Tensor, "T P"] | None:
    """The damped Gauss-Newton step of all rows, or None where it cannot be solved."""
    model, temporal, held = window.terms.linearise(state), window.temporal, window.held
    count = len(model.gradient)
    hessian = model.hessian.numpy(force=True)
    gradient = model.gradient.numpy(force=True)
    band = _band(hessian[:, _MOTION][:, :, _MOTION])
    pull = gradient[:, _MOTION].copy()
    weights = temporal.weights.numpy(force=True)
    inverse_std = 1 / temporal.std.numpy(force=True)
    bend = _second_differences(state, temporal).numpy(force=True)
    columns = band.reshape(len(band), count, NUM_MOTION)
    for i in range(3):
        pull[i : count - 2 + i] += weights[:, i, None] * bend * inverse_std
        for j in range(i, 3):
            stiff = (weights[:, i] * weights[:, j])[:, None] * inverse_std**2
            columns[(j - i) * NUM_MOTION, i : count - 2 + i] += stiff
    band[0] *= 1 + damping
    arrow = hessian[:, _MOTION][:, :, _SHAPE]
    columns[0, :held] += FIXED * band[0].max()
    pull[:held] = 0
    arrow[:held] = 0
    arrow = arrow.reshape(-1, 10)
    shape = hessian[:, _SHAPE][:, :, _SHAPE].sum(0)
    try:
        factor = cholesky_banded(band, lower=True, check_finite=False)
    except LinAlgError:
        return None
    solved = cho_solve_banded(
        (factor, True), np.column_stack([arrow, pull.reshape(-1)]), check_finite=False
    )
    shape_step = np.zeros(10)
    if window.free_shape:
        shape_step = np.linalg.solve(
            shape * (1 + damping * np.eye(10)) - arrow.T @ solved[:, :10],
            gradient[:, _SHAPE].sum(0) - arrow.T @ solved[:, 10],
        )
    step = np.empty_like(gradient)
    step[:, _MOTION] = (solved[:, :10] @ shape_step - solved[:, 10]).reshape(count, NUM_MOTION)
    step[:, _SHAPE] = -shape_step
    return torch.from_numpy(step).to(model.gradient)


def _band(blocks: Float[np.ndarray, "T M M"]) -> Float[np.ndarray, "D TM"]:
    """Lower banded form (``ab[i - j, j] = A[i, j]``) with room for two rows ahead."""
    count, size, _ = blocks.shape
    band = np.zeros((2 * size + 1, count * size))
    view = band.reshape(len(band), count, size)
    lower, column = np.tril_indices(size)
    view[lower - column, :, column] = blocks[:, lower, column].T
    return band
