"""The floor of one island: a plane under the lowest feet, and which way is up."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.spatial.transform import Rotation


class Floor(NamedTuple):
    """Points on the floor obey ``up . x = height``."""

    up: Float64[np.ndarray, "3"]
    height: float


def mean_direction(
    directions: Float64[np.ndarray, "M 3"], weight: Float64[np.ndarray, " M"]
) -> Float64[np.ndarray, "3"]:
    """The geometric median of unit vectors (Weiszfeld), which bent-over people do not sway."""
    mean = (weight[:, None] * directions).sum(0)
    for _ in range(30):
        length = np.linalg.norm(mean)
        if length < 1e-12:
            return directions[weight.argmax()]
        mean = mean / length
        w = weight / np.maximum(np.linalg.norm(directions - mean, axis=1), 1e-3)
        mean = (w[:, None] * directions).sum(0)
    return mean / np.linalg.norm(mean)


def fit_floor(
    soles: Float64[np.ndarray, "M 3"],
    weight: Float64[np.ndarray, " M"],
    up: Float64[np.ndarray, "3"],
    *,
    tilt_std: float,
    floor_std: float,
    max_raise: float,
    iterations: int = 30,
) -> Floor:
    """The plane that most soles stand on, with nobody below it.

    Iteratively reweighted least squares over height and tilt. Soles above the plane lose
    their weight quickly (a lifted foot), soles below it do not (there is nothing below a
    floor); the tilt is held by ``up`` with ``tilt_std``, so people who stand in one place
    or in a line leave it where it is.

    Args:
        soles: lowest points of feet, metres.
        weight: of each sole, at most 1.
        up: unit direction that people's trunks suggest.
        tilt_std: its uncertainty, radians.
        floor_std: noise of a standing sole's height, metres.
        max_raise: height above the floor at which a sole stops counting, metres.
    """
    helper = np.eye(3)[np.abs(up).argmin()]
    first = np.cross(up, helper)
    first /= np.linalg.norm(first)
    frame = np.stack([first, np.cross(up, first), up])
    x, y, z = (soles @ frame.T).T
    centre = np.array([np.average(x, weights=weight), np.average(y, weights=weight)])
    x, y = x - centre[0], y - centre[1]
    height, slope = _low_quantile(z, weight, 0.15), np.zeros(2)
    # Soles of one person in neighbouring frames are one observation many times over.
    prior = weight.sum() / 50 * (floor_std / tilt_std) ** 2
    for _ in range(iterations):
        above = z - (height + slope[0] * x + slope[1] * y)
        lifted = np.where(above > 0, 1 / (1 + (above / max_raise) ** 2) ** 2, 1.0)
        sunk = floor_std * 3 / np.maximum(np.abs(above), floor_std * 3)
        w = weight * np.where(above > 0, lifted, 4 * sunk)
        basis = np.stack([np.ones_like(x), x, y], axis=1)
        normal = basis.T @ (w[:, None] * basis) + np.diag([0.0, prior, prior])
        solution = np.linalg.solve(normal + 1e-12 * np.eye(3), basis.T @ (w * z))
        change = np.abs(solution - [height, *slope]).max()
        height, slope = solution[0], solution[1:]
        if change < 1e-6:
            break
    tilted = np.array([-slope[0], -slope[1], 1.0])
    tilted /= np.linalg.norm(tilted)
    point = frame.T @ np.array([*centre, height])
    normal_out = frame.T @ tilted
    return Floor(normal_out, float(normal_out @ point))


def _low_quantile(
    values: Float64[np.ndarray, " M"], weight: Float64[np.ndarray, " M"], part: float
) -> float:
    order = np.argsort(values)
    cumulative = np.cumsum(weight[order])
    return float(values[order][np.searchsorted(cumulative, part * cumulative[-1])])


def ground_from_world(
    floor: Floor, world_from_cam: Float64[np.ndarray, "4 4"]
) -> Float64[np.ndarray, "4 4"]:
    """Rigid: +y up, the floor at y = 0, the origin under a camera that looks along -z.

    A camera that looks straight down or up has no heading; its image's up is taken instead.
    """
    up = floor.up
    backward = -world_from_cam[:3, 2]
    flat = backward - (backward @ up) * up
    if np.linalg.norm(flat) < 0.1:
        side = world_from_cam[:3, 1]
        flat = side - (side @ up) * up
    z = flat / np.linalg.norm(flat)
    rotation = np.stack([np.cross(up, z), up, z])
    foot = world_from_cam[:3, 3] - (world_from_cam[:3, 3] @ up - floor.height) * up
    out = np.eye(4)
    # Rows that are orthogonal to the last bit: a camera far from square would be sheared else.
    out[:3, :3] = Rotation.from_matrix(rotation).as_matrix()
    out[:3, 3] = -out[:3, :3] @ foot
    return out
