"""Bundle adjustment: cameras and points together, points eliminated by the Schur complement."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float64, Int64
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial.transform import Rotation

MIN_DEPTH = 1e-3
"""In units of the reconstruction."""


class Bundle(NamedTuple):
    """``C`` cameras, ``P`` points and their ``M`` observations in normalised coordinates."""

    rotation: Float64[np.ndarray, "C 3 3"]
    """``shot_from_cam``."""
    centre: Float64[np.ndarray, "C 3"]
    """Camera centres in the shot's axes."""
    points: Float64[np.ndarray, "P 3"]
    camera: Int64[np.ndarray, " M"]
    point: Int64[np.ndarray, " M"]
    x: Float64[np.ndarray, "M 2"]
    """``(uv - principal point) / focal``."""


def points_in_cameras(bundle: Bundle) -> Float64[np.ndarray, "M 3"]:
    """Each observation's point in its camera's axes."""
    offset = bundle.points[bundle.point] - bundle.centre[bundle.camera]
    return (offset[:, None] @ bundle.rotation[bundle.camera])[:, 0]


def residuals(bundle: Bundle) -> Float64[np.ndarray, "M 2"]:
    """Projection minus observation, normalised; points behind a camera project as if at
    `MIN_DEPTH`, which makes them outliers."""
    cam = points_in_cameras(bundle)
    return cam[:, :2] / np.maximum(cam[:, 2:], MIN_DEPTH) - bundle.x


def adjust(
    bundle: Bundle, *, huber: float, max_iterations: int, relative_tolerance: float = 1e-6
) -> Bundle:
    """Minimise Huber's loss of all residuals over cameras (but the first) and points.

    The scale is free; Levenberg-Marquardt's damping keeps it, and the caller normalises.

    Args:
        bundle: a start that is roughly right.
        huber: residual beyond which an observation counts linearly (normalised units).
        max_iterations: linearisations at most.
        relative_tolerance: stop once a step lowers the loss by less than this fraction.
    """
    cost, damping = _cost(bundle, huber), 1e-4
    for _ in range(max_iterations):
        normal = _normal_equations(bundle, huber)
        for _ in range(6):
            trial = _step(bundle, normal, damping)
            trial_cost = _cost(trial, huber)
            if trial_cost < cost:
                break
            damping *= 8
        else:
            return bundle
        gain = (cost - trial_cost) / max(cost, 1e-30)
        bundle, cost, damping = trial, trial_cost, max(damping / 4, 1e-9)
        if gain < relative_tolerance:
            break
    return bundle


class _Normal(NamedTuple):
    camera_block: Float64[np.ndarray, "C 6 6"]
    camera_gradient: Float64[np.ndarray, "C 6"]
    point_block: Float64[np.ndarray, "P 3 3"]
    point_gradient: Float64[np.ndarray, "P 3"]
    cross: sp.csr_array
    """``6C x 3P``."""


def _cost(bundle: Bundle, huber: float) -> float:
    length = np.linalg.norm(residuals(bundle), axis=1)
    return float(np.where(length < huber, length**2, 2 * huber * length - huber**2).sum())


def _normal_equations(bundle: Bundle, huber: float) -> _Normal:
    cam = points_in_cameras(bundle)
    z = np.maximum(cam[:, 2], MIN_DEPTH)
    residual = cam[:, :2] / z[:, None] - bundle.x
    weight = huber / np.maximum(np.linalg.norm(residual, axis=1), huber)
    weight = weight * (cam[:, 2] > MIN_DEPTH)
    zero = np.zeros_like(z)
    by_cam = np.stack(
        [
            np.stack([1 / z, zero, -cam[:, 0] / z**2], axis=1),
            np.stack([zero, 1 / z, -cam[:, 1] / z**2], axis=1),
        ],
        axis=1,
    )
    by_point = by_cam @ bundle.rotation[bundle.camera].transpose(0, 2, 1)
    by_rotation = by_cam @ _skew(cam)  # cam' = exp(-d) cam = cam + cam x d
    by_camera = np.concatenate([by_rotation, -by_point], axis=2)
    weighted_camera = weight[:, None, None] * by_camera
    weighted_point = weight[:, None, None] * by_point
    cameras, points = len(bundle.rotation), len(bundle.points)
    cross_blocks = weighted_camera.transpose(0, 2, 1) @ by_point
    rows = 6 * bundle.camera[:, None, None] + np.arange(6)[:, None]
    columns = 3 * bundle.point[:, None, None] + np.arange(3)
    rows, columns = np.broadcast_arrays(rows, columns)
    cross = sp.coo_array(
        (cross_blocks.ravel(), (rows.ravel(), columns.ravel())), shape=(6 * cameras, 3 * points)
    ).tocsr()
    return _Normal(
        _sum_by(weighted_camera.transpose(0, 2, 1) @ by_camera, bundle.camera, cameras),
        _sum_by((weighted_camera * residual[..., None]).sum(1), bundle.camera, cameras),
        _sum_by(weighted_point.transpose(0, 2, 1) @ by_point, bundle.point, points),
        _sum_by((weighted_point * residual[..., None]).sum(1), bundle.point, points),
        cross,
    )


