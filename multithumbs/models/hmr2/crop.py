"""The square crop that HMR2 reads (``facts/hmr2.md`` section 4).

Positions here are pixel *indices*, as upstream's and OpenCV's: the centre of the first pixel is
at (0, 0). Ours are half a pixel more; the adapter converts.
"""

from typing import Final

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, UInt8
from torch import Tensor

CROP: Final = 256
ASPECT: Final = 192 / 256
"""Width over height of the part that the network looks at."""
BLUR_FROM: Final = 1.1
"""People who are scaled down by more than twice this are blurred first."""
BLUR_REACH: Final = 4.0
"""The blur's kernel ends at this many standard deviations."""
MEAN: Final = (0.485, 0.456, 0.406)
STD: Final = (0.229, 0.224, 0.225)


def square_of_box(
    box_xyxy: Float64[np.ndarray, "N 4"],
) -> tuple[Float64[np.ndarray, "N 2"], Float64[np.ndarray, " N"]]:
    """Centre and side of the square crop: the box enlarged to 3 : 4, then to a square."""
    low, high = box_xyxy[..., :2], box_xyxy[..., 2:]
    size = high - low
    side = np.maximum(size.max(axis=-1), size[..., 0] / ASPECT)
    return (low + high) / 2, side


def crop_from_image(centre: Float64[np.ndarray, "2"], side: float) -> Float64[np.ndarray, "2 3"]:
    """The affine that takes pixel indices of the image to those of the crop.

    The square's centre falls on index (128, 128), half a pixel off the crop's middle.
    """
    scale = CROP / side
    shift = CROP / 2 - scale * centre
    return np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])


def crop_person(
    rgb: UInt8[np.ndarray, "H W 3"], centre: Float64[np.ndarray, "2"], side: float, *, blur: bool
) -> Float32[np.ndarray, "256 256 3"]:
    """The crop, 0 to 255, black outside the image.

    Args:
        rgb: the image.
        centre: of the square, pixel indices.
        side: of the square, pixels.
        blur: whether large people are blurred before they are scaled down.
    """
    sigma = (side / (2 * CROP) - 1) / 2
    image = rgb
    if blur and side / (2 * CROP) > BLUR_FROM:
        image, corner = _blurred(rgb, centre, side, sigma)
        centre = centre - corner
    crop = cv2.warpAffine(
        image, crop_from_image(centre, side), (CROP, CROP), flags=cv2.INTER_LINEAR
    )
    return np.asarray(crop, dtype=np.float32)


def _blurred(
    rgb: UInt8[np.ndarray, "H W 3"], centre: Float64[np.ndarray, "2"], side: float, sigma: float
) -> tuple[Float32[np.ndarray, "h w 3"], Float64[np.ndarray, "2"]]:
    """The part of the image under the square, blurred, and the index of its first pixel.

    Far enough around the square that no pixel in it feels where the part was cut off; at the
    image's own border the outermost pixels are repeated.
    """
    reach = int(BLUR_REACH * sigma + 0.5)
    margin = side / 2 + reach + 2
    wh = np.array([rgb.shape[1], rgb.shape[0]])
    low = np.clip(np.floor(centre - margin), 0, wh - 1).astype(np.int64)
    high = np.clip(np.ceil(centre + margin) + 1, low + 1, wh).astype(np.int64)
    part = rgb[low[1] : high[1], low[0] : high[0]].astype(np.float32)
    kernel = (2 * reach + 1, 2 * reach + 1)
    part = cv2.GaussianBlur(part, kernel, sigma, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(part, dtype=np.float32), low.astype(np.float64)


def normalised(crops: Float[Tensor, "B 256 256 3"]) -> Float[Tensor, "B 3 256 256"]:
    """Crops of 0 to 255 as the network reads them."""
    mean = 255 * torch.tensor(MEAN, dtype=crops.dtype, device=crops.device)
    std = 255 * torch.tensor(STD, dtype=crops.dtype, device=crops.device)
    return ((crops - mean) / std).permute(0, 3, 1, 2)
