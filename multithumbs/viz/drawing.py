"""Small drawing helpers on RGB images: chips, bars, antialiased lines with subpixel ends."""

from typing import Final

import cv2
import numpy as np
from jaxtyping import Float, UInt8

Colour = tuple[int, int, int]
Image = UInt8[np.ndarray, "H W 3"]

FONT: Final = cv2.FONT_HERSHEY_DUPLEX
SHIFT: Final = 4
"""Fractional bits of OpenCV's coordinates."""
DARK: Final = (16, 18, 24)
LIGHT: Final = (245, 246, 248)


def text_colour(background: Colour) -> Colour:
    """Dark or light, whichever is read better on ``background`` (relative luminance)."""
    red, green, blue = background
    return DARK if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else LIGHT


def text_size(text: str, scale: float) -> tuple[int, int, int]:
    """Width, height above the baseline and depth below it, pixels."""
    (width, height), depth = cv2.getTextSize(text, FONT, scale, 1)
    return width, height, depth


def put_text(
    image: Image, text: str, left: int, baseline: int, scale: float, colour: Colour
) -> None:
    """ASCII text with its left end and baseline at a pixel."""
    cv2.putText(image, text, (left, baseline), FONT, scale, colour, 1, cv2.LINE_AA)


def chip(
    image: Image, text: str, centre: float, bottom: float, scale: float, colour: Colour
) -> None:
    """A filled label, its bottom edge's middle at (``centre``, ``bottom``), kept in the image."""
    width, height, depth = text_size(text, scale)
    pad = max(round(0.45 * height), 3)
    box_w, box_h = width + 2 * pad, height + depth // 2 + 2 * pad
    left = round(min(max(centre - box_w / 2, 0), max(image.shape[1] - box_w, 0)))
    top = round(min(max(bottom - box_h, 0), max(image.shape[0] - box_h, 0)))
    rounded_box(image, left, top, left + box_w, top + box_h, colour, radius=pad)
    put_text(image, text, left + pad, top + pad + height, scale, text_colour(colour))


def rounded_box(
    image: Image,
    left: int,
    top: int,
    right: int,
    bottom: int,
    colour: Colour,
    *,
    radius: int = 4,
    opacity: float = 1.0,
) -> None:
    """A filled rectangle with round corners, blended in place."""
    left, top = max(left, 0), max(top, 0)
    right, bottom = min(right, image.shape[1]), min(bottom, image.shape[0])
    if right <= left or bottom <= top:
        return
    region = image[top:bottom, left:right]
    mask = np.zeros(region.shape[:2], np.uint8)
    r = min(radius, (right - left) // 2, (bottom - top) // 2)
    w, h = right - left - 1, bottom - top - 1
    for x, y in ((r, r), (w - r, r), (r, h - r), (w - r, h - r)):
        cv2.circle(mask, (x, y), r, 255, -1, cv2.LINE_AA)
    mask[r : h - r + 1] = 255
    mask[:, r : w - r + 1] = 255
    alpha = mask[..., None] * (opacity / 255)
    region[...] = (region * (1 - alpha) + np.array(colour) * alpha + 0.5).astype(np.uint8)


def polyline(
    image: Image,
    uv: Float[np.ndarray, "N 2"],
    colour: Colour,
    thickness: int = 1,
    *,
    closed: bool = False,
) -> None:
    """Antialiased line through pixel positions (first pixel's centre at 0.5)."""
    if len(uv) > 1:
        points = np.round((np.clip(uv, -1e5, 1e5) - 0.5) * 2**SHIFT).astype(np.int32)
        cv2.polylines(image, [points[:, None]], closed, colour, thickness, cv2.LINE_AA, SHIFT)


def polygon(image: Image, uv: Float[np.ndarray, "N 2"], colour: Colour, opacity: float) -> None:
    """A filled polygon, blended in place."""
    low = np.clip(np.floor(uv.min(0)).astype(int) - 1, 0, None)
    high = np.ceil(uv.max(0)).astype(int) + 2
    region = image[low[1] : high[1], low[0] : high[0]]
    if region.size == 0:
        return
    mask = np.zeros(region.shape[:2], np.uint8)
    points = np.round((np.clip(uv, -1e5, 1e5) - 0.5 - low) * 2**SHIFT).astype(np.int32)
    cv2.fillPoly(mask, [points[:, None]], 255, cv2.LINE_AA, SHIFT)
    alpha = mask[..., None] * (opacity / 255)
    region[...] = (region * (1 - alpha) + np.array(colour) * alpha + 0.5).astype(np.uint8)


def mixed(colour: Colour, other: Colour, share: float) -> Colour:
    """``share`` of ``other`` mixed into ``colour``."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(colour, other, strict=True))
    return red, green, blue
