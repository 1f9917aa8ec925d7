"""Metres per unit of a reconstruction, from people whose size is known; and who may be who.

Each ratio is of one person in one frame: metres of their body over units of their points. None
is exact: a body's own size is guessed from one image (some 7%), the points cover the side that
is seen, and some of them hang at silhouettes.
"""

from typing import Literal

import numpy as np
from jaxtyping import Float, Int64

from multithumbs.solvers.identity_costs import match

ScaleRule = Literal["paper", "median", "head_pelvis"]
_FIXED_POINT_STEPS = 50


def paper_ratio(vertices_m: Float[np.ndarray, "V 3"], points: Float[np.ndarray, "P 3"]) -> float:
    """Largest centroid-to-vertex distance of the mesh over that of the points (section 3.1).

    Whole mesh against seen surface, and one stray point decides: as printed. NaN without points.
    """
    if not len(points) or not len(vertices_m):
        return float("nan")
    largest = [np.linalg.norm(x - x.mean(0), axis=1).max() for x in (vertices_m, points)]
    return float(largest[0] / largest[1]) if largest[1] > 0 else float("nan")


def depth_ratio(depth_m: Float[np.ndarray, " M"], depth: Float[np.ndarray, " M"]) -> float:
    """Median over pixels of the body's depth (metres) over the scene's (units); NaN without any.

    A monocular body stands where its size puts it, so this is a ratio of sizes as well, and half
    of the pixels may be wrong.
    """
    usable = (depth > 0) & (depth_m > 0) & np.isfinite(depth) & np.isfinite(depth_m)
    return float(np.median(depth_m[usable] / depth[usable])) if usable.any() else float("nan")


def head_pelvis_ratio(
    head_uv: Float[np.ndarray, "2"],
    pelvis_uv: Float[np.ndarray, "2"],
    head_depth: float,
    pelvis_from_head_m: Float[np.ndarray, "3"],
    K: Float[np.ndarray, "3 3"],
) -> float:
    """CHROMM's scale: the body, its head held at the scene's depth, must show the head-to-pelvis
    length that the image shows.

    CHROMM divides once, its scene being nearly metric. Here the unit is anything, so the division
    is repeated with the head at the corrected depth until it changes nothing. NaN where the
    length is not seen or no scale explains it.

    Args:
        head_uv, pelvis_uv: in the image, pixels.
        head_depth: scene depth at the head, units.
        pelvis_from_head_m: from the body's head to its pelvis, in the camera, metres.
        K: of the camera.
    """
    seen = float(np.linalg.norm(pelvis_uv - head_uv))
    ray = np.linalg.solve(K, np.append(head_uv, 1.0))
    if not (seen > 0 and head_depth > 0 and np.isfinite([seen, head_depth]).all()):
        return float("nan")
    # Far away the length is focal x lateral / depth: a start that the steps improve.
    lateral = pelvis_from_head_m - ray * (pelvis_from_head_m @ ray) / (ray @ ray)
    scale = float(K[0, 0] * np.linalg.norm(lateral) / seen / head_depth)
    for _ in range(_FIXED_POINT_STEPS):
        pelvis = ray * (scale * head_depth) + pelvis_from_head_m
        if not (np.isfinite(scale) and scale > 0 and pelvis[2] > 0):
            return float("nan")
        factor = float(np.linalg.norm((K @ (pelvis / pelvis[2]))[:2] - head_uv)) / seen
        scale *= factor
        if abs(factor - 1) < 1e-9:
            return scale
    return float("nan")


def combine(ratios: Float[np.ndarray, " N"], rule: ScaleRule) -> float:
    """One scale of several people: their mean as published, or for `median` their median.

    Ratios that are not positive and finite are left out; NaN where none is left.
    """
    usable = ratios[np.isfinite(ratios) & (ratios > 0)]
    if not len(usable):
        return float("nan")
    return float(np.median(usable) if rule == "median" else np.mean(usable))


def log_spread(ratios: Float[np.ndarray, " N"]) -> float:
    """Mean absolute deviation of the natural logarithms of usable ratios from their median; 0 for
    fewer than 2. (A median deviation would be 0 where two of five contradict three.)"""
    logs = np.log(ratios[np.isfinite(ratios) & (ratios > 0)])
    return float(np.mean(np.abs(logs - np.median(logs)))) if len(logs) > 1 else 0.0


def clear_pairs(
    before: Float[np.ndarray, "A 3"],
    after: Float[np.ndarray, "B 3"],
    *,
    max_distance: float,
    min_margin: float,
) -> Int64[np.ndarray, "M 2"]:
    """Who stands where somebody stood: Hungarian on the distances of Eq. 7, clear cases only.

    A pair is kept where it is no further apart than ``max_distance`` and either partner's
    next choice is ``min_margin`` further away. Rows that hold NaN take no part.
    """
    known = [np.flatnonzero(np.isfinite(x).all(1)) for x in (before, after)]
    if not len(known[0]) or not len(known[1]):
        return np.zeros((0, 2), dtype=np.int64)
    apart = np.linalg.norm(before[known[0]][:, None] - after[known[1]][None], axis=-1)
    found = match(apart, apart <= max_distance, max_distance, 1.0)
    pairs = []
    for row, column, distance in zip(found.row, found.column, found.cost, strict=True):
        rivals = np.append(np.delete(apart[row], column), np.delete(apart[:, column], row))
        if rivals.min(initial=np.inf) >= distance + min_margin:
            pairs.append((known[0][row], known[1][column]))
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)
