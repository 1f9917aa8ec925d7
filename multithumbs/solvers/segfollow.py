"""SegFollow (papers/ram.txt section 3.1) over masks that somebody else made.

Per track a Kalman filter on the mask's box and a memory of the mask's appearance. In every frame
each track selects a mask by a gated sum of motion consistency (IoU with the predicted box) and
affinity (likeness to the memory); the filter is corrected only after enough sure sights in a row;
the memory is a moving average whose rate follows the motion consistency.

The paper's formulas are not in our copy of it: where its text leaves a choice it is made here.
SAM 2's decoder gives affinity and confidence; for given masks the affinity is the likeness of
colour histograms, and the confidence is how much of the expected area is seen.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.optimize import linear_sum_assignment

from multithumbs.config.tracks import SegFollowConfig

IMPOSSIBLE: Final = 1e6
NEUTRAL: Final = 0.5
"""Affinity where nothing is known of the appearance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskObservations:
    """What is known of each mask; rows are sorted by frame."""

    frame: Int64[np.ndarray, " N"]
    time_s: Float64[np.ndarray, " N"]
    box_xyxy: Float64[np.ndarray, "N 4"]
    """Of the mask itself, pixels."""
    area: Float64[np.ndarray, " N"]
    """Pixels."""
    score: Float64[np.ndarray, " N"]
    feature: Float64[np.ndarray, "N D"]
    """Unit vectors without negative entries; 0 where nothing is known."""

    def __len__(self) -> int:
        return len(self.frame)


@dataclass(slots=True, eq=False)
class _Track:
    mean: Float64[np.ndarray, "8"]
    """Centre, width and height in pixels, then their velocities per second."""
    covariance: Float64[np.ndarray, "8 8"]
    memory: Float64[np.ndarray, " D"]
    fill: float
    """Share of its box that the mask covers when it is seen whole."""
    score: float
    """What detections of this person usually score."""
    seen_s: float
    """When it was last associated with a mask."""
    sure: int
    """Consecutive reliable associations."""
    doubtful: int = 0
    """Consecutive associations that were not reliable."""
    rows: list[int] = field(default_factory=list)


def follow_masks(seen: MaskObservations, config: SegFollowConfig) -> Int64[np.ndarray, " N"]:
    """Track of each row in order of first appearance; -1 for rows of tracks that stay short."""
    active: list[_Track] = []
    ended: list[_Track] = []
    edges = np.flatnonzero(np.diff(seen.frame)) + 1
    now = float(seen.time_s[0]) if len(seen) else 0.0
    for rows in np.split(np.arange(len(seen)), edges):
        if len(rows) == 0:
            continue
        before, now = now, float(seen.time_s[rows[0]])
        for track in active:
            _predict(track, now - before, config)
        confirmed = [t for t in active if len(t.rows) >= config.confirm_hits]
        tentative = [t for t in active if len(t.rows) < config.confirm_hits]
        # A person who is waited for has the first call on a mask; a newcomer takes what is left.
        pairs = _select(confirmed, rows, seen, now, config)
        free = np.setdiff1d(rows, [row for _, row in pairs])
        pairs += _select(tentative, free, seen, now, config)
        for track, row in pairs:
            _associate(track, row, seen, config)
        found = {id(track) for track, _ in pairs}
        gone = [t for t in active if id(t) not in found and not _waits(t, now, config)]
        ended += gone
        dropped = {id(track) for track in gone}
        taken = {row for _, row in pairs}
        active = [t for t in active if id(t) not in dropped]
        active += [
            _born(int(row), seen, config)
            for row in rows
            if int(row) not in taken and seen.score[row] >= config.min_score
        ]
    return _labels(ended + active, seen, config)


def motion_consistency(
    predicted_xyxy: Float64[np.ndarray, "T 4"], box_xyxy: Float64[np.ndarray, "N 4"]
) -> tuple[Float64[np.ndarray, "T N"], Float64[np.ndarray, "T N"]]:
    """IoU of every predicted box with every mask's, and the share of the mask's box inside."""
    low = np.maximum(predicted_xyxy[:, None, :2], box_xyxy[None, :, :2])
    high = np.minimum(predicted_xyxy[:, None, 2:], box_xyxy[None, :, 2:])
    common = np.prod(np.maximum(high - low, 0), axis=-1)
    area_a = np.prod(np.maximum(predicted_xyxy[:, 2:] - predicted_xyxy[:, :2], 0), axis=1)
    area_b = np.maximum(np.prod(box_xyxy[:, 2:] - box_xyxy[:, :2], axis=1), 1e-9)
    return common / (area_a[:, None] + area_b[None] - common), common / area_b[None]


