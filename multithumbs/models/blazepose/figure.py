"""Whether landmarks and silhouette tell of one body: a stick figure as thick as people are.

Both come from one look of the landmark network, but not from the same evidence: somebody whom the
image's lower edge cuts off is often read as whole and half as tall, inside a silhouette that is
right.
"""

from typing import Final

import cv2
import numpy as np
from jaxtyping import Bool, Float64

from multithumbs.models.blazepose.landmarks import (
    HIPS,
    INPUT_SIDE,
    NUM_LANDMARKS,
    SHOULDERS,
    Landmarks,
)
from multithumbs.models.blazepose.region import apply_affine, crop_from_image

_EARS: Final = (7, 8)
_LIMBS: Final = (
    ((11,), (13,), 0.055), ((13,), (15,), 0.045), ((12,), (14,), 0.055), ((14,), (16,), 0.045),
    ((23,), (25,), 0.085), ((25,), (27,), 0.06), ((24,), (26,), 0.085), ((26,), (28,), 0.06),
    ((11,), (23,), 0.08), ((12,), (24,), 0.08), (SHOULDERS, HIPS, 0.12),
    ((11,), (12,), 0.08), ((23,), (24,), 0.1), (_EARS, SHOULDERS, 0.07), (_EARS, _EARS, 0.11),
)  # fmt: skip
"""Capsules between the middles of some landmarks, and their radii in metres: clothed limbs, trunk,
neck and head."""
_FRACTION_BITS: Final = 4
"""Of OpenCV's fixed-point coordinates."""


def agreement(seen: Landmarks, hw: tuple[int, ...]) -> float:
    """Intersection over union of the stick figure and the silhouette, inside the image.

    People of every pose reach about 0.8; 0 where neither is inside the image.
    """
    inside = _image_in_crop(seen, hw)
    figure, shown = stick_figure(seen) & inside, (seen.segmentation > 0) & inside
    union = int((figure | shown).sum())
    return int((figure & shown).sum()) / union if union else 0.0


def stick_figure(seen: Landmarks) -> Bool[np.ndarray, "256 256"]:
    """Where a body of common thickness around the landmarks is in the crop.

    The metric landmarks say how many pixels a metre is.
    """
    uv = apply_affine(crop_from_image(seen.roi, INPUT_SIDE), seen.uv[:NUM_LANDMARKS])
    metres = np.linalg.norm(_centred(seen.xyz[:, :2]))
    scale = float(np.linalg.norm(_centred(uv)) / max(metres, 1e-6))
    figure = np.zeros((INPUT_SIDE, INPUT_SIDE), dtype=np.uint8)
    for start, end, radius in _LIMBS:
        thickness = int(np.clip(round(2 * radius * scale), 1, INPUT_SIDE))
        a, b = (_fixed_point(uv[list(joints)].mean(0)) for joints in (start, end))
        cv2.line(figure, a, b, (1,), thickness, cv2.LINE_8, _FRACTION_BITS)
    return figure.astype(bool)


def _centred(points: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n 2"]:
    return points - points.mean(0)


def _image_in_crop(seen: Landmarks, hw: tuple[int, ...]) -> Bool[np.ndarray, "256 256"]:
    """Which pixels of the crop show the image."""
    corners = np.array([[0, 0], [hw[1], 0], [hw[1], hw[0]], [0, hw[0]]], dtype=np.float64)
    polygon = apply_affine(crop_from_image(seen.roi, INPUT_SIDE), corners)
    inside = np.zeros((INPUT_SIDE, INPUT_SIDE), dtype=np.uint8)
    cv2.fillConvexPoly(
        inside, np.array([_fixed_point(corner) for corner in polygon]), (1,), shift=_FRACTION_BITS
    )
    return inside.astype(bool)


def _fixed_point(uv: Float64[np.ndarray, "2"]) -> tuple[int, int]:
    """A crop point as OpenCV draws it: its pixels' centres are whole numbers."""
    u, v = np.round((np.clip(uv, -1e4, 1e4) - 0.5) * 2**_FRACTION_BITS).astype(int).tolist()
    return u, v
