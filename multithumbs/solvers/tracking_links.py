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
    tracklets = merge(seen, follow(seen, config), config)
    tracks = _chains(tracklets, link(seen, tracklets, config))
    num_frames = len(np.unique(seen.frame))
    enough = min(config.min_rows, num_frames)
    kept = sorted(
        (rows for rows in tracks if len(rows) >= enough and _dense(seen.frame[rows], config)),
        key=lambda rows: rows[0],
    )
    label = np.full(len(seen), -1, dtype=np.int64)
    for index, rows in enumerate(kept):
        label[rows] = index
    return label


def _dense(frame: Int64[np.ndarray, " R"], config: Hungarian3DConfig) -> bool:
    span = int(frame[-1] - frame[0]) + 1
    return len(frame) >= config.sparse_rows or len(frame) >= config.min_density * span


def merge(
    seen: Observations, tracklets: list[Tracklet], config: Hungarian3DConfig
) -> list[Tracklet]:
    """Join tracklets that interleave: one person whom two filters claimed in turn.

    They share no frame, and wherever the rows of one lie near in time to the other's, they lie
    where it was.
    """
    merged: list[Tracklet] = []
    for tracklet in tracklets:
        partner = next((t for t in merged if _interleaved(seen, t, tracklet, config)), None)
        if partner is None:
            merged.append(tracklet)
            continue
        later = max(partner, tracklet, key=lambda t: t.time_s)
        total = partner.colour_weight + tracklet.colour_weight
        share = tracklet.colour_weight / np.maximum(total, 1e-9)
        partner.colour = partner.colour + share[..., None] * (tracklet.colour - partner.colour)
        partner.colour_weight = total
        partner.mean, partner.covariance, partner.time_s = (
            later.mean, later.covariance, later.time_s,
        )  # fmt: skip
        partner.rows = sorted([*partner.rows, *tracklet.rows])
    return merged


def _interleaved(seen: Observations, a: Tracklet, b: Tracklet, config: Hungarian3DConfig) -> bool:
    time_a, time_b = seen.time_s[a.rows], seen.time_s[b.rows]
    if time_b[0] > time_a[-1] or time_a[0] > time_b[-1]:
        return False
    if np.intersect1d(seen.frame[a.rows], seen.frame[b.rows]).size:
        return False
    # Each row of b against a's rows just before and just after it.
    after = np.searchsorted(time_a, time_b)
    distances = []
    for neighbour in (after - 1, after):
        valid = (neighbour >= 0) & (neighbour < len(time_a))
        row_a, row_b = np.array(a.rows)[neighbour[valid]], np.array(b.rows)[valid]
        gap_s = np.abs(seen.time_s[row_a] - seen.time_s[row_b])
        near = gap_s <= config.coast_s
        row_a, row_b, gap_s = row_a[near], row_b[near], gap_s[near]
        walked = config.initial_speed_m_s * gap_s * np.exp(-seen.place[row_b, 2])
        spread = seen.place_std[row_a] ** 2 + seen.place_std[row_b] ** 2 + walked[:, None] ** 2
        distances.append(((seen.place[row_a] - seen.place[row_b]) ** 2 / spread).sum(-1))
    together = np.concatenate(distances)
    if len(together) == 0 or np.median(together) > config.merge_gate:
        return False
    return _clothes(a, b, config) <= config.merge_colour


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
    clothes = _clothes(a, b, config)
    return (
        distance / config.relink_gate
        + config.shape_weight * shape / 4
        + config.colour_weight * clothes
        + 0.3 * gap_s / config.relink_s
    )


def _clothes(a: Tracklet, b: Tracklet, config: Hungarian3DConfig) -> float:
    """Dissimilarity of the clothes, on average or where the tracklets are nearest in time."""
    pairs = [(0, 0), (1, 0)]
    return min(
        float(
            colour_distance(
                a.colour[None, i], a.colour_weight[None, i],
                b.colour[None, j], b.colour_weight[None, j], config,
            )[0, 0]
        )
        for i, j in pairs
    )  # fmt: skip


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
