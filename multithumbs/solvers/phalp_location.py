"""Where a track will be next: ridge regression over its last sights (facts/phalp.md section 5)."""

from typing import Final

import numpy as np
from jaxtyping import Float64, Int64
from scipy.special import stdtrit

from multithumbs.solvers.phalp_cost import Expected

RIDGE_X: Final = 1.2
RIDGE_Y: Final = 2.0
RIDGE_LOG_DEPTH: Final = 5.0
LONGEST_HORIZON: Final = 48
"""Frames; later than this nothing is extrapolated."""
TAIL: Final = 0.975


def predict_places(
    frame: Int64[np.ndarray, "T H"],
    xy: Float64[np.ndarray, "T H 2"],
    depth: Float64[np.ndarray, "T H"],
    elapsed: Int64[np.ndarray, " T"],
) -> Expected:
    """Places one frame after ``elapsed`` frames without a sight, with prediction intervals.

    A straight line in time through x, y and log depth, its slope shrunk by the ridge. The
    intervals are divided by one plus the number of repeated frames in the history, which counts
    how often a young track's first sight fills it.
    """
    time = frame.astype(np.float64)
    when = time[:, -1] + np.minimum(elapsed, LONGEST_HORIZON) + 1
    x, x_wide = _line(time, xy[..., 0], when, RIDGE_X)
    y, y_wide = _line(time, xy[..., 1], when, RIDGE_Y)
    log_depth, log_wide = _line(time, np.log(depth), when, RIDGE_LOG_DEPTH)
    repeats = 1 + (np.diff(frame, axis=1) == 0).sum(1)
    spread = np.stack([x_wide, y_wide, np.exp(log_wide)], axis=1) / repeats[:, None]
    return Expected(xy=np.stack([x, y], axis=1), depth=np.exp(log_depth), spread=spread)


def _line(
    time: Float64[np.ndarray, "T H"],
    value: Float64[np.ndarray, "T H"],
    when: Float64[np.ndarray, " T"],
    ridge: float,
) -> tuple[Float64[np.ndarray, " T"], Float64[np.ndarray, " T"]]:
    """The line's value at ``when`` and half its 95 % prediction interval; NaN with one time."""
    count = time.shape[1]
    middle, level = time.mean(1, keepdims=True), value.mean(1, keepdims=True)
    centred = time - middle
    scatter = (centred**2).sum(1)
    slope = (centred * (value - level)).sum(1) / (scatter + ridge)
    ahead = when - middle[:, 0]
    residual = value - level - slope[:, None] * centred
    error = np.sqrt((residual**2).sum(1) / (count - 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        wide = stdtrit(count - 2, TAIL) * error * np.sqrt(1 + 1 / count + ahead**2 / scatter)
    return level[:, 0] + slope * ahead, wide
