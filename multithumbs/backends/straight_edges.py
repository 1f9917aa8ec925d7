"""Straight edges of the background of a frame."""

import cv2
import numpy as np
from jaxtyping import Bool, Float64, UInt8

SAMPLES = np.linspace(0.05, 0.95, 7)
"""Where along an edge the background is asked for."""


def reduced_hw(hw: tuple[int, int], width_px: int) -> tuple[int, int]:
    """The size at which edges are looked for: no wider than ``width_px``."""
    width = min(hw[1], width_px)
    return round(hw[0] * width / hw[1]), width


def straight_edges(
    rgb: UInt8[np.ndarray, "H W 3"], free: Bool[np.ndarray, "h w"], min_length: float
) -> Float64[np.ndarray, "M 4"]:
    """Ends ``u0, v0, u1, v1`` (pixels of ``rgb``) of the edges that lie where ``free`` is true.

    Args:
        rgb: a frame.
        free: where the background is, at the reduced size at which edges are looked for.
        min_length: the shortest edge, as a fraction of the width.
    """
    height, width = free.shape
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    gray = cv2.resize(gray, (width, height), interpolation=cv2.INTER_AREA)
    found = cv2.createLineSegmentDetector().detect(gray)[0]
    if found is None:
        return np.zeros((0, 4))
    ends = found.reshape(-1, 4).astype(np.float64) + 0.5
    ends = ends[np.hypot(*(ends[:, 2:] - ends[:, :2]).T) > min_length * width]
    points = ends[:, None, :2] + SAMPLES[:, None] * (ends[:, None, 2:] - ends[:, None, :2])
    column = points[..., 0].astype(np.int64).clip(0, width - 1)
    row = points[..., 1].astype(np.int64).clip(0, height - 1)
    return ends[free[row, column].all(1)] * (rgb.shape[1] / width)
