"""SegFollow (papers/ram.txt section 3.1) over masks that somebody else made.

Per track a Kalman filter on the mask's box and a memory of the mask's appearance. In every frame
each track selects a mask by a gated sum of motion consistency (IoU with the predicted box) and
affinity (likeness to the memory); the filter is corrected only after enough sure sights in a row;
the memory is a moving average whose rate follows the motion consistency.

The paper's formulas are not in our copy of it: where its text leaves a choice it is made here.
SAM 2's decoder gives affinity and confidence; for given masks the affinity is the likeness of
colour histograms and the overlap with the last mask, and the confidence is how much of the
expected area is seen.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64
from scipy.optimize import linear_sum_assignment

from multithumbs.config.tracks import SegFollowConfig

NEUTRAL: Final = 0.5
"""Affinity where nothing is known of the appearance."""

Overlap: TypeAlias = Callable[
    [Int64[np.ndarray, " T"], Int64[np.ndarray, " R"]], Float64[np.ndarray, "T R"]
]


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
    feature: Float[np.ndarray, "N D"]
    """Unit vectors without negative entries; 0 where nothing is known."""

    def __len__(self) -> int:
        return len(self.frame)


@dataclass(slots=True, eq=False)
class _Track:
    mean: Float64[np.ndarray, "8"]
    """Centre, width and height in pixels, then their velocities per second."""
    covariance: Float64[np.ndarray, "8 8"]
    memory: Float[np.ndarray, " D"]
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


def follow_masks(
    seen: MaskObservations, overlap: Overlap, config: SegFollowConfig
) -> Int64[np.ndarray, " N"]:
    """Track of each row in order of first appearance; -1 for rows of tracks that stay short.

    ``overlap`` gives the IoU of the masks of two lists of rows; it is asked about each track's
    newest mask and those of the next frames.
    """
    active: list[_Track] = []
    ended: list[_Track] = []
    edges = np.flatnonzero(np.diff(seen.frame)) + 1
    now = float(seen.time_s[0]) if len(seen) else 0.0
    for rows in np.split(np.arange(len(seen)), edges):
        if len(rows) == 0:
            continue
        before, now = now, float(seen.time_s[rows[0]])
        # Who was there a frame ago is not unseen, however slow the frames.
        missed = [t for t in active if seen.frame[rows[0]] - seen.frame[t.rows[-1]] > 1]
        gone = {id(t) for t in missed if now - t.seen_s > config.max_unseen_s}
        ended += [t for t in active if id(t) in gone]
        active = [t for t in active if id(t) not in gone]
        for track in active:
            _predict(track, now - before, config)
        confirmed = [t for t in active if len(t.rows) >= config.confirm_hits]
        tentative = [t for t in active if len(t.rows) < config.confirm_hits]
        # A person who is waited for has the first call on a mask; a newcomer takes what is left.
        pairs = _select(confirmed, rows, seen, overlap, now, config)
        free = np.setdiff1d(rows, [row for _, row in pairs])
        pairs += _select(tentative, free, seen, overlap, now, config)
        for track, row in pairs:
            _associate(track, row, seen, config)
        found = {id(track) for track, _ in pairs}
        ended += [t for t in tentative if id(t) not in found]
        taken = {row for _, row in pairs}
        active = confirmed + [t for t in tentative if id(t) in found]
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
    overlap: Overlap,
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
    newest = np.array([t.rows[-1] for t in tracks])
    colour = _affinity(np.array([t.memory for t in tracks]), seen.feature[rows])
    # A mask resembles its memory in colour, and, from one frame to the next, in shape and place.
    recent = config.shape_weight * np.exp(-unseen / config.shape_memory_s)[:, None]
    likeness = (colour + recent * overlap(newest, rows)) / (1 + recent)
    size = np.log(
        np.prod(mean[:, 2:4], axis=1)[:, None]
        / np.prod(seen.box_xyxy[rows, 2:] - seen.box_xyxy[rows, :2], axis=1).clip(1)
    )
    # A part of somebody may be small, but nobody grows out of all proportion.
    back = (inside >= config.containment) & (size > -config.max_growth)
    back &= colour >= config.return_affinity
    near = back | ((iou >= config.iou_gate) & (colour >= config.min_affinity))
    trust = config.motion_weight * np.exp(-unseen / config.motion_memory_s)[:, None]
    total = np.where(near, trust * iou + (1 - trust) * likeness, 0.0)
    # No mask is as good as a bad one: nobody is pushed aside so that more people have one.
    first, second = linear_sum_assignment(-np.maximum(total, config.min_total))
    return [
        (tracks[i], int(rows[j]))
        for i, j in zip(first.tolist(), second.tolist(), strict=True)
        if float(total[i, j]) > config.min_total
    ]


def _affinity(
    memory: Float[np.ndarray, "T D"], feature: Float[np.ndarray, "N D"]
) -> Float64[np.ndarray, "T N"]:
    known = np.any(memory, axis=1)[:, None] & np.any(feature, axis=1)[None]
    return np.where(known, np.matmul(memory, feature.T), NEUTRAL).astype(np.float64)


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
        _correct(track, box, config.box_noise)
    else:
        # The state is kept, but for what even a part of somebody tells: it lies inside the whole.
        whole = _around(_boxes(track.mean[None])[0], box)
        if whole is not None:
            _correct(track, whole, config.part_noise)
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


def _around(
    whole: Float64[np.ndarray, "4"], part: Float64[np.ndarray, "4"]
) -> Float64[np.ndarray, "4"] | None:
    """``whole``, moved as little as it takes to contain ``part``; None where it does already."""
    low = np.minimum(part[:2] - whole[:2], 0)
    high = np.maximum(part[2:] - whole[2:], 0)
    shift = low + high
    return whole + np.tile(shift, 2) if shift.any() else None


def _correct(track: _Track, box: Float64[np.ndarray, "4"], noise_of_height: float) -> None:
    """Kalman's update by the mask's box (Joseph's form)."""
    measured = np.concatenate([(box[:2] + box[2:]) / 2, np.maximum(box[2:] - box[:2], 1.0)])
    noise = np.eye(4) * (noise_of_height * float(track.mean[3])) ** 2
    covariance = track.covariance
    gain = np.linalg.solve(covariance[:4, :4] + noise, covariance[:4]).T
    keep = np.eye(8)
    keep[:, :4] -= gain
    track.mean = track.mean + gain @ (measured - track.mean[:4])
    track.mean[2:4] = np.maximum(track.mean[2:4], 1.0)
    track.covariance = keep @ covariance @ keep.T + gain @ noise @ gain.T


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
    overlap: Overlap,
    limit: float,
) -> Bool[np.ndarray, " N"]:
    """Rows whose mask repeats (by an IoU above ``limit``) that of a better row of its frame."""
    drop = np.zeros(len(frame), dtype=bool)
    edges = np.flatnonzero(np.diff(frame)) + 1
    for rows in np.split(np.arange(len(frame)), edges) if len(frame) else []:
        order = rows[np.argsort(-score[rows], kind="stable")]
        iou = overlap(order, order)
        for position, row in enumerate(order):
            better = np.flatnonzero(~drop[order[:position]])
            drop[row] = bool((iou[position, better] > limit).any())
    return drop
