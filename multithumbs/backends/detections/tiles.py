"""The BlazePose detector on overlapping tiles of several sizes."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, UInt8

from multithumbs.config.detections import BlazePoseDetectionsConfig
from multithumbs.models.blazepose import Candidates, DetectorNetwork, Landmarks
from multithumbs.models.blazepose.region import region_from_points


def tile_windows(
    hw: tuple[int, int], fractions: tuple[float, ...], overlap: float
) -> Float64[np.ndarray, "T 4"]:
    """Upright square windows (regions) that cover the image once per scale."""
    height, width = hw
    windows = []
    for fraction in fractions:
        side = fraction * max(hw)
        for v in _centres(height, side, overlap):
            windows += [(u, v, side, 0.0) for u in _centres(width, side, overlap)]
    return np.array(windows, dtype=np.float64)


def _centres(length: int, side: float, overlap: float) -> Float64[np.ndarray, " T"]:
    """Evenly spaced tile centres along one axis; one in the middle if it covers the axis."""
    if side >= length:
        return np.array([length / 2])
    count = math.ceil((length - side) / (side * (1 - overlap)) - 1e-9) + 1
    return np.linspace(side / 2, length - side / 2, count)


def propose(
    rgb: UInt8[np.ndarray, "H W 3"],
    windows: Float64[np.ndarray, "T 4"],
    network: DetectorNetwork,
    config: BlazePoseDetectionsConfig,
    others: Sequence[Landmarks] = (),
) -> Float64[np.ndarray, "M 4"]:
    """Regions of the people that the detector proposes in ``windows``, best first.

    ``others`` are painted over before it looks.
    """
    found = [
        network(rgb, window, min_score=config.min_candidate_score, others=others)
        for window in windows
    ]
    merged = merge_candidates(
        Candidates(
            score=np.concatenate([c.score for c in found]),
            hip_uv=np.concatenate([c.hip_uv for c in found]),
            scale_uv=np.concatenate([c.scale_uv for c in found]),
        ),
        config.same_candidate_distance,
    )
    roi = region_from_points(merged.hip_uv, merged.scale_uv)
    height, width = rgb.shape[:2]
    inside = (
        (roi[:, 0] > 0)
        & (roi[:, 0] < width)
        & (roi[:, 1] > 0)
        & (roi[:, 1] < height + 0.5 * roi[:, 2])  # close-ups: the hips lie under the image
        & (roi[:, 2] > config.min_height_px)
    )
    return roi[inside][: config.max_candidates]


def merge_candidates(candidates: Candidates, distance: float) -> Candidates:
    """Join proposals of one person into their score-weighted mean, best first.

    Two proposals agree when their hip points and their scale points are both closer than
    ``distance`` times the better one's region side.
    """
    order = np.argsort(-candidates.score, kind="stable")
    score, hip, scale = (
        candidates.score[order],
        candidates.hip_uv[order],
        candidates.scale_uv[order],
    )
    reach = distance * region_from_points(hip, scale)[:, 2]
    free = np.ones(len(order), dtype=bool)
    merged = []
    for best in range(len(order)):
        if not free[best]:
            continue
        same = free & (np.linalg.norm(hip - hip[best], axis=-1) < reach[best])
        same &= np.linalg.norm(scale - scale[best], axis=-1) < reach[best]
        same[best] = True
        free &= ~same
        weight = score[same, None] / score[same].sum()
        merged.append((score[best], (weight * hip[same]).sum(0), (weight * scale[same]).sum(0)))
    return Candidates(
        score=np.array([m[0] for m in merged]).reshape(-1),
        hip_uv=np.array([m[1] for m in merged]).reshape(-1, 2),
        scale_uv=np.array([m[2] for m in merged]).reshape(-1, 2),
    )
