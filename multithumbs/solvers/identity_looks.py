"""What people wear, part by part: the cue that is left where one shows the front, one the back.

A of Eq. 8 compares texels that both textures saw. Somebody seen from behind and the same person
seen from the front share hardly any, but sleeves and trousers have one colour all round.
"""

from typing import Final

import numpy as np
from jaxtyping import Float, Int64, UInt8

from multithumbs.solvers.identity_costs import colour_difference
from multithumbs.types import JOINT_NAMES

PARTS: Final[tuple[tuple[str, ...], ...]] = (
    ("spine1", "spine2", "spine3", "left_collar", "right_collar"),
    ("left_shoulder", "right_shoulder"),
    ("left_elbow", "right_elbow"),
    ("pelvis",),
    ("left_hip", "right_hip"),
    ("left_knee", "right_knee"),
    ("left_ankle", "right_ankle", "left_foot", "right_foot"),
)
"""Joints whose bones a part is: shirt, sleeves, forearms, hips, thighs, shins, feet. No head: hair
and face differ. Left and right are joined, since from the side only one of them is seen."""
MIN_PART = 0.1
"""Share of a part's texels that must have been seen."""
MIN_PARTS = 2
"""Parts that both textures must have seen."""


def part_of_joint() -> Int64[np.ndarray, "24"]:
    """Index into `PARTS` of each joint; -1 for those in none."""
    parts = np.full(len(JOINT_NAMES), -1)
    for index, names in enumerate(PARTS):
        parts[[JOINT_NAMES.index(name) for name in names]] = index
    return parts


def part_colours(
    rgb: UInt8[np.ndarray, "N T T 3"],
    weight: Float[np.ndarray, "N T T"],
    texel_part: Int64[np.ndarray, "T T"],
) -> tuple[Float[np.ndarray, "N P 3"], Float[np.ndarray, "N P"]]:
    """Mean colour in [0, 1] of every part, and how many of its texels were seen.

    Parts of which too little was seen count as not seen at all.
    """
    one_hot = (texel_part[..., None] == np.arange(len(PARTS))).astype(np.float64)
    mass = np.einsum("nij,ijp->np", weight, one_hot)
    total = np.einsum("nij,nijc,ijp->npc", weight, rgb / 255, one_hot)
    seen = np.einsum("nij,ijp->np", (weight > 0).astype(np.float64), one_hot)
    seen = np.where(seen >= MIN_PART * one_hot.sum((0, 1)), seen, 0.0)
    return total / np.maximum(mass, 1e-9)[..., None], seen


def part_difference(
    colours_a: Float[np.ndarray, "A P 3"],
    seen_a: Float[np.ndarray, "A P"],
    colours_b: Float[np.ndarray, "B P 3"],
    seen_b: Float[np.ndarray, "B P"],
) -> Float[np.ndarray, "A B"]:
    """Mean absolute difference of the parts' colours after one gain per pair; NaN where too few
    parts were seen in both."""
    common = np.minimum(seen_a[:, None], seen_b[None])
    known = (common > 0).sum(-1) >= MIN_PARTS
    apart = colour_difference(
        colours_a[:, None], colours_b[None], np.where(known[..., None], common, 1.0)
    )
    return np.where(known, apart, np.nan)