def _step(bundle: Bundle, normal: _Normal, damping: float) -> Bundle:
    cameras, points = len(bundle.rotation), len(bundle.points)
    point_inverse = np.linalg.inv(_damped(normal.point_block, damping))
    indices = np.arange(points)
    inverse = sp.bsr_array(
        (point_inverse, indices, np.arange(points + 1)), shape=(3 * points, 3 * points)
    )
    scaled = normal.cross @ inverse.tocsr()
    reduced = -(scaled @ normal.cross.T).toarray()
    blocks = reduced.reshape(cameras, 6, cameras, 6)
    at = np.arange(cameras)
    blocks[at, :, at] += _damped(normal.camera_block, damping)
    right = normal.camera_gradient.ravel() - scaled @ normal.point_gradient.ravel()
    free = slice(6, None)
    camera_step = np.zeros(6 * cameras)
    try:
        factor = cho_factor(reduced[free, free])
    except np.linalg.LinAlgError:
        return bundle
    camera_step[free] = -cho_solve(factor, right[free])
    point_right = normal.point_gradient.ravel() + normal.cross.T @ camera_step
    point_step = -(point_inverse @ point_right.reshape(points, 3, 1))[..., 0]
    camera_step = camera_step.reshape(cameras, 6)
    turned = bundle.rotation @ Rotation.from_rotvec(camera_step[:, :3]).as_matrix()
    return bundle._replace(
        rotation=turned,
        centre=bundle.centre + camera_step[:, 3:],
        points=bundle.points + point_step,
    )


def _damped(blocks: Float64[np.ndarray, "B D D"], damping: float) -> Float64[np.ndarray, "B D D"]:
    """Marquardt's scaling of the diagonal, with a floor that keeps unseen blocks regular."""
    diagonal = np.einsum("bii->bi", blocks)
    floor = 1e-9 * diagonal.max(axis=1, keepdims=True) + 1e-12
    out = blocks.copy()
    np.einsum("bii->bi", out)[...] += damping * diagonal + floor
    return out


def _sum_by(
    values: Float64[np.ndarray, "M *D"], group: Int64[np.ndarray, " M"], num_groups: int
) -> Float64[np.ndarray, "G *D"]:
    flat = values.reshape(len(values), -1)
    picker = sp.csr_array(
        (np.ones(len(group)), (group, np.arange(len(group)))), shape=(num_groups, len(group))
    )
    return np.asarray(picker @ flat).reshape(num_groups, *values.shape[1:])


def _skew(vector: Float64[np.ndarray, "M 3"]) -> Float64[np.ndarray, "M 3 3"]:
    x, y, z = vector.T
    zero = np.zeros_like(x)
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)


def triangulate(
    rotation: Float64[np.ndarray, "C 3 3"],
    centre: Float64[np.ndarray, "C 3"],
    camera: Int64[np.ndarray, " M"],
    point: Int64[np.ndarray, " M"],
    x: Float64[np.ndarray, "M 2"],
    num_points: int,
) -> tuple[Float64[np.ndarray, "P 3"], Float64[np.ndarray, " P"]]:
    """The point nearest to its rays (least squares), and the widest angle between its rays and
    their mean, radians: NaN and 0 where a point has fewer than two rays."""
    rays = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    rays = (rotation[camera] @ rays[..., None])[..., 0]
    across = np.eye(3) - rays[:, :, None] * rays[:, None, :]
    normal = _sum_by(across, point, num_points)
    right = _sum_by((across @ centre[camera][..., None])[..., 0], point, num_points)
    count = np.bincount(point, minlength=num_points)
    mean = _sum_by(rays, point, num_points)
    mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
    cosine = np.einsum("mi,mi->m", rays, mean[point]).clip(-1, 1)
    widest = np.zeros(num_points)
    np.maximum.at(widest, point, np.arccos(cosine))
    enough = (count >= 2) & (widest > 1e-6)
    normal[~enough] = np.eye(3)
    solved = np.linalg.solve(normal, right[..., None])[..., 0]
    solved[~enough] = np.nan
    return solved, np.where(enough, widest, 0.0)
