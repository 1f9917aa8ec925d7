"""Does the lens change while the camera travels? Focal lengths beside a given trajectory."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.spatial.transform import Rotation

from multithumbs.solvers.odometry_bundle import triangulate
from multithumbs.solvers.odometry_tracks import PointTracks

MIN_DEPTH = 1e-3
ROUNDS = 12
MAX_FRAMES = 60
"""Evenly chosen."""
MIN_ANGLE = np.radians(0.3)
"""Between a point's rays; nearly parallel ones say nothing about its depth."""
MIN_OBSERVATIONS = 12
"""Per frame, on average."""


class ZoomCheck(NamedTuple):
    """What a lens that is free in every frame says."""

    log_range: float
    """Logarithm of the longest over the shortest focal length, extremes left out."""
    gain: float
    """Median residual over that of a fixed lens, improved in the same way."""


def check_zoom(
    tracks: PointTracks,
    K: Float64[np.ndarray, "3 3"],
    shot_from_cam: Float64[np.ndarray, "T 4 4"],
    tracked: Bool[np.ndarray, " T"],
    *,
    huber_px: float,
) -> ZoomCheck | None:
    """Focal lengths of the frames, poses and points free to follow; None with too few points.

    Points and cameras (seven numbers each) are improved in turn from the given trajectory.

    Args:
        tracks: background points of the ``T`` frames, pixels.
        K: intrinsics at zoom 1, pixels.
        shot_from_cam: a trajectory found with a fixed lens.
        tracked: frames whose pose is a measurement.
        huber_px: residual beyond which an observation counts linearly, pixels.
    """
    where = np.flatnonzero(tracked)
    chosen = where[np.unique(np.linspace(0, len(where) - 1, MAX_FRAMES).astype(np.int64))]
    frame, point, x = tracks.at_frames(chosen)
    x = (x - K[:2, 2]) / K[0, 0]
    typical = []
    zoom = np.ones(len(chosen))
    for free in (False, True):
        rotation, centre = shot_from_cam[chosen, :3, :3], shot_from_cam[chosen, :3, 3]
        zoom, after = np.ones(len(chosen)), np.inf
        for _ in range(ROUNDS):
            plane = x / zoom[frame, None]
            points, angle = triangulate(rotation, centre, frame, point, plane, tracks.num_points)
            good = np.isfinite(points[point, 0]) & (angle[point] > MIN_ANGLE)
            if good.sum() < MIN_OBSERVATIONS * len(chosen):
                return None
            rotation, centre, zoom, after = _improve(
                (rotation, centre, zoom), points[point[good]], x[good], frame[good],
                huber_px / K[0, 0], free=free,
            )  # fmt: skip
        typical.append(after)
    low, high = np.percentile(np.log(zoom), (3, 97))
    return ZoomCheck(float(high - low), typical[1] / max(typical[0], 1e-12))


def _improve(
    state: tuple[
        Float64[np.ndarray, "T 3 3"], Float64[np.ndarray, "T 3"], Float64[np.ndarray, " T"]
    ],
    world: Float64[np.ndarray, "M 3"],
    x: Float64[np.ndarray, "M 2"],
    frame: Int64[np.ndarray, " M"],
    huber: float,
    *,
    free: bool,
) -> tuple[
    Float64[np.ndarray, "T 3 3"], Float64[np.ndarray, "T 3"], Float64[np.ndarray, " T"], float
]:
    """Two Gauss-Newton steps of every camera's turn, centre and log zoom; the residual before."""
    rotation, centre, zoom = state
    typical = np.inf
    for step_index in range(2):
        cam = ((world - centre[frame])[:, None] @ rotation[frame])[:, 0]
        inverse = 1 / np.maximum(cam[:, 2], MIN_DEPTH)
        plane = cam[:, :2] * inverse[:, None]
        scale = zoom[frame]
        residual = scale[:, None] * plane - x
        u, v = plane.T
        nothing = np.zeros_like(u)
        # By the camera point, then chained: d cam = cam x d (turn), -R^T d (centre).
        by_cam = inverse[:, None, None] * np.stack(
            [np.stack([1 + nothing, nothing, -u], 1), np.stack([nothing, 1 + nothing, -v], 1)], 1
        )
        turn = np.zeros((len(x), 3, 3))
        turn[:, 0, 1], turn[:, 0, 2] = -cam[:, 2], cam[:, 1]
        turn[:, 1, 0], turn[:, 1, 2] = cam[:, 2], -cam[:, 0]
        turn[:, 2, 0], turn[:, 2, 1] = -cam[:, 1], cam[:, 0]
        back = rotation[frame].transpose(0, 2, 1)
        jacobian = np.concatenate([by_cam @ turn, -(by_cam @ back), plane[..., None]], axis=2)
        jacobian *= scale[:, None, None]
        if not free:
            jacobian[..., 6] = 0
        length = np.linalg.norm(residual, axis=1)
        typical = float(np.median(length)) if step_index == 0 else typical
        weight = huber / np.maximum(length, huber) * (cam[:, 2] > MIN_DEPTH)
        weighted = jacobian * weight[:, None, None]
        normal = np.zeros((len(rotation), 7, 7))
        slope = np.zeros((len(rotation), 7))
        np.add.at(normal, frame, np.einsum("mik,mil->mkl", weighted, jacobian))
        np.add.at(slope, frame, np.einsum("mik,mi->mk", weighted, residual))
        ridge = 1e-9 * np.trace(normal, axis1=1, axis2=2)[:, None, None] + 1e-12
        step = -np.linalg.solve(normal + ridge * np.eye(7), slope[..., None])[..., 0]
        rotation = rotation @ Rotation.from_rotvec(step[:, :3]).as_matrix()
        centre = centre + step[:, 3:6]
        zoom = zoom * np.exp(step[:, 6].clip(-0.2, 0.2))
    return rotation, centre, zoom, typical
