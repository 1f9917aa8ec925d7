"""The cues of Eq. 7-8 and what a link is worth."""

from typing import Final, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from scipy.optimize import linear_sum_assignment

from multithumbs.geometry import rotations
from multithumbs.types import JOINT_NAMES, KEYPOINT_NAMES

FORBIDDEN: Final = 1e6
"""Cost of a pair that must not be matched (finite, for the assignment)."""

_SEEN_AS: Final[dict[str, tuple[str, ...]]] = {
    "left_hip": ("left_hip", "left_knee"),
    "right_hip": ("right_hip", "right_knee"),
    "left_knee": ("left_knee", "left_ankle"),
    "right_knee": ("right_knee", "right_ankle"),
    "spine1": ("left_hip", "right_hip", "left_shoulder", "right_shoulder"),
    "spine2": ("left_hip", "right_hip", "left_shoulder", "right_shoulder"),
    "spine3": ("left_hip", "right_hip", "left_shoulder", "right_shoulder"),
    "neck": ("nose", "left_shoulder", "right_shoulder"),
    "left_shoulder": ("left_shoulder", "left_elbow"),
    "right_shoulder": ("right_shoulder", "right_elbow"),
    "left_elbow": ("left_elbow", "left_wrist"),
    "right_elbow": ("right_elbow", "right_wrist"),
}
"""The keypoints that must be visible for a joint's rotation to be: it turns the bone below it."""


class Links(NamedTuple):
    """A one-to-one matching; rows and columns of the cost matrix."""

    row: Int64[np.ndarray, " L"]
    column: Int64[np.ndarray, " L"]
    cost: Float[np.ndarray, " L"]
    confidence: Float[np.ndarray, " L"]


def joint_visibility(
    confidence: Float[np.ndarray, "N 23"], min_confidence: float
) -> Bool[np.ndarray, "N 24"]:
    """Whether the rotation of each body joint can be seen in the keypoints."""
    visible = np.zeros((len(confidence), len(JOINT_NAMES)), dtype=bool)
    for joint, keypoints in _SEEN_AS.items():
        columns = [KEYPOINT_NAMES.index(name) for name in keypoints]
        least = confidence[:, columns].min(1)
        visible[:, JOINT_NAMES.index(joint)] = least >= min_confidence
    return visible


def pose_difference(
    pose_a: Float[np.ndarray, "A 24 3"],
    visible_a: Bool[np.ndarray, "A 24"],
    pose_b: Float[np.ndarray, "B 24 3"],
    visible_b: Bool[np.ndarray, "B 24"],
) -> Float[np.ndarray, "A B"]:
    """P of Eq. 8: mean angle (radians) between joint rotations visible in both; NaN where none.

    The global orientation (row 0) is left out: each camera gives its own.
    """
    a = rotations.matrix_from_axis_angle(torch.as_tensor(pose_a, dtype=torch.float64))
    b = rotations.matrix_from_axis_angle(torch.as_tensor(pose_b, dtype=torch.float64))
    angle = rotations.angle_between(a[:, None], b[None]).numpy()
    both = visible_a[:, None] & visible_b[None]
    both[..., 0] = False
    count = both.sum(-1)
    return np.where(count > 0, (angle * both).sum(-1) / np.maximum(count, 1), np.nan)


def texture_difference(
    rgb_a: UInt8[np.ndarray, "A T T 3"],
    weight_a: Float[np.ndarray, "A T T"],
    rgb_b: UInt8[np.ndarray, "B T T 3"],
    weight_b: Float[np.ndarray, "B T T"],
    cell: int,
) -> tuple[Float[np.ndarray, "A B"], Float[np.ndarray, "A B"]]:
    """A of Eq. 8 and the share of the map that it rests on.

    Mean absolute difference of colours in [0, 1], after one gain per pair of textures: shots
    differ in exposure. Colours are first averaged over squares of ``cell`` texels, of what was
    seen in both: a texel's own noise, and that of where it lies on the body, would hide what
    tells two people apart. A is NaN where no texel is shared.
    """
    size = rgb_a.shape[1]
    difference = np.full((len(rgb_a), len(rgb_b)), np.nan)
    share = np.zeros_like(difference)
    for i, j in np.ndindex(*difference.shape):
        weight = np.minimum(weight_a[i], weight_b[j])
        seen = weight > 0
        if not seen.any():
            continue
        weight = np.where(seen, weight, 0.0)
        total = _cells(weight, cell)
        filled = total > 0
        a, b = (
            _cells(weight[..., None] * rgb, cell)[filled] / (255 * total[filled, None])
            for rgb in (rgb_a[i], rgb_b[j])
        )
        difference[i, j] = colour_difference(a, b, total[filled])
        share[i, j] = seen.sum() / size**2
    return difference, share


def _cells(values: Float[np.ndarray, "T T *C"], cell: int) -> Float[np.ndarray, "S S *C"]:
    """Sums over squares of ``cell`` texels; the last ones may be smaller."""
    starts = np.arange(0, len(values), cell)
    return np.add.reduceat(np.add.reduceat(values, starts, axis=0), starts, axis=1)


def colour_difference(
    a: Float[np.ndarray, "*#s n 3"],
    b: Float[np.ndarray, "*#s n 3"],
    weight: Float[np.ndarray, "*s n"],
) -> Float[np.ndarray, "*s"] | float:
    """Mean absolute difference of colours in [0, 1] after one gain: shots differ in exposure."""
    grey_a, grey_b = (_mean(colours.mean(-1), weight) for colours in (a, b))
    # Half of the gain on either side keeps the difference symmetric.
    half = np.sqrt(np.clip(grey_b / np.maximum(grey_a, 1e-3), 0.5, 2.0))[..., None, None]
    return _mean(np.abs((a * half).clip(0, 1) - (b / half).clip(0, 1)).mean(-1), weight)


def _mean(
    values: Float[np.ndarray, "*#s n"], weight: Float[np.ndarray, "*s n"]
) -> Float[np.ndarray, "*s"] | float:
    return (values * weight).sum(-1) / weight.sum(-1)


def match(
    cost: Float[np.ndarray, "A B"], allowed: Bool[np.ndarray, "A B"], no_match: float, scale: float
) -> Links:
    """The likeliest one-to-one matching of allowed pairs (the Hungarian algorithm).

    A pair left alone costs ``no_match``, so that one sure link is not given up for two poor ones.
    A link's confidence is that of a softmax (``scale`` in units of cost) between it and the best
    alternative of either partner: another allowed pair, or nobody.
    """
    usable = np.where(allowed, cost, FORBIDDEN)
    row, column = linear_sum_assignment(np.minimum(usable - no_match, 0.0))
    kept = usable[row, column] < no_match
    row, column = row[kept].astype(np.int64), column[kept].astype(np.int64)
    chosen = cost[row, column]
    others = usable.copy()
    others[row, column] = FORBIDDEN
    rival = np.full(len(row), no_match)
    if len(row):
        rival = np.minimum(rival, np.minimum(others[row].min(1), others[:, column].min(0)))
    confidence = 1 / (1 + np.exp(np.clip((chosen - rival) / scale, -50, 50)))
    return Links(row, column, chosen, confidence)
