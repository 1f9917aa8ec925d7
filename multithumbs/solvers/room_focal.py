"""The focal length of a shot from the straight edges of its room.

Edges of walls, shelves, floor boards and court lines run along three directions at right angles,
and only under the right focal length do their vanishing points stand at right angles (Caprile and
Torre 1990). Each frame has its own rotation against the room, all share one focal length.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

from multithumbs.solvers.pose_graph_room import find_room, segments_of

UP: np.ndarray = np.array([0.0, -1.0, 0.0])
"""Roughly, in the camera's axes: nobody was fitted yet who would tell it better."""
END_PX = 0.6
"""How well the ends of an edge are found across it, pixels."""
ANGLE_RAD = np.radians(0.35)
"""How well real edges follow the room's directions, as seen in the image."""
OUTLIER_SIGMAS = 3.0
"""Where Geman-McClure's loss begins to forget an edge."""
ROUNDS = 12
"""Gauss-Newton steps at most."""


class RoomFocal(NamedTuple):
    """What a room says about the focal length."""

    focal_px: float
    log_std: float
    """Of its logarithm, if the edges err independently."""
    support: float
    """Share of the edges, by length, that run along the room's directions."""
    margin: float
    """By how much the best focal length far from this one costs more (squared sigmas)."""
    inside: bool
    """Whether a longer and a shorter lens that were tried are both worse."""


class _Frame(NamedTuple):
    ends: Float64[np.ndarray, "M 4"]
    sigma: Float64[np.ndarray, " M"]


def find_room_focal(
    frames: Sequence[Float64[np.ndarray, "_ 4"]],
    hw: tuple[int, int],
    *,
    log_focal: Float64[np.ndarray, " G"],
    max_tilt: float,
    tolerance: float,
    min_edges: int,
    apart: float,
) -> RoomFocal | None:
    """The focal length under which all frames' edges agree best, or None where none show a room.

    Args:
        frames: straight edges ``u0, v0, u1, v1`` of the background of each frame, pixels.
        hw: the image's size; the principal point is its centre.
        log_focal: logarithms of the focal lengths (pixels) to begin from, ascending.
        max_tilt: how far the camera may be tilted against the vertical, radians.
        tolerance: angle up to which an edge follows a direction in the search, radians.
        min_edges: a frame with fewer says nothing.
        apart: logarithm of two focal lengths that are different answers.
    """
    seen = [_Frame(ends, _sigma(ends)) for ends in frames if len(ends) >= min_edges]
    cost = np.full((len(log_focal), len(seen)), np.inf)
    axes: dict[tuple[int, int], np.ndarray] = {}
    for g, log in enumerate(log_focal):
        K = _pinhole(float(np.exp(log)), hw)
        for f, frame in enumerate(seen):
            room = find_room(segments_of(frame.ends, K), UP, max_tilt=max_tilt, tolerance=tolerance)
            if room is not None:
                axes[g, f] = _turned(frame, room.cam_from_room, K)
                cost[g, f] = _cost(frame, axes[g, f], K)
    usable = np.isfinite(cost).all(0)
    if not usable.any():
        return None
    total = cost[:, usable].sum(1)
    best = int(total.argmin())
    chosen = np.flatnonzero(usable).tolist()
    found = _together([seen[f] for f in chosen], [axes[best, f] for f in chosen],
                      float(log_focal[best]), hw)  # fmt: skip
    far = np.abs(log_focal - found[0]) > apart
    return RoomFocal(
        focal_px=float(np.exp(found[0])),
        log_std=found[1],
        support=found[2],
        margin=float(total[far].min() - total[best]) if far.any() else np.inf,
        inside=0 < best < len(log_focal) - 1,
    )


def _pinhole(focal: float, hw: tuple[int, int]) -> Float64[np.ndarray, "3 3"]:
    return np.array([[focal, 0, hw[1] / 2], [0, focal, hw[0] / 2], [0, 0, 1.0]])


def _sigma(ends: Float64[np.ndarray, "M 4"]) -> Float64[np.ndarray, " M"]:
    """Standard deviation of each edge's direction in the image, radians."""
    length = np.hypot(*(ends[:, 2:] - ends[:, :2]).T)
    return np.hypot(ANGLE_RAD, END_PX / np.maximum(length, 1e-9))


