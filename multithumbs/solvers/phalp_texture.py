"""A track's memory of its texture, and a comparison of textures without a network."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float, Float64

from multithumbs.solvers.phalp_cost import MASK_LEVEL

TEXTURE_SCALE: Final = 5.0
"""What normalised colours were divided by (`multithumbs.models.phalp.process_uv_image`)."""
IMAGE_MEAN: Final = (0.485, 0.456, 0.406)
IMAGE_STD: Final = (0.229, 0.224, 0.225)
"""ImageNet's, by which they were normalised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColourSettings:
    """How colours are compared."""

    cells: int
    """Side of the grid in which a texture's colours are averaged."""
    noise: float
    """Standard deviation of one cell's colour from sight to sight, of 1 for white."""
    unknown: float
    """Dissimilarity of cells that were not both seen, 0 to 1."""
    doubt: float
    """Weight of `unknown`, in cells."""


def blend(
    memory: Float[np.ndarray, "4 S S"],
    seen: Float[np.ndarray, "4 S S"],
    confidence: float,
    rate: float,
) -> Float[np.ndarray, "4 S S"]:
    """The memory after another sight: overlap mixed by ``rate * confidence**2``, union of masks."""
    share = rate * confidence**2
    old, new = memory[3:] > MASK_LEVEL, seen[3:] > MASK_LEVEL
    mixed = (1 - share) * memory[:3] + share * seen[:3]
    colour = np.where(old & new, mixed, np.where(old, memory[:3], np.where(new, seen[:3], 0)))
    return np.concatenate([colour, np.where(old | new, 1.0, -1.0)]).astype(memory.dtype)


def colour_distance(
    tracks: Float[np.ndarray, "T 4 S S"],
    seen: Float[np.ndarray, "N 4 S S"],
    settings: ColourSettings,
) -> Float64[np.ndarray, "T N"]:
    """Dissimilarity of mask-weighted mean colours, cell by cell, 0 to 1.

    Only cells that both textures show count, each by the smaller share of it that is seen; a
    few pretended cells of dissimilarity ``unknown`` keep little evidence from deciding.
    """
    colour_a, weight_a = _cells(tracks, settings.cells)
    colour_b, weight_b = _cells(seen, settings.cells)
    weight = np.minimum(weight_a[:, None], weight_b[None])
    squared = ((colour_a[:, None] - colour_b[None]) ** 2).sum(-2) / settings.noise**2
    unlike = (weight * (1 - np.exp(-squared / 2))).sum(-1)
    return (unlike + settings.doubt * settings.unknown) / (weight.sum(-1) + settings.doubt)


def _cells(
    textures: Float[np.ndarray, "B 4 S S"], cells: int
) -> tuple[Float64[np.ndarray, "B 3 C"], Float64[np.ndarray, "B C"]]:
    """Mean colour (sRGB, 0 to 1) and seen share of each cell of a ``cells`` x ``cells`` grid."""
    count, _, side, _ = textures.shape
    edge = np.linspace(0, side, cells + 1).astype(np.int64)[:-1]
    shown = (textures[:, 3:] > MASK_LEVEL).astype(np.float64)

    def pooled(values: np.ndarray) -> np.ndarray:
        rows = np.add.reduceat(values, edge, axis=2)
        return np.add.reduceat(rows, edge, axis=3).reshape(count, values.shape[1], -1)

    amount, size = pooled(shown), pooled(np.ones_like(shown))
    total = pooled(textures[:, :3] * shown)
    mean = total / np.maximum(amount, 1e-9)
    colour = mean * TEXTURE_SCALE * np.reshape(IMAGE_STD, (3, 1)) + np.reshape(IMAGE_MEAN, (3, 1))
    return colour, (amount / size)[:, 0]
