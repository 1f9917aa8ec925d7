"""How a frame meets VGGT: scaled to its width, borders cropped or padded (facts/vggt.md, 7)."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor
from torch.nn import functional

FitRule = Literal["auto", "crop", "pad"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Where the frame lies in the network's input."""

    full: tuple[int, int]
    """Height and width of the frame, pixels."""
    resized: tuple[int, int]
    """Of the scaled frame."""
    hw: tuple[int, int]
    """Of the input."""
    offset: tuple[int, int]
    """Row and column of the input where the scaled frame begins; negative where it is cropped."""

    @property
    def net_from_full(self) -> Float[np.ndarray, "3 3"]:
        """Pixels of the frame to pixels of the input, centres at one half in both."""
        (height, width), (rows, columns) = self.full, self.resized
        matrix = np.diag([columns / width, rows / height, 1.0])
        matrix[:2, 2] = self.offset[::-1]
        return matrix

    def content(self) -> Bool[np.ndarray, "h w"]:
        """Pixels of the input that show the frame."""
        (row, column), (rows, columns) = self.offset, self.resized
        inside = np.zeros(self.hw, dtype=bool)
        inside[max(row, 0) : row + rows, max(column, 0) : column + columns] = True
        return inside

    def full_cells(self) -> Int64[np.ndarray, "h w 2"]:
        """Row and column of the frame's pixel under each pixel of the input, kept inside."""
        v, u = np.indices(self.hw) + 0.5
        back = np.linalg.inv(self.net_from_full)
        row = v * back[1, 1] + back[1, 2]
        column = u * back[0, 0] + back[0, 2]
        cells = np.stack([row, column], -1)
        return np.clip(np.floor(cells), 0, np.array(self.full) - 1).astype(np.int64)


def fit_frame(hw: tuple[int, int], rule: FitRule, size: int, patch: int) -> Fit:
    """The official loaders' arithmetic.

    ``crop``: the width becomes ``size``, rows beyond ``size`` are cut off above and below.
    ``pad``: the longer side becomes ``size``, white fills the square. ``auto``: ``pad`` for
    portraits, whose people would lose heads and feet, else ``crop``.
    """
    height, width = hw
    pad = rule == "pad" or (rule == "auto" and height > width)

    def scaled(length: int, other: int) -> int:
        return max(round(length * size / other / patch), 1) * patch

    if not pad:
        rows = scaled(height, width)
        kept = min(rows, size)
        offset = (-((rows - kept) // 2), 0)
        return Fit(full=hw, resized=(rows, size), hw=(kept, size), offset=offset)
    resized = (size, scaled(width, height)) if height >= width else (scaled(height, width), size)
    offset = ((size - resized[0]) // 2, (size - resized[1]) // 2)
    return Fit(full=hw, resized=resized, hw=(size, size), offset=offset)


def network_image(image: UInt8[np.ndarray, "H W 3"], fit: Fit) -> Float[Tensor, "3 h w"]:
    """RGB in [0, 1]: bicubic as Pillow's (antialiased, 8 bit), then cropped or padded."""
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    scaled = functional.interpolate(pixels, size=fit.resized, mode="bicubic", antialias=True)
    top, left = fit.offset
    if top < 0:
        scaled = scaled[:, :, -top : fit.hw[0] - top]
        top = 0
    below, right = fit.hw[0] - top - scaled.shape[2], fit.hw[1] - left - scaled.shape[3]
    return functional.pad(scaled[0].float() / 255, (left, right, top, below), value=1.0)
