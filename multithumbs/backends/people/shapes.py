"""One shape per person, of all their fits."""

import numpy as np
from jaxtyping import Float64

from multithumbs.backends.sizes import bones
from multithumbs.body import BodyModel
from multithumbs.types import Bodies, Keypoints

RESIZE_STEPS = 4
"""Of Newton's method; lengths are almost linear in betas."""


def shared_betas(
    bodies: tuple[Bodies, ...],
    keypoints: tuple[Keypoints, ...],
    picked: list[tuple[np.ndarray, np.ndarray]],
) -> dict[int, Float64[np.ndarray, " 10"]]:
    """Weighted median of each coefficient; rows that show more of the body weigh more.

    ``picked``: of every shot, the rows that belong to somebody, and to whom.
    """
    person = np.concatenate([p for _, p in picked])
    betas = np.concatenate([bodies[s].betas[rows] for s, (rows, _) in enumerate(picked)])
    weight = np.concatenate(
        [
            bodies[s].confidence[rows] * keypoints[s].confidence[rows].mean(1) ** 2
            for s, (rows, _) in enumerate(picked)
        ]
    )
    return {
        int(p): _weighted_median(betas[person == p], weight[person == p]) for p in np.unique(person)
    }


def resized(
    body: BodyModel, betas: Float64[np.ndarray, " 10"], log_size: float
) -> Float64[np.ndarray, " 10"]:
    """The likeliest shape of a given size: the nearest one (betas are standard normal)."""
    with_each = np.concatenate([np.zeros((1, 10)), np.eye(10)])
    joints = body.rest_joints(body.tensor(with_each)).numpy(force=True)
    at_mean, *moved = bones(joints)
    per_beta = np.array(moved) - at_mean
    for _ in range(RESIZE_STEPS):
        own = at_mean + np.tensordot(betas, per_beta, axes=1)
        length = np.linalg.norm(own, axis=-1)
        slope = (per_beta * (own / length[:, None])).sum((1, 2)) / length.sum()
        missing = log_size - float(np.log(length.sum()))
        betas = betas + missing * slope / (slope @ slope)
    return betas


def _weighted_median(
    values: Float64[np.ndarray, "M D"], weight: Float64[np.ndarray, " M"]
) -> Float64[np.ndarray, " D"]:
    order = np.argsort(values, axis=0)
    cumulative = np.cumsum((weight + 1e-9)[order], axis=0)
    middle = (cumulative < 0.5 * cumulative[-1]).sum(0)
    return np.take_along_axis(values, order, axis=0)[middle, np.arange(values.shape[1])]
