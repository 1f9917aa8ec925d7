"""Whether two pictures were taken from one place: do their matches follow one rotation?"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64


class Revisit(NamedTuple):
    """The rotation between two views from one place."""

    first_from_second: Float64[np.ndarray, "3 3"]
    inliers: int


def rotation_only(
    first: Float64[np.ndarray, "M 3"],
    second: Float64[np.ndarray, "M 3"],
    tolerance: float,
    *,
    samples: int = 300,
    seed: int = 0,
) -> Revisit:
    """RANSAC over pairs of matches, then three rounds of Kabsch on the inliers.

    Args:
        first, second: unit rays of matched features in either camera.
        tolerance: angle up to which a match agrees, radians.
    """
    rng = np.random.default_rng(seed)
    picked = rng.integers(0, len(first), (samples, 2))
    rotation = _kabsch(first[picked], second[picked], np.ones((samples, 2)))
    errors = np.linalg.norm(first[None] - second @ rotation.transpose(0, 2, 1), axis=-1)
    best = rotation[(errors < tolerance).sum(1).argmax()]
    inlier = np.zeros(len(first), bool)
    for _ in range(3):
        inlier = np.linalg.norm(first - second @ best.T, axis=-1) < tolerance
        if inlier.sum() < 2:
            break
        best = _kabsch(first[None], second[None], inlier[None].astype(float))[0]
    return Revisit(best, int(inlier.sum()))


def _kabsch(
    first: Float64[np.ndarray, "B N 3"],
    second: Float64[np.ndarray, "B N 3"],
    weight: Float64[np.ndarray, "B N"],
) -> Float64[np.ndarray, "B 3 3"]:
    """Rotations with ``first ~ R second`` for directions. Two directions suffice: the smallest
    singular value is then 0 and its sign is chosen for a proper rotation."""
    covariance = np.einsum("bn,bni,bnj->bij", weight, first, second)
    u, _, vh = np.linalg.svd(covariance)
    u[..., 2] *= np.sign(np.linalg.det(u @ vh))[:, None]
    return u @ vh
