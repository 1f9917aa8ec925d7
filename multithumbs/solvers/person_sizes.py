"""How large everybody is, from what every shot and every cut says.

One image tells a person's size only as far as people are alike (some 6 %, more for the half
seen). A cut whose two cameras and people were aligned tells the *ratios* of the sizes of all who
are seen at it several times better, in a unit of its own. In logarithms both are linear::

    size that a track's own fits give    = size of its person + noise
    size that a track has at a cut       = size of its person + unit of the cut + noise

so that every track of everybody has a say in the scale of the whole.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from scipy.sparse import coo_array, diags_array
from scipy.sparse.linalg import splu

HUBER = 2.0
"""Standard deviations beyond which a size counts linearly."""
ROUNDS = 10


class SizesAtCuts(NamedTuple):
    """``A`` sizes that tracks have in the worlds of single cuts."""

    track: Int64[np.ndarray, " A"]
    cut: Int64[np.ndarray, " A"]
    log_size: Float64[np.ndarray, " A"]


def solve_sizes(
    person: Int64[np.ndarray, " T"],
    own: Float64[np.ndarray, " T"],
    own_std: Float64[np.ndarray, " T"],
    at_cuts: SizesAtCuts,
    aligned_std: float,
    num_cuts: int,
) -> tuple[Float64[np.ndarray, " P"], Float64[np.ndarray, " C"]]:
    """Logarithms of everybody's size and of every cut's unit; robust least squares.

    Args:
        person: of each track, numbered from 0 without gaps.
        own, own_std: logarithm of the size that the track's fits give, and its noise.
        at_cuts: what aligned cuts say.
        aligned_std: their noise.
        num_cuts: ``C``. Cuts that say nothing get the unit 1 (logarithm 0).
    """
    people = int(person.max(initial=-1)) + 1
    tracks, sayings = len(person), len(at_cuts.track)
    if not tracks:
        return np.zeros(0), np.zeros(num_cuts)
    row = np.arange(tracks + sayings)
    who = np.concatenate([person, person[at_cuts.track]])
    entries = np.ones(len(row) + sayings)
    design = coo_array(
        (entries, (np.append(row, row[tracks:]), np.append(who, people + at_cuts.cut))),
        shape=(len(row), people + num_cuts),
    ).tocsr()
    said = np.concatenate([own, at_cuts.log_size])
    precision = np.concatenate([own_std, np.full(sayings, aligned_std)]) ** -2.0
    # Keeps silent cuts at 0 and moves nothing else.
    ridge = diags_array(np.append(np.zeros(people), np.full(num_cuts, 1e-9)))
    weight = np.ones(len(row))
    solution = np.zeros(people + num_cuts)
    for _ in range(ROUNDS):
        trust = precision * weight
        normal = design.T @ diags_array(trust) @ design + ridge
        solution = splu(normal.tocsc()).solve(design.T @ (trust * said))
        size = np.abs(design @ solution - said) * np.sqrt(precision)
        weight = HUBER / np.maximum(size, HUBER)
    return solution[:people], solution[people:]
