"""Cutting a person out of an image as ViTPose expects it.

In this module and in `decode` pixels are the network's own: the first pixel's centre is
(0, 0). The adapter converts. Source: facts sheet ``vitpose.md`` section 5.
"""

from typing import Final

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt8
from torch import Tensor

from multithumbs.models.vitpose.network import INPUT_HW

MEAN: Final = (0.485, 0.456, 0.406)
STD: Final = (0.229, 0.224, 0.225)


def crop_rectangle(
    box_xyxy: Float64[np.ndarray, "*batch 4"], padding: float
) -> Float64[np.ndarray, "*batch 4"]:
    """Centre x, y, width and height (pixels) of the crop around a box.

    The short side grows to the crop's aspect of 3 : 4, then both by ``padding``. A box without
    extent counts as one pixel wide, so that there is something to look at.
    """
    low, high = box_xyxy[..., :2], box_xyxy[..., 2:]
    width, height = np.moveaxis(high - low, -1, 0)
    aspect = INPUT_HW[1] / INPUT_HW[0]
    width = np.maximum(np.maximum(width, height * aspect), 1.0)
    size = np.stack([width, width / aspect], axis=-1) * padding
    return np.concatenate([(low + high) / 2, size], axis=-1)


def crop_matrix(
    rectangle: Float64[np.ndarray, "*batch 4"], *, unbiased: bool
) -> Float64[np.ndarray, "*batch 2 3"]:
    """``crop_from_image``: image pixels to pixels of the 192 x 256 crop.

    ``unbiased`` (UDP) maps the rectangle's edges onto the centres of the first and last pixels;
    otherwise both axes are scaled as the width is and the centre comes to (96, 128).
    """
    centre, size = rectangle[..., :2], rectangle[..., 2:]
    inner = np.array(INPUT_HW[::-1], np.float64)
    if unbiased:
        scale = (inner - 1) / size
        shift = (size / 2 - centre) * scale
    else:
        scale = np.broadcast_to(inner[:1] / size[..., :1], size.shape)
        shift = inner / 2 - centre * scale
    matrix = np.zeros((*rectangle.shape[:-1], 2, 3))
    matrix[..., 0, 0], matrix[..., 1, 1] = np.moveaxis(scale, -1, 0)
    matrix[..., 2] = shift
    return matrix


def crop_person(
    rgb: UInt8[np.ndarray, "H W 3"], crop_from_image: Float64[np.ndarray, "2 3"]
) -> UInt8[np.ndarray, "256 192 3"]:
    """The crop, bilinear, black outside the image."""
    return cv2.warpAffine(rgb, crop_from_image, INPUT_HW[::-1], flags=cv2.INTER_LINEAR).astype(
        np.uint8, copy=False
    )


def normalised(crops: UInt8[Tensor, "B 256 192 3"]) -> Float32[Tensor, "B 3 256 192"]:
    """Crops as the network sees them: ImageNet's mean 0 and standard deviation 1."""
    planes = crops.permute(0, 3, 1, 2).float() / 255
    mean, std = (planes.new_tensor(x).view(3, 1, 1) for x in (MEAN, STD))
    return (planes - mean) / std
