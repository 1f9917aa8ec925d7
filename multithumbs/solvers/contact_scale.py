"""Metres per unit of a moving camera, from people whose feet stand still on the floor."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64


@dataclass(frozen=True, slots=True, kw_only=True)
class Displacements:
    """``D`` displacements of body points over a short time, seen by a moving camera.

    A point that stands still obeys ``body + s camera = 0`` for the right scale ``s``.
    """

    body: Float64[np.ndarray, "D 3"]
    """Rotated into the shot's axes but relative to the camera, metres."""
    camera: Float64[np.ndarray, "D 3"]
    """Displacement of the camera, units of the odometry."""
    ray: Float64[np.ndarray, "D 3"]
    """Unit viewing direction of the point in the shot's axes."""
    depth: Float64[np.ndarray, " D"]
    """Metres."""

    def __len__(self) -> int:
        return len(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleVote:
    """The scale that most points agree on."""

    metres_per_unit: float
    still: float
    """Fraction of the displacements that agree, 0 to 1."""
    contrast: float
    """Best score over the median score of all candidates, at least 1."""


def vote(
    moves: Displacements,
    *,
    still_m: float,
    depth_noise: float,
    prior: float,
    prior_log_std: float,
    candidates: int = 161,
) -> ScaleVote:
    """The scale at which most points stand still.

    Every displacement votes with Geman-McClure's kernel, whose width is ``still_m`` across the
    ray and grows by ``depth_noise`` times the depth along it, because a monocular body's
    depth is its weakest coordinate. A log-normal ``prior`` breaks ties and bounds the search.

    Args:
        moves: candidates for standing still; a part of them does.
        still_m: displacement of a point that stands still (metres).
        depth_noise: noise of a depth, as a fraction of it.
        prior: expected metres per unit.
        prior_log_std: standard deviation of its logarithm; the search spans three of them.
    """
    logs = np.linspace(-3, 3, candidates)
    scales = prior * np.exp(prior_log_std * logs)
    prior_score = -0.5 * logs**2
    inliers = _agreement(moves, scales, still_m, depth_noise)
    # The votes of neighbouring frames are not independent: count them as if a tenth were.
    score = 0.1 * inliers.sum(1) + prior_score
    best = int(score.argmax())
    fine = scales[best] * np.exp(np.linspace(-1, 1, 41) * prior_log_std * (logs[1] - logs[0]))
    fine_inliers = _agreement(moves, fine, still_m, depth_noise)
    top = int(fine_inliers.sum(1).argmax())
    typical = max(float(np.median(inliers.mean(1))), 1e-6)
    still = float(fine_inliers[top].mean())
    return ScaleVote(metres_per_unit=float(fine[top]), still=still, contrast=still / typical)


def _agreement(
    moves: Displacements, scales: Float64[np.ndarray, " C"], still_m: float, depth_noise: float
) -> Float64[np.ndarray, "C D"]:
    """1 where a point stands still, towards 0 where it moves."""
    left = moves.body + scales[:, None, None] * moves.camera
    along = np.einsum("cdi,di->cd", left, moves.ray)
    across = (left**2).sum(-1) - along**2
    along_width = np.hypot(still_m, depth_noise * moves.depth * np.sqrt(2))
    squared = across / still_m**2 + (along / along_width) ** 2
    return 1 / (1 + squared)
