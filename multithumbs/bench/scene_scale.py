"""Metres per unit of a reconstruction, from the people in it (paper section 3.1)."""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float64

from multithumbs.backends.boundaries.side import BoundarySide
from multithumbs.body import BodyModel
from multithumbs.types import BoundaryScene

MIN_POINTS = 8
"""Fewer scene points on a person say nothing."""


def metres_per_unit(
    scene: BoundaryScene,
    sides: tuple[BoundarySide, BoundarySide],
    body: BodyModel,
    how: Literal["robust", "extent"],
    min_confidence: float = 0.25,
) -> float | None:
    """None where nobody says anything.

    ``extent``: the paper's: the largest distance of a vertex from its mesh's centroid over that
    of a scene point in the mask from theirs, averaged over people. ``robust``: the median over
    points of the body's depth over the point's, and the median of people.
    """
    ratios = []
    for k, side in enumerate(sides):
        if not len(side):
            continue
        tensors = (
            torch.from_numpy(values).to(body.dtype)
            for values in (side.pose, side.betas, side.transl)
        )
        vertices = body.vertices(*tensors).numpy().astype(np.float64)
        cam_from_scene = np.linalg.inv(scene.scene_from_cam[k])
        points = scene.points_scene[k] @ cam_from_scene[:3, :3].T + cam_from_scene[:3, 3]
        height, width = scene.confidence[k].shape
        for index in range(len(side)):
            rows = (np.arange(height) + 0.5) * side.hw[0] / height
            columns = (np.arange(width) + 0.5) * side.hw[1] / width
            mask = side.mask[index][np.ix_(rows.astype(int), columns.astype(int))]
            mask = mask & np.isfinite(points).all(-1)
            mask = mask & (scene.confidence[k] >= min_confidence)
            if how == "extent":
                ratio = _extent_ratio(vertices[index], points[mask])
            else:
                ratio = _depth_ratio(vertices[index], points, mask, side)
            if ratio is not None:
                ratios.append(ratio)
    if not ratios:
        return None
    return float(np.mean(ratios) if how == "extent" else np.exp(np.median(np.log(ratios))))


def _extent_ratio(
    vertices: Float64[np.ndarray, "V 3"], points: Float64[np.ndarray, "M 3"]
) -> float | None:
    if len(points) < MIN_POINTS:
        return None
    mesh, cloud = (np.linalg.norm(x - x.mean(0), axis=1).max() for x in (vertices, points))
    return float(mesh / cloud)


def _depth_ratio(
    vertices: Float64[np.ndarray, "V 3"],
    points: Float64[np.ndarray, "h w 3"],
    mask: np.ndarray,
    side: BoundarySide,
) -> float | None:
    """Of the nearest vertex in each cell to the cell's point."""
    height, width = mask.shape
    ahead = vertices[:, 2] > 0.1
    uv = (vertices[ahead] @ side.K.T)[:, :2] / vertices[ahead, 2:]
    column = np.floor(uv[:, 0] * width / side.hw[1]).astype(np.int64)
    row = np.floor(uv[:, 1] * height / side.hw[0]).astype(np.int64)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    depth = np.full(mask.shape, np.inf)
    np.minimum.at(depth, (row[inside], column[inside]), vertices[ahead][inside, 2])
    use = mask & np.isfinite(depth) & (points[..., 2] > 0)
    if use.sum() < MIN_POINTS:
        return None
    return float(np.median(depth[use] / points[..., 2][use]))
