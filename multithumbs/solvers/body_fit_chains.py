"""Which rows of neighbouring frames show one person, for the fit's temporal terms only.

Deliberately cautious: a chain that breaks costs a little smoothness, one that jumps to
another person costs both bodies. Identities are the business of `tracks`.
"""

import numpy as np
from jaxtyping import Float64, Int64

from multithumbs.solvers.tracking import keypoint_similarity


def chains(
    frame: Int64[np.ndarray, " N"],
    time_s: Float64[np.ndarray, " N"],
    uv: Float64[np.ndarray, "N 23 2"],
    weight: Float64[np.ndarray, "N 23"],
    size_px: Float64[np.ndarray, " N"],
    *,
    tolerance: float,
    min_similarity: float,
    max_gap_s: float,
) -> list[Int64[np.ndarray, " T"]]:
    """Rows of each chain in order of time; every row is in exactly one.

    Two rows are joined where each is the other's most similar, among the chains still open
    and the rows of the new frame.
    """
    done: list[list[int]] = []
    alive: list[list[int]] = []
    edges = np.flatnonzero(np.diff(frame)) + 1
    for rows in np.split(np.arange(len(frame)), edges):
        if len(rows) == 0:
            continue
        now = time_s[rows[0]]
        done += [chain for chain in alive if now - time_s[chain[-1]] > max_gap_s]
        alive = [chain for chain in alive if now - time_s[chain[-1]] <= max_gap_s]
        joined: set[int] = set()
        if alive:
            last = np.array([chain[-1] for chain in alive])
            size = np.maximum(size_px[last][:, None], size_px[rows][None])
            similarity = keypoint_similarity(
                uv[last], weight[last], uv[rows], weight[rows], size, tolerance
            )
            for i, j in enumerate(similarity.argmax(1)):
                mutual = similarity[:, j].argmax() == i
                if mutual and similarity[i, j] >= min_similarity:
                    alive[i].append(int(rows[j]))
                    joined.add(int(rows[j]))
        alive += [[int(row)] for row in rows if int(row) not in joined]
    return [np.array(chain, dtype=np.int64) for chain in done + alive]