def _off(
    frame: _Frame, axes: Float64[np.ndarray, "3 3"], K: Float64[np.ndarray, "3 3"]
) -> tuple[Float64[np.ndarray, " M"], Float64[np.ndarray, "M 3"]]:
    """How far each edge points past the vanishing point of its nearest direction (sigmas), and
    the derivative by a small turn of the axes."""
    rays = np.concatenate([frame.ends.reshape(-1, 2, 2), np.ones((len(frame.ends), 2, 1))], axis=2)
    rays = rays @ np.linalg.inv(K).T
    normal = np.cross(rays[:, 0], rays[:, 1])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True).clip(1e-12)
    middle = rays.sum(1)
    middle /= np.linalg.norm(middle, axis=1, keepdims=True)
    # An axis near the ray is seen end on: its image angle is the spatial one, magnified.
    across = np.sqrt((1 - (middle @ axes) ** 2).clip(1e-4))
    off = normal @ axes / across
    nearest = np.abs(off).argmin(1)
    rows = np.arange(len(off))
    scale = 1 / (frame.sigma * across[rows, nearest])
    # n . (exp(w) a) = n . a + w . (a x n)
    turn = np.cross(axes[:, nearest].T, normal) * scale[:, None]
    return off[rows, nearest] / frame.sigma, turn


def _weight(off: Float64[np.ndarray, " M"]) -> Float64[np.ndarray, " M"]:
    return 1 / (1 + (off / OUTLIER_SIGMAS) ** 2) ** 2


def _cost(frame: _Frame, axes: Float64[np.ndarray, "3 3"], K: Float64[np.ndarray, "3 3"]) -> float:
    squared = _off(frame, axes, K)[0] ** 2
    return float((squared / (1 + squared / OUTLIER_SIGMAS**2)).sum())


def _turned(
    frame: _Frame, axes: Float64[np.ndarray, "3 3"], K: Float64[np.ndarray, "3 3"]
) -> Float64[np.ndarray, "3 3"]:
    """The axes that agree best with the edges under one focal length."""
    for _ in range(ROUNDS):
        off, turn = _off(frame, axes, K)
        weight = _weight(off)
        normal = (weight[:, None] * turn).T @ turn + 1e-6 * np.eye(3)
        step = -np.linalg.solve(normal, turn.T @ (weight * off))
        axes = Rotation.from_rotvec(step).as_matrix() @ axes
        if np.abs(step).max() < 1e-6:
            break
    return axes


def _together(
    frames: Sequence[_Frame],
    axes: Sequence[Float64[np.ndarray, "3 3"]],
    log_focal: float,
    hw: tuple[int, int],
) -> tuple[float, float, float]:
    """All frames' rotations and one focal length: its logarithm, that one's standard deviation,
    and the share of the edges that agree."""
    axes = list(axes)
    tiny, information = 1e-5, 1e-9
    for _ in range(ROUNDS):
        K, nudged = _pinhole(np.exp(log_focal), hw), _pinhole(np.exp(log_focal + tiny), hw)
        information, gradient, blocks = 1e-9, 0.0, []
        for frame, own in zip(frames, axes, strict=True):
            off, turn = _off(frame, own, K)
            by_lens = (_off(frame, own, nudged)[0] - off) / tiny
            weight = _weight(off)
            normal = (weight[:, None] * turn).T @ turn + 1e-6 * np.eye(3)
            cross, right = turn.T @ (weight * by_lens), turn.T @ (weight * off)
            gain = np.linalg.solve(normal, np.stack([cross, right], axis=1))
            information += (weight * by_lens) @ by_lens - cross @ gain[:, 0]
            gradient += (weight * by_lens) @ off - cross @ gain[:, 1]
            blocks.append(gain)
        step = float(np.clip(-gradient / information, -0.1, 0.1))
        log_focal += step
        axes = [
            Rotation.from_rotvec(-gain[:, 1] - step * gain[:, 0]).as_matrix() @ own
            for gain, own in zip(blocks, axes, strict=True)
        ]
        if abs(step) < 1e-6:
            break
    K = _pinhole(np.exp(log_focal), hw)
    agree = total = 0.0
    for frame, own in zip(frames, axes, strict=True):
        length = np.hypot(*(frame.ends[:, 2:] - frame.ends[:, :2]).T)
        agree += float(length[np.abs(_off(frame, own, K)[0]) < OUTLIER_SIGMAS].sum())
        total += float(length.sum())
    return log_focal, float(information**-0.5), agree / max(total, 1e-9)
