"""Poses of many cameras from points that are known (perspective-n-point, robust)."""

import numpy as np
from jaxtyping import Float64, Int64
from scipy.spatial.transform import Rotation

from multithumbs.solvers.odometry_bundle import MIN_DEPTH


def resect(
    rotation: Float64[np.ndarray, "T 3 3"],
    centre: Float64[np.ndarray, "T 3"],
    points: Float64[np.ndarray, "M 3"],
    x: Float64[np.ndarray, "M 2"],
    frame: Int64[np.ndarray, " M"],
    *,
    huber: float,
    iterations: int,
) -> tuple[Float64[np.ndarray, "T 3 3"], Float64[np.ndarray, "T 3"]]:
    """Levenberg-Marquardt on Huber's reprojection loss, each frame with its own damping.

    Args:
        rotation, centre: starts (``shot_from_cam``); frames without observations keep them.
        points, x, frame: observation ``m`` sees ``points[m]`` at ``x[m]`` (normalised) in
            ``frame[m]``.
        huber: residual beyond which an observation counts linearly (normalised).
        iterations: steps at most.
    """
    total = len(rotation)
    damping = np.full(total, 1e-3)
    cost, normal, gradient = _linearise(rotation, centre, points, x, frame, huber)
    for _ in range(iterations):
        diagonal = np.einsum("tii->ti", normal)
        damped = normal.copy()
        np.einsum("tii->ti", damped)[...] += damping[:, None] * diagonal + 1e-9
        step = -np.linalg.solve(damped, gradient[..., None])[..., 0]
        turned = rotation @ Rotation.from_rotvec(step[:, :3]).as_matrix()
        moved = centre + step[:, 3:]
        trial = _linearise(turned, moved, points, x, frame, huber)
        better = trial[0] < cost
        pick = better[:, None, None]
        gain = np.where(better, (cost - trial[0]) / np.maximum(cost, 1e-30), 0)
        rotation = np.where(pick, turned, rotation)
        centre = np.where(better[:, None], moved, centre)
        cost = np.where(better, trial[0], cost)
        normal = np.where(pick, trial[1], normal)
        gradient = np.where(better[:, None], trial[2], gradient)
        damping = np.where(better, damping / 4, damping * 8).clip(1e-9, 1e9)
        if better.any() and gain.max() < 1e-6:
            break
    return rotation, centre


def _linearise(
    rotation: Float64[np.ndarray, "T 3 3"],
    centre: Float64[np.ndarray, "T 3"],
    points: Float64[np.ndarray, "M 3"],
    x: Float64[np.ndarray, "M 2"],
    frame: Int64[np.ndarray, " M"],
    huber: float,
) -> tuple[Float64[np.ndarray, " T"], Float64[np.ndarray, "T 6 6"], Float64[np.ndarray, "T 6"]]:
    """Loss, Gauss-Newton matrix and gradient of each frame by ``R exp(d)`` and the centre."""
    turned = rotation[frame]
    cam = ((points - centre[frame])[:, None] @ turned)[:, 0]
    inverse = 1 / np.maximum(cam[:, 2], MIN_DEPTH)
    u, v = (cam[:, :2] * inverse[:, None]).T
    residual = np.stack([u, v], axis=1) - x
    zero = np.zeros_like(u)
    by_cam = inverse[:, None, None] * np.stack(
        [np.stack([zero + 1, zero, -u], 1), np.stack([zero, zero + 1, -v], 1)], axis=1
    )
    du = np.stack([u * v, -(1 + u * u), v], axis=1)
    dv = np.stack([1 + v * v, -u * v, -u], axis=1)
    by_centre = -by_cam @ turned.transpose(0, 2, 1)
    jacobian = np.concatenate([np.stack([du, dv], axis=1), by_centre], axis=2)
    length = np.linalg.norm(residual, axis=1)
    weight = huber / np.maximum(length, huber) * (cam[:, 2] > MIN_DEPTH)
    loss = np.where(length < huber, length**2, 2 * huber * length - huber**2)
    weighted = jacobian * weight[:, None, None]
    products = np.einsum("mik,mil->mkl", weighted, jacobian).reshape(-1, 36)
    slopes = np.einsum("mik,mi->mk", weighted, residual)
    total = len(rotation)
    columns = np.concatenate([loss[:, None], products, slopes], axis=1)
    sums = np.stack([np.bincount(frame, column, total) for column in columns.T], axis=1)
    return sums[:, 0], sums[:, 1:37].reshape(-1, 6, 6), sums[:, 37:]
