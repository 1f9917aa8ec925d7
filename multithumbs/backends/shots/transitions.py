"""Fades, dissolves and flashes in a sequence of thumbnails (pure functions)."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, UInt8

from multithumbs.config.shots import ShotsConfig

DISSOLVE_STEPS = 6
"""Shortest dissolve, in frame steps: anything shorter blends fewer frames than flashes last."""
NOISE_LEVELS = 1.0
"""Contrast changes smaller than this (levels) are compression, not a fade."""


class Blend(NamedTuple):
    """Frames ``[start, end)`` that show no single picture of one shot."""

    start: int
    end: int
    is_fade: bool


def find_fades(
    thumbnails: UInt8[np.ndarray, "F h w"], max_ramp: int, shortest: int, config: ShotsConfig
) -> list[Blend]:
    """Runs of blank frames, with the ramps that lead into and out of them.

    In a ramp, contrast falls steadily towards the blank frames while the picture stays.
    """
    pictures = thumbnails.astype(np.float64)
    contrast = pictures.std((1, 2))
    blank = contrast < config.flat_contrast
    edges = np.flatnonzero(np.diff(np.concatenate([[False], blank, [False]]).astype(np.int8)))
    fades = []
    for start, end in edges.reshape(-1, 2):
        if start > 0 and end < len(blank) and end - start < shortest:
            around = pictures[start - 1], pictures[end]
            if correlation(*around) > config.dissolve_correlation:
                continue  # a flash: the picture before it returns at once
        fades.append(
            Blend(
                start=int(start) - _ramp(pictures[:start][::-1], contrast[:start][::-1], max_ramp),
                end=int(end) + _ramp(pictures[end:], contrast[end:], max_ramp),
                is_fade=True,
            )
        )
    return fades


def _ramp(
    pictures: Float64[np.ndarray, "n h w"], contrast: Float64[np.ndarray, " n"], longest: int
) -> int:
    """Leading frames that are one picture at growing contrast."""
    length = 0
    for step in range(min(longest, len(pictures) - 1)):
        grows = contrast[step + 1] > contrast[step] + NOISE_LEVELS
        if not grows or correlation(pictures[step], pictures[step + 1]) < 0.8:
            break
        length = step + 1
    return length


def find_dissolves(
    thumbnails: UInt8[np.ndarray, "F h w"], longest: int, config: ShotsConfig
) -> list[Blend]:
    """Intervals in which one picture turns into another by blending.

    Every frame between the two must be ``(1 - a) first + a last`` with ``a`` growing evenly;
    motion, pans and cuts leave a residual, changes of light keep the correlation high.
    """
    pictures = thumbnails.astype(np.float64)
    found: list[Blend] = []
    start = 0
    while start < len(pictures) - DISSOLVE_STEPS:
        best = 0
        for steps in range(DISSOLVE_STEPS, min(longest, len(pictures) - 1 - start) + 1):
            if not _is_blend(pictures[start : start + steps + 1], config):
                if best:
                    break
                continue
            best = steps
        if best:
            found.append(Blend(start=start + 1, end=start + best, is_fade=False))
        start += max(best, 1)
    return found


def _is_blend(pictures: Float64[np.ndarray, "n h w"], config: ShotsConfig) -> bool:
    first, last = pictures[0], pictures[-1]
    change = last - first
    if min(first.std(), last.std()) < config.flat_contrast:
        return False
    if np.abs(change).mean() < config.dissolve_difference:
        return False
    if correlation(first, last) > config.dissolve_correlation:
        return False
    middle = pictures[1:-1] - first
    amount = (middle * change).sum((1, 2)) / (change**2).sum()
    even = np.arange(1, len(pictures) - 1) / (len(pictures) - 1)
    if np.abs(amount - even).max() > 0.15:
        return False
    residual = np.sqrt(((middle - amount[:, None, None] * change) ** 2).sum((1, 2)))
    return bool(residual.max() <= config.dissolve_residual * np.sqrt((change**2).sum()))


def correlation(a: Float64[np.ndarray, "h w"], b: Float64[np.ndarray, "h w"]) -> float:
    """Pearson's correlation of two pictures; 0 if one is blank."""
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / norm if norm > 0 else 0.0


def is_flash(
    thumbnails: UInt8[np.ndarray, "F h w"], cut: int, longest: int, config: ShotsConfig
) -> bool:
    """Whether the picture before ``cut`` returns within ``longest`` frames (or just did)."""
    pictures = thumbnails[max(cut - longest, 0) : cut + longest].astype(np.float64)
    at = cut - max(cut - longest, 0)
    before, after = pictures[:at], pictures[at:]
    limit = config.flash_return * np.abs(after[0] - before[-1]).mean()
    returns = np.abs(after[1:] - before[-1]).mean((1, 2)) < limit
    returned = np.abs(before[:-1] - after[0]).mean((1, 2)) < limit
    return bool(returns.any() or returned.any())
