"""PHALP's distance between a track and a detection: appearance, pose, place and nearness.

Sources: the 4DHumans tracker's settings EQ_019 (its default) and EQ_010, facts/phalp.md section 4.
Its units: ``xy`` in a square image of side 1 around the frame, ``depth`` in the metres of a camera
with focal length 5000 on that image at 256 pixels.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from jaxtyping import Float, Float64
from scipy.optimize import linear_sum_assignment

COMPARED_POSE: Final = 226
"""Entries of a pose vector that count: its last three are the camera."""
SURE: Final = 0.1
"""Spread that is added to every location's own."""
CODE_SCALE: Final = 1e3
CODE_GAIN: Final = 100.0
MASK_LEVEL: Final = 0.5
IGNORED: Final = 1e100
REJECTION: Final = 1e-5
"""What a rejected pair costs above the limit, as upstream, where ties are decided by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distance:
    """Weights of the four cues."""

    appearance: float
    pose: float
    location: float
    nearness: float
    pose_clip: float


EQ_019: Final = Distance(
    appearance=4.0536, pose=1.3070, location=0.3792, nearness=4.1658, pose_clip=1.5
)
EQ_010: Final = Distance(
    appearance=3.8303, pose=1.5207, location=0.4930, nearness=4.5831, pose_clip=1.2
)
EQ_010_AFTER_CUT: Final = Distance(
    appearance=7.8303, pose=1.5207, location=IGNORED, nearness=IGNORED, pose_clip=1.2
)
"""EQ_010 on the first frame of a shot, where places mean nothing."""

DISTANCES: Final[Mapping[str, Distance]] = MappingProxyType({"EQ_019": EQ_019, "EQ_010": EQ_010})


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """Where each track is expected, and how surely."""

    xy: Float64[np.ndarray, "T 2"]
    depth: Float64[np.ndarray, " T"]
    spread: Float64[np.ndarray, "T 3"]
    """Prediction interval of x, y and depth (the last as a factor)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the cost is made of, tracks by detections."""

    pose: Float64[np.ndarray, "T N"]
    """Squared distance of the pose vectors, unclipped."""
    location: Float64[np.ndarray, "T N"]
    location_spread: Float64[np.ndarray, "T 1"]
    nearness: Float64[np.ndarray, "T N"]
    """Absolute logarithm of the ratio of depths."""
    nearness_spread: Float64[np.ndarray, "T 1"]


def terms(
    track_pose: Float64[np.ndarray, "T 229"],
    track_place: Expected,
    pose: Float64[np.ndarray, "N 229"],
    xy: Float64[np.ndarray, "N 2"],
    depth: Float64[np.ndarray, " N"],
) -> Terms:
    """Compare every track with every detection; appearance is compared elsewhere."""
    gap = track_pose[:, None, :COMPARED_POSE] - pose[None, :, :COMPARED_POSE]
    offset = track_place.xy[:, None] - xy[None]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = track_place.depth[:, None] / depth[None]
        return Terms(
            pose=(gap**2).sum(-1),
            location=np.sqrt((offset**2).sum(-1)),
            location_spread=np.hypot(track_place.spread[:, :1], track_place.spread[:, 1:2]),
            nearness=np.abs(np.log(ratio)),
            nearness_spread=np.abs(np.log(1 / track_place.spread[:, 2:])),
        )


def association_cost(
    appearance: Float64[np.ndarray, "T N"], seen: Terms, distance: Distance
) -> Float64[np.ndarray, "T N"]:
    """At least 1 where everything is known; 0 where a track's spread is undefined, as upstream."""
    pose = np.minimum(seen.pose, distance.pose_clip)
    location = seen.location / (SURE + np.tanh(seen.location_spread)) / distance.location
    nearness = seen.nearness / (SURE + np.tanh(seen.nearness_spread)) / distance.nearness
    with np.errstate(over="ignore"):
        cost = (
            (1 + distance.appearance * appearance)
            * (1 + distance.pose * pose)
            * np.exp(location)
            * np.exp(nearness)
        )
    return np.nan_to_num(cost)


def assign(cost: Float64[np.ndarray, "T N"], limit: float) -> list[tuple[int, int]]:
    """The cheapest one-to-one pairs (track, detection) of those that cost at most ``limit``."""
    capped = np.where(cost > limit, limit + REJECTION, cost)
    rows, columns = linear_sum_assignment(capped)
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if capped[i, j] <= limit]


def coded_distance(
    tracks: Float[np.ndarray, "T 4 S S"],
    seen: Float[np.ndarray, "N 4 S S"],
    encode: Callable[[Float[np.ndarray, "B 4 S S"]], Float[np.ndarray, "B D"]],
) -> Float64[np.ndarray, "T N"]:
    """Distance of two textures' codes over the texels that both show (upstream's appearance term).

    Both textures are set to 0, mask included, outside their common mask, then encoded; so every
    pair is encoded anew. ``encode`` decides on precision and batches.
    """
    found = np.zeros((len(tracks), len(seen)))
    for j, texture in enumerate(seen):
        common = (tracks[:, 3:] > MASK_LEVEL) & (texture[None, 3:] > MASK_LEVEL)
        both = np.concatenate([np.where(common, tracks, 0), np.where(common, texture[None], 0)])
        code = np.asarray(encode(both), dtype=np.float64) / CODE_SCALE
        found[:, j] = CODE_GAIN * ((code[: len(tracks)] - code[len(tracks) :]) ** 2).sum(-1)
    return found


def stored_code_distance(
    track_code: Float64[np.ndarray, "T D"], code: Float64[np.ndarray, "N D"]
) -> Float64[np.ndarray, "T N"]:
    """Squared distance of codes taken when each was seen (EQ_010 after a cut; no gain)."""
    gap = (track_code[:, None] - code[None]) / CODE_SCALE
    return (gap**2).sum(-1)
