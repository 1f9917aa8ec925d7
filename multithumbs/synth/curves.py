"""Smooth curves over time: the raw material of scripted motion and cameras."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d, minimum_filter1d


def smoothstep(x: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """0 below 0, 1 above 1, with zero first and second derivatives at both (minimum jerk)."""
    x = np.clip(x, 0.0, 1.0)
    return x**3 * (10 - 15 * x + 6 * x**2)


def window(
    times: Float[np.ndarray, " T"], start: float, end: float, fade: float
) -> Float[np.ndarray, " T"]:
    """1 inside [start, end], fading smoothly over ``fade`` seconds inside the interval's ends."""
    fade = max(min(fade, (end - start) / 2), 1e-6)
    return smoothstep((times - start) / fade) * smoothstep((end - times) / fade)


def through_keys(
    times: Float[np.ndarray, " T"],
    key_times: Sequence[float],
    values: Float[np.ndarray, "K C"],
    smooth_s: float,
) -> Float[np.ndarray, "T C"]:
    """Piecewise-linear through the keys, then a Gaussian of ``smooth_s``; held at both ends.

    ``times`` must be uniform; the filter runs on an extended grid so that ends do not matter.
    """
    step = times[1] - times[0] if len(times) > 1 else 1 / 30
    margin = int(np.ceil(4 * smooth_s / step)) + 1
    extended = times[0] + step * np.arange(-margin, len(times) + margin)
    columns = [np.interp(extended, key_times, column) for column in values.T]
    linear = np.stack(columns, -1)
    if smooth_s > 0:
        linear = gaussian_filter1d(linear, smooth_s / step, axis=0, mode="nearest")
    return linear[margin:-margin]


def below(
    limit: Float[np.ndarray, " T"], step_s: float, smooth_s: float
) -> Float[np.ndarray, " T"]:
    """A smooth curve that never exceeds ``limit``: running minimum, then a bounded Gaussian."""
    radius = max(int(np.ceil(smooth_s / step_s)), 1)
    lowest = minimum_filter1d(limit, 2 * radius + 1, mode="nearest")
    return gaussian_filter1d(lowest, radius / 2, mode="nearest", radius=radius)


def wander(
    times: Float[np.ndarray, " T"], rng: np.random.Generator, *, period_s: float, count: int = 1
) -> Float[np.ndarray, "T C"]:
    """``count`` channels of slow, smooth noise of about unit amplitude around ``period_s``.

    A sum of sines, so that it is defined for any time and does not depend on the frame rate.
    """
    harmonics = 4
    periods = period_s * rng.uniform(0.55, 1.8, (harmonics, count))
    phases = rng.uniform(0, 2 * np.pi, (harmonics, count))
    waves = np.sin(2 * np.pi * times[:, None, None] / periods + phases)
    return waves.sum(1) / np.sqrt(harmonics / 2)
