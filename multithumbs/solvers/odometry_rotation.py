"""A camera that only rotates (and zooms): rotations of all frames from background points.

The image of a point with direction ``b`` (unit, in the shot's axes) in a frame with rotation
``R = shot_from_cam`` and zoom ``z`` is ``z f pi(R^T b) + c``: no depth, no scale. Directions
and rotations are found in turn; both steps are closed form or small Gauss-Newton steps.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.spatial.transform import Rotation

from multithumbs.solvers.odometry_tracks import PointTracks

MIN_DEPTH = 0.05
"""Directions nearer to the image plane than this (as z of a unit vector) are not projected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationFit:
    """Rotations and zooms of ``T`` frames; untracked frames hold their predecessor's."""

    shot_from_cam: Float64[np.ndarray, "T 3 3"]
    zoom: Float64[np.ndarray, " T"]
    tracked: Bool[np.ndarray, " T"]
    residual_px: Float64[np.ndarray, " O"]
    """Length of each observation's residual, pixels; NaN in untracked frames."""

    def typical_px(self) -> float:
        """Median residual over everything that was tracked."""
        finite = self.residual_px[np.isfinite(self.residual_px)]
        return float(np.median(finite)) if len(finite) else np.inf


def fit_rotations(
    tracks: PointTracks,
    K: Float64[np.ndarray, "3 3"],
    *,
    with_zoom: bool,
    huber_px: float,
    min_points: int,
    sweeps: int = 3,
) -> RotationFit:
    """Fit rotations (and zooms) to all observations.

    Frames are first chained in time: points that have a direction orient the frame, the frame
    gives new points theirs. ``sweeps`` rounds over the whole shot then share the error out.

    Args:
        tracks: observations of the background.
        K: intrinsics at zoom 1 (pixels, square pixels).
        with_zoom: whether the focal length may change.
        huber_px: residual beyond which an observation counts linearly (pixels).
        min_points: frames with fewer points with known direction are not tracked.
    """
    total = tracks.num_frames
    focal = K[0, 0]
    x = (tracks.uv - K[:2, 2]) / focal
    huber = huber_px / focal
    direction = np.zeros((tracks.num_points, 3))
    known = np.zeros(tracks.num_points, bool)
    rotation = np.tile(np.eye(3), (total, 1, 1))
    zoom = np.ones(total)
    tracked = np.zeros(total, bool)
    bounds = tracks.frame_slices()
    for t in range(total):
        rows = slice(bounds[t], bounds[t + 1])
        point = tracks.point[rows]
        if t:
            rotation[t], zoom[t] = rotation[t - 1], zoom[t - 1]
        seen = known[point]
        if seen.sum() >= min_points:
            zeros = np.zeros(int(seen.sum()), np.int64)
            for _ in range(5):
                rotation[t : t + 1], zoom[t : t + 1] = _orient(
                    rotation[t : t + 1], zoom[t : t + 1], direction[point[seen]],
                    x[rows][seen], zeros, huber, with_zoom,
                )  # fmt: skip
            tracked[t] = True
        elif len(point) >= min_points and not known.any():
            tracked[t] = True  # the first frame with points fixes the axes
        new = point[~seen]
        direction[new] = _directions(rotation[t], zoom[t], x[rows][~seen])
        known[new] = True
    used = tracked[tracks.frame]
    frame, point, x_used = tracks.frame[used], tracks.point[used], x[used]
    for _ in range(sweeps):
        if not used.any():
            break
        rays = _directions(rotation[frame], zoom[frame], x_used)
        error = np.linalg.norm(rays - direction[point], axis=1)
        weight = huber / np.maximum(error, huber)
        direction = _weighted_mean(rays, weight, point, direction)
        for _ in range(2):
            rotation, zoom = _orient(rotation, zoom, direction[point], x_used, frame, huber,
                                     with_zoom)  # fmt: skip
    rotation, zoom = _hold(rotation, zoom, tracked)
    residual = np.full(len(x), np.nan)
    predicted = _project(rotation[frame], zoom[frame], direction[point])
    residual[used] = focal * np.linalg.norm(predicted - x_used, axis=1)
    return RotationFit(
        shot_from_cam=rotation[0].T @ rotation,
        zoom=zoom,
        tracked=tracked,
        residual_px=residual,
    )


