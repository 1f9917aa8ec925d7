"""What people wear, as colours along their limbs and as textures: a hint of who is who at a cut."""

from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float, Int64, UInt8

from multithumbs.backends.boundaries.side import BoundarySide
from multithumbs.config.boundaries import AppearanceConfig
from multithumbs.render.texture import sample_bilinear
from multithumbs.solvers.identity_costs import texture_difference
from multithumbs.types import KEYPOINT_NAMES

_REGIONS: Final = (
    (("left_shoulder", "left_hip"), ("right_shoulder", "right_hip")),
    (("left_shoulder", "left_elbow"), ("right_shoulder", "right_elbow")),
    (("left_elbow", "left_wrist"), ("right_elbow", "right_wrist")),
    (("left_hip", "left_knee"), ("right_hip", "right_knee")),
    (("left_knee", "left_ankle"), ("right_knee", "right_ankle")),
)
"""Pairs of bones whose pixels make one colour: torso, sleeves, forearms, thighs, shins. Left and
right are joined, since a camera on the other side sees the other one."""

_ALONG: Final = np.linspace(0.2, 0.8, 7)


class Clothes(NamedTuple):
    """The texture of each person of one side."""

    rgb: UInt8[np.ndarray, "N T T 3"]
    weight: Float[np.ndarray, "N T T"]
    """0 where a texel was never seen."""


class Looks(NamedTuple):
    """How unlike the people of two sides are: costs, each at most ``max_cost``."""

    colours: Float[np.ndarray, "Na Nb"]
    textures: Float[np.ndarray, "Na Nb"]
    """The colours again where two textures share too little."""

    @property
    def total(self) -> Float[np.ndarray, "Na Nb"]:
        """Both measures together."""
        return self.colours + self.textures

    def mean_cost(self, pairs: Int64[np.ndarray, "M 2"]) -> float:
        """Of both measures together, over some pairs."""
        first, second = pairs.T
        return float(self.total[first, second].mean())


def limb_colours(
    image: UInt8[np.ndarray, "H W 3"], side: BoundarySide
) -> tuple[Float[np.ndarray, "N R 3"], Float[np.ndarray, "N R"]]:
    """Median colour of each region in [0, 1], and its weight (0 where no bone of it was seen).

    Only pixels of the person's own mask count, where there is one: others may stand in front.
    """
    colours = np.zeros((len(side), len(_REGIONS), 3))
    weights = np.zeros((len(side), len(_REGIONS)))
    for region, bones in enumerate(_REGIONS):
        ends = np.array([[KEYPOINT_NAMES.index(name) for name in bone] for bone in bones])
        a, b = side.uv[:, ends[:, 0]], side.uv[:, ends[:, 1]]  # (N, 2 bones, 2)
        seen = side.confidence[:, ends].min(-1)  # (N, 2 bones)
        uv = a[:, :, None] + _ALONG[:, None] * (b - a)[:, :, None]
        rgb = sample_bilinear(image, uv.reshape(-1, 2)).reshape(*uv.shape[:3], 3) / 255
        column, row = np.moveaxis(uv.astype(np.int64), -1, 0)
        row, column = row.clip(0, side.hw[0] - 1), column.clip(0, side.hw[1] - 1)
        for person in range(len(side)):
            mask = side.mask[person]
            own = mask[row[person], column[person]] if mask.any() else True
            use = (seen[person] > 0)[:, None] & own
            if use.any():
                colours[person, region] = np.median(rgb[person][use], axis=0)
                weights[person, region] = (seen[person][:, None] * use).max()
    return colours, weights


def compare_looks(
    images: tuple[UInt8[np.ndarray, "H W 3"], UInt8[np.ndarray, "H W 3"]],
    sides: tuple[BoundarySide, BoundarySide],
    clothes: tuple[Clothes, Clothes] | None,
    config: AppearanceConfig,
) -> Looks | None:
    """What both measures cost; None where appearance is left out."""
    if config.weight == 0:
        return None
    colours = colour_cost(images, sides, config)
    textures = np.full_like(colours, np.nan)
    if clothes is not None and textures.size:
        difference, share = texture_difference(*clothes[0], *clothes[1], config.texture_cell)
        cost = config.weight * (difference / config.texture_difference) ** 2
        textures = np.where(share >= config.min_shared_texels, cost, np.nan)
    return Looks(
        colours, np.where(np.isnan(textures), colours, np.minimum(textures, config.max_cost))
    )


def colour_cost(
    images: tuple[UInt8[np.ndarray, "H W 3"], UInt8[np.ndarray, "H W 3"]],
    sides: tuple[BoundarySide, BoundarySide],
    config: AppearanceConfig,
) -> Float[np.ndarray, "Na Nb"]:
    """Cost per pair of people of their limbs' colours, bounded by ``max_cost``."""
    (a, weight_a), (b, weight_b) = (
        limb_colours(image, side) for image, side in zip(images, sides, strict=True)
    )
    a, b = _without_gain(a, weight_a), _without_gain(b, weight_b)
    weight = weight_a[:, None] * weight_b[None]
    squared = ((a[:, None] - b[None]) ** 2).mean(-1)
    total = weight.sum(-1)
    mean = np.where(total > 0, (weight * squared).sum(-1) / np.maximum(total, 1e-9), 0)
    cost = config.weight * mean / config.difference**2
    return np.minimum(cost, config.max_cost)


def _without_gain(
    colours: Float[np.ndarray, "N R 3"], weights: Float[np.ndarray, "N R"]
) -> Float[np.ndarray, "N R 3"]:
    """Colours of one frame scaled so that everyone's mean is grey: exposure and white balance."""
    total = weights.sum()
    if total == 0:
        return colours
    mean = (weights[..., None] * colours).sum((0, 1)) / total
    return np.clip(colours * (0.5 / np.maximum(mean, 0.05)), 0, 1.5)
