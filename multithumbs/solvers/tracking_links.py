"""Join tracklets over absences, drop the too short, and number what remains."""

import numpy as np
from jaxtyping import Float64, Int64
from scipy.optimize import linear_sum_assignment

from multithumbs.config.tracks import Hungarian3DConfig
from multithumbs.solvers.tracking import (
    IMPOSSIBLE,
    Observations,
    Tracklet,
    born,
    colour_distance,
    follow,
    predict,
    squared_distance,
    transition,
    update,
)

REWIND_ROWS = 12
"""Rows from which a tracklet's state at its beginning is estimated (backwards in time)."""


def track(seen: Observations, config: Hungarian3DConfig) -> Int64[np.ndarray, " N"]:
    """Track of each row, numbered by first appearance; -1 for rows of no kept track."""
    tracklets = follow(seen, config)
    tracks = _chains(tracklets, link(seen, tracklets, config))
    num_frames = len(np.unique(seen.frame))
    enough = min(config.min_rows, num_frames)
    kept = sorted((rows for rows in tracks if len(rows) >= enough), key=lambda rows: rows[0])
    label = np.full(len(seen), -1, dtype=np.int64)
    for index, rows in enumerate(kept):
        label[rows] = index
    return label


def link(
    seen: Observations, tracklets: list[Tracklet], config: Hungarian3DConfig
) -> list[tuple[int, int]]:
    """Pairs (earlier, later) of tracklets that are one person around an absence."""
    if len(tracklets) < 2:
        return []
    cost = np.array([[_cost(seen, a, b, config) for b in tracklets] for a in tracklets])
    # One assignment over all ends and beginnings: the nearest pair is not always the right one.
    first, second = linear_sum_assignment(np.minimum(cost, config.relink_cost))
    return [
        (int(i), int(j))
        for i, j in zip(first, second, strict=True)
        if cost[i, j] < config.relink_cost
    ]


def _cost(seen: Observations, a: Tracklet, b: Tracklet, config: Hungarian3DConfig) -> float:
    """Cost of ``b`` being ``a`` come back; `IMPOSSIBLE` where time or distance forbid it."""
    end, begin = a.rows[-1], b.rows[0]
    gap_s = float(seen.time_s[begin] - seen.time_s[end])
    if gap_s <= 0 or gap_s > config.relink_s:
        return IMPOSSIBLE
    rewound = _rewind(seen, b, config)
    ahead = _distance(a, rewound, gap_s, config)
    back = _distance(rewound, a, gap_s, config)
    distance = (ahead + back) / 2
    if distance > config.relink_gate:
        return IMPOSSIBLE
    shape = ((a.log_size - b.log_size) / config.size_noise) ** 2
    clothes = colour_distance(
        a.colour[None], a.colour_weight[None], b.colour[None], np.minimum(b.colour_weight, 1)[None],
        config,
    )  # fmt: skip
    return (
        distance / config.relink_gate
        + config.shape_weight * shape / 4
        + config.colour_weight * float(clothes[0, 0])
        + 0.3 * gap_s / config.relink_s
    )


def _distance(source: Tracklet, target: Tracklet, gap_s: float, config: Hungarian3DConfig) -> float:
    """Squared Mahalanobis distance after ``gap_s`` of the source's motion."""
    motion, noise = transition(np.array([gap_s]), source.mean[None, 2], config)
    mean = motion[0] @ source.mean
    covariance = motion[0] @ source.covariance @ motion[0].T + noise[0]
    covariance[:3, :3] += target.covariance[:3, :3]
    still: Float64[np.ndarray, "1 3"] = np.zeros((1, 3))
    return float(squared_distance(mean[None], covariance[None], target.mean[None, :3], still)[0, 0])


def _rewind(seen: Observations, tracklet: Tracklet, config: Hungarian3DConfig) -> Tracklet:
    """The state at the first row, filtered backwards: velocities point into the past."""
    rows = tracklet.rows[:REWIND_ROWS][::-1]
    state = born(seen, rows[0], config)
    for row in rows[1:]:
        dt = state.time_s - float(seen.time_s[row])
        mean, covariance = predict([state], state.time_s + dt, config)
        state.mean, state.covariance = update(
            mean[0], covariance[0], seen.place[row], seen.place_std[row]
        )
        state.time_s = float(seen.time_s[row])
    state.log_size = tracklet.log_size
    return state


def _chains(tracklets: list[Tracklet], links: list[tuple[int, int]]) -> list[list[int]]:
    """Rows of each chain of linked tracklets."""
    following = dict(links)
    heads = set(range(len(tracklets))) - set(following.values())
    chains = []
    for head in sorted(heads):
        rows = list(tracklets[head].rows)
        node = head
        while node in following:
            node = following[node]
            rows += tracklets[node].rows
        chains.append(rows)
    return chains
