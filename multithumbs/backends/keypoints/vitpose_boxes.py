"""The boxes in which ViTPose looks: detected ones, or those of the meshes (paper section 3.1)."""

import numpy as np
from jaxtyping import Float64

from multithumbs.body import BodyModel
from multithumbs.geometry.projection import MIN_DEPTH_M
from multithumbs.types import Bodies

CHUNK_ROWS = 64
"""Bodies whose vertices are computed side by side; bounds the memory."""
MIN_SIDE_PX = 2.0
"""A mesh that shows less of itself than this in the image gives no box."""


def boxes_of_meshes(
    body: BodyModel,
    bodies: Bodies,
    detected_xyxy: Float64[np.ndarray, "N 4"],
    hw: tuple[int, int],
) -> Float64[np.ndarray, "N 4"]:
    """The box of each body's projected vertices inside the image, pixels.

    Rows whose body failed (confidence 0) or shows nothing of itself in the image keep their
    detected box: the person was seen, only not reconstructed.
    """
    boxes = detected_xyxy.copy()
    known = np.flatnonzero(bodies.confidence > 0)
    for start in range(0, len(known), CHUNK_ROWS):
        rows = known[start : start + CHUNK_ROWS]
        pose, betas, transl = (
            body.tensor(x[rows]) for x in (bodies.pose, bodies.betas, bodies.transl)
        )
        vertices = body.vertices(pose, betas, transl).double().cpu().numpy()
        found = box_of_points(vertices, bodies.K[rows], hw)
        shown = (found[:, 2:] - found[:, :2]).min(axis=1) >= MIN_SIDE_PX
        boxes[rows[shown]] = found[shown]
    return boxes


def box_of_points(
    points_cam: Float64[np.ndarray, "N V 3"],
    K: Float64[np.ndarray, "N 3 3"],
    hw: tuple[int, int],
) -> Float64[np.ndarray, "N 4"]:
    """Box of the projected points in front of the camera, clipped to the image.

    Its sides are negative or 0 where nothing lies in the image.
    """
    homogeneous = points_cam @ K.transpose(0, 2, 1)
    depth = homogeneous[..., 2:]
    ahead = depth > MIN_DEPTH_M
    uv = homogeneous[..., :2] / np.where(ahead, depth, 1.0)
    low = np.where(ahead, uv, np.inf).min(axis=1)
    high = np.where(ahead, uv, -np.inf).max(axis=1)
    limit = np.array(hw[::-1], np.float64)
    return np.concatenate([np.clip(low, 0, limit), np.clip(high, 0, limit)], axis=1)
