"""Whether two pictures were taken from one place: do their matches follow one rotation?

The second camera may have another lens (or a tighter crop of the same picture): a factor on its
focal length is found along with the rotation.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

MAX_LOG_FACTOR = 1.0
FACTORS = np.exp(np.linspace(-MAX_LOG_FACTOR, MAX_LOG_FACTOR, 41))
"""Factors on the focal length that are tried; 1 is among them."""
MAX_ROUNDS = 10
CLEARLY_MORE = 1.25
"""Another focal length must win this many times the matches that the given one explains."""


class Revisit(NamedTuple):
    """The relation between two views from one place."""

    first_from_second: Float64[np.ndarray, "3 3"]
    focal_factor: float
    """True over given focal length of the second view, if the first view's is right."""
    inliers: int


def rotation_only(
    first: Float64[np.ndarray, "M 2"],
    second: Float64[np.ndarray, "M 2"],
    tolerance: float,
    *,
    samples: int = 120,
    seed: int = 0,
) -> Revisit:
    """RANSAC over pairs of matches for each focal factor, then least squares on the inliers.

    Args:
        first, second: matches in normalised coordinates, ``(uv - centre) / focal``.
        tolerance: distance in the first view up to which a match agrees (normalised).
        samples: pairs drawn.
        seed: of the draw.
    """
    picked = np.random.default_rng(seed).integers(0, len(first), (samples, 2))
    rays = _rays(first)
    starts: list[tuple[int, np.ndarray, float]] = []
    for factor in FACTORS:
        other = _rays(second / factor)
        rotation = _kabsch(rays[picked], other[picked])
        counts = (_errors(rotation, first, other) < tolerance).sum(1)
        index = int(counts.argmax())
        starts.append((int(counts[index]), rotation[index], float(factor)))
    # Between two of the factors lies one that explains more than either: compared is what each
    # comes to, not where it starts.
    most = max(starts, key=lambda start: start[0])
    given = _settle(*starts[len(FACTORS) // 2][1:], first, second, tolerance, free=False)
    longer = _settle(*most[1:], first, second, tolerance, free=True)
    return longer if longer.inliers > CLEARLY_MORE * given.inliers else given


def _settle(
    rotation: Float64[np.ndarray, "3 3"],
    factor: float,
    first: Float64[np.ndarray, "M 2"],
    second: Float64[np.ndarray, "M 2"],
    tolerance: float,
    *,
    free: bool,
) -> Revisit:
    """Least squares on those who agree, and on those who then agree, until nobody joins."""
    count = 0
    for _ in range(MAX_ROUNDS):
        inlier = _errors(rotation[None], first, _rays(second / factor))[0] < tolerance
        if inlier.sum() < 4 or inlier.sum() <= count:
            break
        count = int(inlier.sum())
        rotation, factor = _polish(rotation, factor, first[inlier], second[inlier], tolerance, free)
    agree = _errors(rotation[None], first, _rays(second / factor))[0] < tolerance
    return Revisit(rotation, factor, int(agree.sum()))


def _rays(plane: Float64[np.ndarray, "M 2"]) -> Float64[np.ndarray, "M 3"]:
    rays = np.concatenate([plane, np.ones((len(plane), 1))], axis=1)
    return rays / np.linalg.norm(rays, axis=1, keepdims=True)


def _errors(
    rotation: Float64[np.ndarray, "B 3 3"],
    first: Float64[np.ndarray, "M 2"],
    second: Float64[np.ndarray, "M 3"],
) -> Float64[np.ndarray, "B M"]:
    """Distances in the first view; infinite behind it."""
    turned = second @ rotation.transpose(0, 2, 1)
    ahead = turned[..., 2] > 0.05
    plane = turned[..., :2] / np.where(ahead, turned[..., 2], 1.0)[..., None]
    return np.where(ahead, np.linalg.norm(plane - first, axis=-1), np.inf)


def _kabsch(
    first: Float64[np.ndarray, "B 2 3"], second: Float64[np.ndarray, "B 2 3"]
) -> Float64[np.ndarray, "B 3 3"]:
    """Rotations with ``first ~ R second`` for pairs of directions. The smallest singular value is
    0; its sign is chosen for a proper rotation."""
    u, _, vh = np.linalg.svd(first.transpose(0, 2, 1) @ second)
    u[..., 2] *= np.sign(np.linalg.det(u @ vh))[:, None]
    return u @ vh


def _polish(
    rotation: Float64[np.ndarray, "3 3"],
    factor: float,
    first: Float64[np.ndarray, "M 2"],
    second: Float64[np.ndarray, "M 2"],
    tolerance: float,
    free: bool,
) -> tuple[Float64[np.ndarray, "3 3"], float]:
    def residual(step: np.ndarray) -> np.ndarray:
        turn = rotation @ Rotation.from_rotvec(step[:3]).as_matrix()
        scale = factor * np.exp(step[3]) if free else factor
        turned = _rays(second / scale) @ turn.T
        return (turned[:, :2] / np.maximum(turned[:, 2:], 0.05) - first).ravel() / tolerance

    step = least_squares(residual, np.zeros(4), loss="soft_l1", max_nfev=20).x
    turn = rotation @ Rotation.from_rotvec(step[:3]).as_matrix()
    return turn, factor * float(np.exp(step[3])) if free else factor
