"""Oriented square regions ``(cu, cv, side, angle)``: between image pixels and crop pixels.

``angle`` turns the crop's up direction clockwise (as seen on screen) into the person's up
direction in the image: a person upright in the image has angle 0, one whose head points to
the right has pi / 2. Both images have their first pixel's centre at (0.5, 0.5).
"""

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt8

REGION_SCALE = 1.25
"""Side of the region over twice the distance from the hips to the scale point: the margin
that both networks were trained with."""

MAX_SUPERSAMPLING = 4


def image_from_crop(
    roi: Float64[np.ndarray, "*b 4"], crop_side: int
) -> Float64[np.ndarray, "*b 2 3"]:
    """Affine map that takes crop pixels (continuous, in ``[0, crop_side]``) to image pixels."""
    scale = roi[..., 2] / crop_side
    cos, sin = scale * np.cos(roi[..., 3]), scale * np.sin(roi[..., 3])
    linear = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)
    offset = roi[..., :2] - linear.sum(-1) * (crop_side / 2)
    return np.concatenate([linear, offset[..., None]], -1)


def crop_from_image(
    roi: Float64[np.ndarray, "*b 4"], crop_side: int
) -> Float64[np.ndarray, "*b 2 3"]:
    """Inverse of `image_from_crop`."""
    scale = crop_side / roi[..., 2]
    cos, sin = scale * np.cos(roi[..., 3]), scale * np.sin(roi[..., 3])
    linear = np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], -2)
    offset = crop_side / 2 - (linear @ roi[..., :2, None])[..., 0]
    return np.concatenate([linear, offset[..., None]], -1)


def apply_affine(
    affine: Float64[np.ndarray, "2 3"], uv: Float64[np.ndarray, "*b 2"]
) -> Float64[np.ndarray, "*b 2"]:
    """``affine @ [uv, 1]`` of every point."""
    return uv @ affine[:, :2].T + affine[:, 2]


def region_from_points(
    hip_uv: Float64[np.ndarray, "*b 2"], scale_uv: Float64[np.ndarray, "*b 2"]
) -> Float64[np.ndarray, "*b 4"]:
    """Region around the middle of the hips, sized and turned by the scale point.

    The scale point lies in the person's up direction, on the circle that holds the whole body.
    """
    up = scale_uv - hip_uv
    side = 2 * REGION_SCALE * np.linalg.norm(up, axis=-1)
    angle = np.arctan2(up[..., 0], -up[..., 1])
    return np.concatenate([hip_uv, side[..., None], angle[..., None]], -1)


def crop(
    rgb: UInt8[np.ndarray, "H W 3"], roi: Float64[np.ndarray, "4"], crop_side: int
) -> UInt8[np.ndarray, "S S 3"]:
    """The region resampled to ``crop_side`` squared; black outside the image.

    Regions larger than the crop are sampled several times per crop pixel and averaged, since a
    bilinear warp alone would alias.
    """
    factor = int(np.clip(np.round(roi[2] / crop_side), 1, MAX_SUPERSAMPLING))
    fine_side = factor * crop_side
    fine = cv2.warpAffine(
        rgb,
        array_affine(image_from_crop(roi, fine_side)),
        (fine_side, fine_side),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    )
    return cv2.resize(fine, (crop_side, crop_side), interpolation=cv2.INTER_AREA)


def paste(
    values: Float32[np.ndarray, "S S"],
    roi: Float64[np.ndarray, "4"],
    hw: tuple[int, int],
    *,
    outside: float,
) -> Float32[np.ndarray, "H W"]:
    """A crop's per-pixel values resampled into the image; ``outside`` beyond the region."""
    height, width = hw
    return cv2.warpAffine(
        values,
        array_affine(crop_from_image(roi, values.shape[0])),
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(outside,),
    )


def array_affine(affine: Float64[np.ndarray, "2 3"]) -> Float64[np.ndarray, "2 3"]:
    """The same map between array indices, whose first pixel's centre is (0, 0) (OpenCV's)."""
    shifted = affine.copy()
    shifted[:, 2] += affine[:, :2].sum(-1) * 0.5 - 0.5
    return shifted