def _select(
    tracks: list[_Track],
    rows: Int64[np.ndarray, " R"],
    seen: MaskObservations,
    now: float,
    config: SegFollowConfig,
) -> list[tuple[_Track, int]]:
    """The masks with the highest total score: one per track, as all choose at once."""
    if not tracks or len(rows) == 0:
        return []
    mean = np.array([t.mean for t in tracks])
    unseen = np.array([now - t.seen_s for t in tracks])
    iou, _ = motion_consistency(_boxes(mean), seen.box_xyxy[rows])
    # Who was unseen for long may be anywhere near: the box that must hold the mask grows.
    reach = np.minimum(config.reach_per_s * unseen, config.max_reach) * mean[:, 3]
    grown = _boxes(mean) + reach[:, None] * np.array([-1.0, -1.0, 1.0, 1.0])
    _, inside = motion_consistency(grown, seen.box_xyxy[rows])
    affinity = _affinity(np.array([t.memory for t in tracks]), seen.feature[rows])
    size = np.log(
        np.prod(mean[:, 2:4], axis=1)[:, None]
        / np.prod(seen.box_xyxy[rows, 2:] - seen.box_xyxy[rows, :2], axis=1).clip(1)
    )
    near = (inside >= config.containment) & (affinity >= config.min_affinity)
    # A part of somebody may be small, but nobody grows out of all proportion.
    near &= size > -config.max_growth
    near |= (iou >= config.iou_gate) & (affinity >= config.min_affinity / 2)
    trust = config.motion_weight * np.exp(-unseen / config.motion_memory_s)[:, None]
    total = trust * iou + (1 - trust) * affinity
    cost = np.where(near, 1 - total, IMPOSSIBLE)
    first, second = linear_sum_assignment(cost)
    return [
        (tracks[i], int(rows[j]))
        for i, j in zip(first.tolist(), second.tolist(), strict=True)
        if near[i, j]
    ]


def _affinity(
    memory: Float64[np.ndarray, "T D"], feature: Float64[np.ndarray, "N D"]
) -> Float64[np.ndarray, "T N"]:
    known = memory.any(1)[:, None] & feature.any(1)[None]
    return np.where(known, memory @ feature.T, NEUTRAL)


def _associate(track: _Track, row: int, seen: MaskObservations, config: SegFollowConfig) -> None:
    """The confidence-gated update of the filter, and the memory's."""
    box = seen.box_xyxy[row]
    iou = float(motion_consistency(_boxes(track.mean[None]), box[None])[0][0, 0])
    expected = track.fill * float(np.prod(track.mean[2:4]))
    confidence = min(1.0, float(seen.area[row]) / max(expected, 1.0))
    confidence *= min(1.0, float(seen.score[row]) / max(track.score, 1e-6))
    sure = confidence >= config.min_confidence
    track.sure = track.sure + 1 if sure else 0
    track.doubtful = 0 if sure else track.doubtful + 1
    track.seen_s = float(seen.time_s[row])
    track.rows.append(row)
    if track.doubtful > config.patience or (track.sure == 1 and iou < config.iou_gate):
        # What is seen has long been something else than what is expected, or somebody who was
        # lost is back elsewhere: begin anew from there.
        fresh = _born(row, seen, config)
        track.mean, track.covariance = fresh.mean, fresh.covariance
        track.doubtful = 0
    elif track.sure >= config.sure_frames:
        _correct(track, box, config)
    else:
        # The state is kept; who is hardly seen is expected to slow down rather than to fly off.
        track.mean[4:] *= config.doubt_damping
    rate = config.memory_rate * iou * confidence
    if seen.feature[row].any():
        rate = rate if track.memory.any() else 1.0
        memory = (1 - rate) * track.memory + rate * seen.feature[row]
        track.memory = memory / max(float(np.linalg.norm(memory)), 1e-9)
    if sure:
        share = float(seen.area[row]) / max(float(np.prod(box[2:] - box[:2])), 1.0)
        track.fill += config.memory_rate * (share - track.fill)
        track.score += config.memory_rate * (float(seen.score[row]) - track.score)


