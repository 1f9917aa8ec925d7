"""Textures for the kernels: powers of two, with their mip levels, in one flat array."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Int32, UInt8


@dataclass(frozen=True, slots=True, kw_only=True)
class TexturePack:
    """Several square textures, each followed by its mip levels down to one texel."""

    texels: UInt8[np.ndarray, "N 3"]
    start: Int32[np.ndarray, " K"]
    size: Int32[np.ndarray, " K"]

    @classmethod
    def of(cls, images: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> "TexturePack":
        """Pack images; ValueError where one is not a square whose side is a power of two."""
        parts, start, size, used = [], [], [], 0
        for image in images:
            side = image.shape[0]
            if image.shape[1] != side or side & (side - 1):
                raise ValueError(f"expected a square power of two, got {image.shape[:2]}")
            start.append(used)
            size.append(side)
            level = image
            while True:
                parts.append(level.reshape(-1, 3))
                used += len(parts[-1])
                if level.shape[0] == 1:
                    break
                half = level.shape[0] // 2
                level = cv2.resize(level, (half, half), interpolation=cv2.INTER_AREA)
        return cls(
            texels=np.concatenate(parts),
            start=np.array(start, np.int32),
            size=np.array(size, np.int32),
        )
