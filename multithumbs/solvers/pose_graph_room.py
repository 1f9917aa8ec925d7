"""How a camera is turned against the room: three directions at right angles, from straight edges.

Walls, shelves, floor boards and court lines run along three perpendicular directions. Each edge
segment of an image spans, with the camera's centre, a plane whose normal ``n`` is perpendicular
to the edge's direction in space. Given which way is roughly up, the vertical edges refine the
vertical; every other edge then votes for one horizontal angle, modulo a right angle.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

BINS = 180
"""Of the horizontal vote over 90 degrees."""


class Segments(NamedTuple):
    """Straight edges in an image."""

    normal: Float64[np.ndarray, "M 3"]
    """Unit normal, in the camera's axes, of the plane through the camera's centre."""
    weight: Float64[np.ndarray, " M"]
    """Length, in radians as seen."""


class RoomAxes(NamedTuple):
    """A camera against the room."""

    cam_from_room: Float64[np.ndarray, "3 3"]
    """Columns: the room's x, up, and z in the camera's axes; x is one of four."""
    support: float
    """Share of the edges (by length) that run along the three directions."""
    contrast: float
    """Horizontal votes at the chosen angle over the mean of all angles."""


def segments_of(ends_px: Float64[np.ndarray, "M 4"], K: Float64[np.ndarray, "3 3"]) -> Segments:
    """Planes of segments ``u0, v0, u1, v1`` (pixels)."""
    ends = np.concatenate([ends_px.reshape(-1, 2, 2), np.ones((len(ends_px), 2, 1))], axis=2)
    rays = ends @ np.linalg.inv(K).T
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    cross = np.cross(rays[:, 0], rays[:, 1])
    length = np.linalg.norm(cross, axis=1)
    return Segments(cross / np.maximum(length, 1e-12)[:, None], np.arcsin(length.clip(0, 1)))


def find_room(
    segments: Segments,
    up: Float64[np.ndarray, "3"],
    *,
    max_tilt: float,
    tolerance: float,
    rounds: int = 10,
) -> RoomAxes | None:
    """The room's directions, or None where too few edges say anything.

    Args:
        segments: straight edges of the background.
        up: rough up direction in the camera's axes (unit).
        max_tilt: how far ``up`` may be wrong, radians.
        tolerance: angle up to which an edge follows a direction, radians.
    """
    vertical = _find_vertical(segments, up, max_tilt, tolerance)
    if vertical is None:
        return None
    across = np.cross(segments.normal, vertical)
    size = np.linalg.norm(across, axis=1)
    level = (np.abs(segments.normal @ vertical) > 3 * tolerance) & (size > 0.15)
    if level.sum() < 4:
        return None
    first = np.cross(vertical, np.eye(3)[np.abs(vertical).argmin()])
    first /= np.linalg.norm(first)
    second = np.cross(vertical, first)
    direction = across[level] / size[level, None]
    angle = np.arctan2(direction @ second, direction @ first) % (np.pi / 2)
    # An edge near the horizon's height tells the angle badly: its normal is nearly vertical.
    weight = segments.weight[level] * size[level]
    votes = np.bincount((angle / (np.pi / 2) * BINS).astype(int) % BINS, weight, BINS)
    width = max(1, round(tolerance / (np.pi / 2 / BINS)))
    kernel = np.exp(-0.5 * (np.arange(-3 * width, 3 * width + 1) / width) ** 2)
    smooth = np.convolve(np.tile(votes, 3), kernel, "same")[BINS : 2 * BINS]
    best = (smooth.argmax() + 0.5) / BINS * np.pi / 2
    x = np.cos(best) * first + np.sin(best) * second
    axes = np.stack([x, vertical, np.cross(x, vertical)], axis=1)
    for _ in range(rounds):
        axes = _refine(axes, segments, tolerance)
    off = np.abs(segments.normal @ axes).min(1)
    support = segments.weight[off < 2 * tolerance].sum() / segments.weight.sum()
    return RoomAxes(axes, float(support), float(smooth.max() / max(smooth.mean(), 1e-12)))


def _find_vertical(
    segments: Segments, up: Float64[np.ndarray, "3"], max_tilt: float, tolerance: float
) -> Float64[np.ndarray, "3"] | None:
    """The direction within ``max_tilt`` of ``up`` that most edges near it share."""
    near = np.abs(segments.normal @ up) < np.sin(max_tilt)
    normal, weight = segments.normal[near], segments.weight[near]
    if len(normal) < 4:
        return None
    order = np.argsort(-weight)[:60]
    i, j = np.triu_indices(len(order), 1)
    candidates = np.cross(normal[order[i]], normal[order[j]])
    size = np.linalg.norm(candidates, axis=1)
    candidates = candidates[size > 0.05] / size[size > 0.05, None]
    candidates = np.concatenate([up[None], candidates * np.sign(candidates @ up)[:, None]])
    candidates = candidates[candidates @ up > np.cos(max_tilt)]
    votes = (weight * np.exp(-0.5 * ((candidates @ normal.T) / tolerance) ** 2)).sum(1)
    best = candidates[votes.argmax()]
    for _ in range(5):
        w = weight * np.exp(-0.5 * ((normal @ best) / tolerance) ** 2)
        scatter = (w[:, None] * normal).T @ normal + 1e-3 * w.sum() * (
            np.eye(3) - np.outer(best, best)
        ) * tolerance**2
        best = np.linalg.eigh(scatter)[1][:, 0]
        best = best * np.sign(best @ up)
    return best


def _refine(
    axes: Float64[np.ndarray, "3 3"], segments: Segments, tolerance: float
) -> Float64[np.ndarray, "3 3"]:
    """One reweighted Gauss-Newton step of the rotation; every edge goes to its nearest axis."""
    off = segments.normal @ axes
    nearest = np.abs(off).argmin(1)
    residual = off[np.arange(len(off)), nearest]
    weight = segments.weight / (1 + (residual / tolerance) ** 2) ** 2
    # n . (exp(w) a) = n . a + w . (a x n)
    jacobian = np.cross(axes[:, nearest].T, segments.normal)
    normal = (weight[:, None] * jacobian).T @ jacobian + 1e-9 * np.eye(3)
    step = -np.linalg.solve(normal, jacobian.T @ (weight * residual))
    return Rotation.from_rotvec(step).as_matrix() @ axes


def quarter_turns(first: RoomAxes, second: RoomAxes) -> Float64[np.ndarray, "4 3 3"]:
    """Every ``first_from_second`` that two views of one room allow: a room looks alike from four
    sides."""
    quarter = Rotation.from_rotvec(np.arange(4)[:, None] * np.pi / 2 * np.array([0, 1, 0]))
    return first.cam_from_room @ quarter.as_matrix() @ second.cam_from_room.T


def nearest_turn(
    first: RoomAxes, second: RoomAxes, guess: Float64[np.ndarray, "3 3"]
) -> tuple[Float64[np.ndarray, "3 3"], float]:
    """``first_from_second`` among `quarter_turns`, nearest to a guess, and its angle from the
    guess (radians)."""
    turns = quarter_turns(first, second)
    angles = Rotation.from_matrix(turns @ guess.T).magnitude()
    return turns[angles.argmin()], float(angles.min())
