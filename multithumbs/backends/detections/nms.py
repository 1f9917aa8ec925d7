"""Non-maximum suppression of boxes."""

import numpy as np
from jaxtyping import Float64, Int64


def overlap(
    a: Float64[np.ndarray, "N 4"], b: Float64[np.ndarray, "M 4"]
) -> Float64[np.ndarray, "N M"]:
    """Intersection over union of boxes ``xyxy``; 0 where neither has an area."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    both = np.clip(high - low, 0, None).prod(-1)
    area_a, area_b = (np.clip(x[:, 2:] - x[:, :2], 0, None).prod(-1) for x in (a, b))
    either = area_a[:, None] + area_b[None] - both
    return both / np.where(either > 0, either, 1.0)


def suppress(
    box_xyxy: Float64[np.ndarray, "N 4"], score: Float64[np.ndarray, " N"], max_iou: float
) -> Int64[np.ndarray, " K"]:
    """Rows that stay, best first: none overlaps a better one that stays by more than ``max_iou``.

    Equal scores keep their order.
    """
    order = np.argsort(-score, kind="stable")
    iou = overlap(box_xyxy[order], box_xyxy[order])
    alive = np.ones(len(order), dtype=bool)
    for place in range(len(order)):
        if alive[place]:
            alive[place + 1 :] &= iou[place, place + 1 :] <= max_iou
    return order[alive].astype(np.int64)
