"""Taking people who are already known out of a crop, so that the networks see the others.

BlazePose was trained on one person per region: next to a clearer neighbour it reads the
neighbour. Known people are painted over with their surroundings before the next one is read.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float64, UInt8

from multithumbs.models.blazepose.landmarks import INPUT_SIDE, Landmarks
from multithumbs.models.blazepose.region import (
    array_affine,
    crop,
    crop_from_image,
    image_from_crop,
)

OUTSIDE_LOGIT = -1e4
"""Segmentation beyond a region: surely not the person."""
RIM = 3
"""Crop pixels around a silhouette that are painted over with it: its soft edge."""


def crop_without(
    rgb: UInt8[np.ndarray, "H W 3"],
    roi: Float64[np.ndarray, "4"],
    crop_side: int,
    others: Sequence[Landmarks],
) -> tuple[UInt8[np.ndarray, "S S 3"], Bool[np.ndarray, "S S"]]:
    """The region resampled like `region.crop`, with the people in ``others`` painted over.

    Also where that is: nothing else can be seen there.
    """
    pixels = crop(rgb, roi, crop_side)
    hidden = np.zeros((crop_side, crop_side), dtype=bool)
    for other in others:
        if overlaps(roi, other.roi):
            hidden |= silhouette(other, roi, crop_side)
    return (paint_over(pixels, hidden) if hidden.any() else pixels), hidden


def overlaps(a: Float64[np.ndarray, "4"], b: Float64[np.ndarray, "4"]) -> bool:
    """Whether two regions can touch: their circumscribed circles do."""
    return bool(np.hypot(*(a[:2] - b[:2])) < (a[2] + b[2]) / np.sqrt(2))


def silhouette(
    person: Landmarks, roi: Float64[np.ndarray, "4"], crop_side: int
) -> Bool[np.ndarray, "S S"]:
    """A person's segmentation, seen in the crop of another region, with its soft edge."""
    image = np.vstack([image_from_crop(roi, crop_side), [0, 0, 1]])
    logits = cv2.warpAffine(
        person.segmentation,
        array_affine(crop_from_image(person.roi, INPUT_SIDE) @ image),
        (crop_side, crop_side),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(OUTSIDE_LOGIT,),
    )
    rim = np.ones((2 * RIM + 1, 2 * RIM + 1), dtype=np.uint8)
    return cv2.dilate((logits > 0).astype(np.uint8), rim).astype(bool)


def paint_over(
    pixels: UInt8[np.ndarray, "S S 3"], hidden: Bool[np.ndarray, "S S"]
) -> UInt8[np.ndarray, "S S 3"]:
    """Replace hidden pixels by a smooth continuation of the visible ones (push-pull)."""
    known = (~hidden).astype(np.float32)[..., None]
    levels: list[np.ndarray] = [np.concatenate([pixels * known, known], -1)]
    while min(levels[-1].shape[:2]) > 1:
        height, width = levels[-1].shape[:2]
        half = (width // 2, height // 2)
        levels.append(cv2.resize(levels[-1], half, interpolation=cv2.INTER_AREA))
    colour: np.ndarray = levels[-1][..., :3] / np.maximum(levels[-1][..., 3:], 1e-6)
    for level in reversed(levels[:-1]):
        height, width = level.shape[:2]
        coarse = cv2.resize(colour, (width, height), interpolation=cv2.INTER_LINEAR)
        colour = level[..., :3] + (1 - level[..., 3:]) * coarse
    return np.where(hidden[..., None], np.clip(colour, 0, 255).astype(np.uint8), pixels)
