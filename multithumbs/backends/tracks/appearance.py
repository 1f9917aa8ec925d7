"""What a person wears, as a few colours: enough to tell players apart when they cross."""

from typing import Final

import cv2
import numpy as np
from jaxtyping import Float64, UInt8

from multithumbs.types import Detections, FrameReader, Keypoints

PARTS: Final = (
    ((5, 7), (6, 8)),
    ((7, 9), (8, 10)),
    ((11, 13), (12, 14)),
    ((13, 15), (14, 16)),
)
"""Limbs (keypoint pairs) whose colours are pooled: upper arms, forearms, thighs, shanks."""
TORSO: Final = (5, 6, 11, 12)
HEAD: Final = (0, 1, 2, 3, 4)
NUM_PARTS: Final = len(PARTS) + 2

_ALONG: Final = np.linspace(0.15, 0.85, 8)
_GRID: Final = np.stack(np.meshgrid(np.linspace(0.2, 0.8, 5), np.linspace(0.1, 0.8, 6)), -1)


def describe(
    video: FrameReader, detections: Detections, keypoints: Keypoints
) -> tuple[Float64[np.ndarray, "N 6 3"], Float64[np.ndarray, "N 6"]]:
    """Median CIELAB colour of each part of each row, and how well its keypoints were seen."""
    colour = np.zeros((len(detections), NUM_PARTS, 3))
    weight = np.zeros((len(detections), NUM_PARTS))
    if len(detections) == 0:
        return colour, weight
    first, last = int(detections.frame[0]), int(detections.frame[-1])
    for frame in video.frames(first, last + 1):
        rows = np.flatnonzero(detections.frame == frame.index)
        for row in rows:
            colour[row], weight[row] = _colours(
                frame.rgb, keypoints.uv[row], keypoints.confidence[row]
            )
    return colour, weight


def _colours(
    rgb: UInt8[np.ndarray, "H W 3"],
    uv: Float64[np.ndarray, "23 2"],
    confidence: Float64[np.ndarray, "23"],
) -> tuple[Float64[np.ndarray, "6 3"], Float64[np.ndarray, "6"]]:
    points: list[np.ndarray] = [
        np.concatenate([uv[a] + _ALONG[:, None] * (uv[b] - uv[a]) for a, b in pairs])
        for pairs in PARTS
    ]
    across, down = _GRID[..., :1], _GRID[..., 1:]
    top = uv[5] + across * (uv[6] - uv[5])
    bottom = uv[11] + across * (uv[12] - uv[11])
    points += [(top + down * (bottom - top)).reshape(-1, 2), uv[list(HEAD)]]
    used = [[k for pair in pairs for k in pair] for pairs in PARTS] + [list(TORSO), list(HEAD)]
    colour, weight = np.zeros((NUM_PARTS, 3)), np.zeros(NUM_PARTS)
    height, width = rgb.shape[:2]
    for part, (where, keys) in enumerate(zip(points, used, strict=True)):
        pixel = np.floor(where).astype(np.int64)
        inside = (pixel >= 0).all(1) & (pixel < (width, height)).all(1)
        if inside.mean() < 0.5:
            continue
        sampled = rgb[pixel[inside, 1], pixel[inside, 0]][None].astype(np.float32) / 255
        lab = cv2.cvtColor(sampled, cv2.COLOR_RGB2LAB)[0]
        colour[part] = np.median(lab, axis=0)
        weight[part] = confidence[keys].mean()
    return colour, weight