def _born(row: int, seen: MaskObservations, config: SegFollowConfig) -> _Track:
    box = seen.box_xyxy[row]
    centre, size = (box[:2] + box[2:]) / 2, np.maximum(box[2:] - box[:2], 1.0)
    height = float(size[1])
    spread = np.full(8, config.box_noise * height)
    spread[4:6], spread[6:] = config.initial_speed * height, 0.1 * config.initial_speed * height
    return _Track(
        mean=np.concatenate([centre, size, np.zeros(4)]),
        covariance=np.diag(spread**2),
        memory=seen.feature[row].copy(),
        fill=float(seen.area[row]) / float(np.prod(size)),
        score=float(seen.score[row]),
        seen_s=float(seen.time_s[row]),
        sure=config.sure_frames,
        rows=[row],
    )


def _predict(track: _Track, dt: float, config: SegFollowConfig) -> None:
    """Constant velocity with white acceleration, in units of the person's height."""
    motion = np.eye(8)
    motion[:4, 4:] = dt * np.eye(4)
    height = max(float(track.mean[3]), 1.0)
    rate = (np.array([1, 1, 0.3, 0.3]) * config.acceleration * height) ** 2
    noise = np.zeros((8, 8))
    at = np.arange(4)
    noise[at, at] = rate * dt**4 / 4
    noise[at, at + 4] = noise[at + 4, at] = rate * dt**3 / 2
    noise[at + 4, at + 4] = rate * dt**2
    track.mean = motion @ track.mean
    track.mean[2:4] = np.maximum(track.mean[2:4], 1.0)
    track.covariance = motion @ track.covariance @ motion.T + noise


def _correct(track: _Track, box: Float64[np.ndarray, "4"], config: SegFollowConfig) -> None:
    """Kalman's update by the mask's box (Joseph's form)."""
    measured = np.concatenate([(box[:2] + box[2:]) / 2, np.maximum(box[2:] - box[:2], 1.0)])
    noise = np.eye(4) * (config.box_noise * float(track.mean[3])) ** 2
    covariance = track.covariance
    gain = np.linalg.solve(covariance[:4, :4] + noise, covariance[:4]).T
    keep = np.eye(8)
    keep[:, :4] -= gain
    track.mean = track.mean + gain @ (measured - track.mean[:4])
    track.mean[2:4] = np.maximum(track.mean[2:4], 1.0)
    track.covariance = keep @ covariance @ keep.T + gain @ noise @ gain.T


def _waits(track: _Track, now: float, config: SegFollowConfig) -> bool:
    confirmed = len(track.rows) >= config.confirm_hits
    return confirmed and now - track.seen_s <= config.max_unseen_s


def _boxes(mean: Float64[np.ndarray, "T 8"]) -> Float64[np.ndarray, "T 4"]:
    return np.concatenate([mean[:, :2] - mean[:, 2:4] / 2, mean[:, :2] + mean[:, 2:4] / 2], axis=1)


def _labels(
    tracks: list[_Track], seen: MaskObservations, config: SegFollowConfig
) -> Int64[np.ndarray, " N"]:
    label = np.full(len(seen), -1, dtype=np.int64)
    enough = min(config.min_rows, len(np.unique(seen.frame)))
    kept = sorted((t.rows for t in tracks if len(t.rows) >= enough), key=lambda rows: rows[0])
    for index, rows in enumerate(kept):
        label[rows] = index
    return label


def repeated(
    frame: Int64[np.ndarray, " N"],
    score: Float64[np.ndarray, " N"],
    overlap: list[Float64[np.ndarray, "R R"]],
    limit: float,
) -> Bool[np.ndarray, " N"]:
    """Rows whose mask repeats that of a better scored row of the same frame.

    ``overlap`` holds the IoU of the masks of each frame, frames in order.
    """
    drop = np.zeros(len(frame), dtype=bool)
    edges = np.flatnonzero(np.diff(frame)) + 1
    for rows, iou in zip(np.split(np.arange(len(frame)), edges), overlap, strict=True):
        order = np.argsort(-score[rows], kind="stable")
        for position, i in enumerate(order):
            better = order[:position]
            better = better[~drop[rows[better]]]
            drop[rows[i]] = bool((iou[i, better] > limit).any())
    return drop
