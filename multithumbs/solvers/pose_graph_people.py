"""Where the cameras of several cuts stand, from people seen on both sides, sizes unknown.

A monocular body is right up to its size: a person who is ``f`` times as large as assumed stands
``f`` times as far away along the same ray. Once it is known how two cameras are turned, a person
at ``a`` in the first and at ``b`` in the second says ``f (a - R b) = t``. Two people seen from two
sides thus tell the ratio of their sizes, and a size holds in all cuts that the person crosses.
"""

import numpy as np
from jaxtyping import Float64, Int64

HUBER = 2.0
"""Standard deviations beyond which a person's disagreement counts linearly."""


def place_by_people(
    cut: Int64[np.ndarray, " M"],
    person: Int64[np.ndarray, " M"],
    first: Float64[np.ndarray, "M 3"],
    second: Float64[np.ndarray, "M 3"],
    *,
    depth_std: float,
    lateral_std: float,
    size_std: float,
    rounds: int = 10,
) -> tuple[Float64[np.ndarray, "C 3"], Float64[np.ndarray, " P"]]:
    """Translations of the cuts and sizes of the people.

    Args:
        cut, person: of each sighting, numbered from 0 without gaps.
        first: the person in the camera before the cut, metres at the assumed size.
        second: in the camera after it, turned into the first camera's axes.
        depth_std: noise of a depth at given size, as a fraction.
        lateral_std: noise across the ray, metres.
        size_std: of a person's true size over the assumed one.

    Returns:
        The second camera's centre in the first camera's axes (metres) per cut, and the factor
        on the assumed size per person.
    """
    cuts, people = int(cut.max()) + 1, int(person.max()) + 1
    noise = _covariance(first, depth_std, lateral_std) + _covariance(second, depth_std, lateral_std)
    whiten = np.linalg.cholesky(np.linalg.inv(noise)).transpose(0, 2, 1)
    baseline = np.einsum("mij,mj->mi", whiten, first - second)
    unknowns = 3 * cuts + people
    system = np.zeros((len(cut), 3, unknowns))
    rows = np.arange(len(cut))
    system[rows, :, 3 * cuts + person] = baseline
    for axis in range(3):
        system[rows, :, 3 * cut + axis] = -whiten[:, :, axis]
    prior = np.zeros(unknowns)
    prior[3 * cuts :] = 1 / size_std**2
    weight = np.ones(len(cut))
    solution = np.ones(unknowns)
    for _ in range(rounds):
        weighted = system * weight[:, None, None]
        normal = np.einsum("mik,mil->kl", weighted, system) + np.diag(prior + 1e-9)
        solution = np.linalg.solve(normal, prior)
        size = np.linalg.norm(system @ solution, axis=1)
        weight = HUBER / np.maximum(size, HUBER)
    return solution[: 3 * cuts].reshape(cuts, 3), solution[3 * cuts :]


def _covariance(
    points: Float64[np.ndarray, "M 3"], depth_std: float, lateral_std: float
) -> Float64[np.ndarray, "M 3 3"]:
    """Noise of points, little across their rays, much along them."""
    along = points[:, :, None] * points[:, None, :]
    return lateral_std**2 * np.eye(3) + depth_std**2 * along
