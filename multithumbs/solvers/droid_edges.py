"""Which pairs of key frames DROID-SLAM compares (facts/droid.md section 11), on plain arrays."""

import numpy as np
from jaxtyping import Float, Int64

Pairs = Int64[np.ndarray, "_ 2"]
"""Source and target key frame of directed edges."""

FAR = 100.0
"""Distances above this (grid cells) never become edges."""


def neighbour_pairs(start: int, end: int, radius: int) -> Pairs:
    """Both directions of all pairs in ``[start, end)`` at most ``radius`` apart."""
    i, j = np.meshgrid(np.arange(start, end), np.arange(start, end), indexing="ij")
    apart = np.abs(i - j)
    near = (apart > 0) & (apart <= radius)
    return np.stack([i[near], j[near]], axis=1)


def proximity_pairs(
    distance: Float[np.ndarray, "R C"],
    first_row: int,
    first_column: int,
    known: Pairs,
    *,
    radius: int,
    suppression: int,
    threshold: float,
    max_edges: int,
) -> Pairs:
    """Edges of key frames to those near them in time, then to those that see the same.

    Args:
        distance: mean flow (grid cells) between key frames ``first_row + r`` and
            ``first_column + c``.
        known: edges that exist or existed; they and their neighbourhoods are not chosen again.
        radius: frames back in time to which every row is tied whatever the distance.
        suppression: how far an edge keeps its neighbours away, in steps along both indices.
        threshold: largest distance of an edge (grid cells).
        max_edges: no edge is added by distance beyond this number.

    Returns:
        Both directions of every chosen pair, the nearest in time first. Pairs in time come
        even where they are in ``known``; whoever adds edges drops what is there already.
    """
    rows, columns = distance.shape
    row = np.arange(first_row, first_row + rows)
    column = np.arange(first_column, first_column + columns)
    open_ = np.array(distance, dtype=np.float64)
    open_[row[:, None] - radius < column[None, :]] = np.inf
    open_[open_ > FAR] = np.inf
    for i, j in known:
        _suppress(open_, int(i) - first_row, int(j) - first_column, int(abs(i - j)), suppression)
    chosen: list[tuple[int, int]] = []
    for i in row.tolist():
        for j in range(max(i - radius - 1, 0), i):
            chosen += [(i, j), (j, i)]
            if 0 <= j - first_column < columns:
                open_[i - first_row, j - first_column] = np.inf
    for flat in np.argsort(open_, axis=None, kind="stable"):
        r, c = divmod(int(flat), columns)
        if open_[r, c] > threshold:
            # Suppressed since it was sorted, or beyond the threshold as all that follow.
            continue
        if len(chosen) > max_edges:
            break
        i, j = int(row[r]), int(column[c])
        chosen += [(i, j), (j, i)]
        _suppress(open_, r, c, abs(i - j), suppression)
    return np.array(chosen, dtype=np.int64).reshape(-1, 2)


def _suppress(
    distance: Float[np.ndarray, "R C"], row: int, column: int, apart: int, suppression: int
) -> None:
    """Close the diamond around an edge; edges between close frames keep fewer away."""
    reach = max(min(apart - 2, suppression), 0)
    for dr in range(-reach, reach + 1):
        for dc in range(-(reach - abs(dr)), reach - abs(dr) + 1):
            r, c = row + dr, column + dc
            if 0 <= r < distance.shape[0] and 0 <= c < distance.shape[1]:
                distance[r, c] = np.inf


def without(pairs: Pairs, known: Pairs) -> Pairs:
    """``pairs`` in order, less those in ``known`` and repetitions."""
    seen = {(int(i), int(j)) for i, j in known}
    fresh = []
    for i, j in pairs.tolist():
        if (i, j) not in seen:
            seen.add((i, j))
            fresh.append((i, j))
    return np.array(fresh, dtype=np.int64).reshape(-1, 2)