def _directions(
    rotation: Float64[np.ndarray, "*#M 3 3"],
    zoom: Float64[np.ndarray, "*#M"] | float,
    x: Float64[np.ndarray, "M 2"],
) -> Float64[np.ndarray, "M 3"]:
    """Unit directions in the shot's axes behind normalised image points."""
    cam = np.concatenate([x / np.asarray(zoom)[..., None], np.ones((len(x), 1))], axis=1)
    cam /= np.linalg.norm(cam, axis=1, keepdims=True)
    return (rotation @ cam[..., None])[..., 0]


def _project(
    rotation: Float64[np.ndarray, "M 3 3"],
    zoom: Float64[np.ndarray, " M"],
    direction: Float64[np.ndarray, "M 3"],
) -> Float64[np.ndarray, "M 2"]:
    cam = (direction[:, None] @ rotation)[:, 0]
    return zoom[:, None] * cam[:, :2] / np.maximum(cam[:, 2:], MIN_DEPTH)


def _orient(
    rotation: Float64[np.ndarray, "T 3 3"],
    zoom: Float64[np.ndarray, " T"],
    direction: Float64[np.ndarray, "M 3"],
    x: Float64[np.ndarray, "M 2"],
    frame: Int64[np.ndarray, " M"],
    huber: float,
    with_zoom: bool,
) -> tuple[Float64[np.ndarray, "T 3 3"], Float64[np.ndarray, " T"]]:
    """One Gauss-Newton step of every frame's rotation ``R exp(d)`` and log zoom."""
    cam = (direction[:, None] @ rotation[frame])[:, 0]
    inverse_depth = 1 / np.maximum(cam[:, 2], MIN_DEPTH)
    plane = cam[:, :2] * inverse_depth[:, None]
    scale = zoom[frame][:, None]
    residual = scale * plane - x
    u, v = plane.T
    # d cam / d rotation = skew(cam); through the projection:
    du = np.stack([u * v, -(1 + u * u), v, u], axis=1)
    dv = np.stack([1 + v * v, -u * v, -u, v], axis=1)
    jacobian = scale[..., None] * np.stack([du, dv], axis=1)
    if not with_zoom:
        jacobian = jacobian[..., :3]
    length = np.linalg.norm(residual, axis=1)
    weight = huber / np.maximum(length, huber) * (cam[:, 2] > MIN_DEPTH)
    weighted = jacobian * weight[:, None, None]
    size = jacobian.shape[-1]
    total = len(rotation)
    hessian = _sum_by(np.einsum("mik,mil->mkl", weighted, jacobian).reshape(-1, size**2), frame,
                      total).reshape(total, size, size)  # fmt: skip
    gradient = _sum_by(np.einsum("mik,mi->mk", weighted, residual), frame, total)
    step = -np.linalg.solve(hessian + 1e-9 * np.eye(size), gradient[..., None])[..., 0]
    rotation = rotation @ Rotation.from_rotvec(step[:, :3]).as_matrix()
    if with_zoom:
        zoom = zoom * np.exp(step[:, 3].clip(-0.2, 0.2))
    return rotation, zoom


def _sum_by(
    values: Float64[np.ndarray, "M D"], group: Int64[np.ndarray, " M"], num_groups: int
) -> Float64[np.ndarray, "G D"]:
    out = np.empty((num_groups, values.shape[1]))
    for column in range(values.shape[1]):
        out[:, column] = np.bincount(group, values[:, column], num_groups)
    return out


def _weighted_mean(
    rays: Float64[np.ndarray, "M 3"],
    weight: Float64[np.ndarray, " M"],
    point: Int64[np.ndarray, " M"],
    fallback: Float64[np.ndarray, "P 3"],
) -> Float64[np.ndarray, "P 3"]:
    mean = _sum_by(rays * weight[:, None], point, len(fallback))
    length = np.linalg.norm(mean, axis=1, keepdims=True)
    return np.where(length > 0, mean / np.maximum(length, 1e-12), fallback)


def _hold(
    rotation: Float64[np.ndarray, "T 3 3"],
    zoom: Float64[np.ndarray, " T"],
    tracked: Bool[np.ndarray, " T"],
) -> tuple[Float64[np.ndarray, "T 3 3"], Float64[np.ndarray, " T"]]:
    """Untracked frames take the nearest earlier tracked frame's values (else the first's)."""
    if not tracked.any():
        return rotation, zoom
    last = np.maximum.accumulate(np.where(tracked, np.arange(len(tracked)), -1))
    source = np.where(last >= 0, last, np.flatnonzero(tracked)[0])
    return rotation[source], zoom[source]
