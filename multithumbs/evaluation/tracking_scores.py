"""Tracking scores over a whole video, cuts included: IDF1, MOTA, HOTA.

Who can be who is decided by the shared distances of `matching`: a pair beyond its `GATE` is no
pair, and the similarity that HOTA thresholds is ``1 - distance / (2 GATE)``, so that the gate
is its 0.5. Demanded are true people who are visible enough (`Scene.seen`); predicted rows that
bridge a gap claim no sight of anyone and are left out, and so are rows on a true person who is
not demanded (an ignore region, as in CoMotion's evaluation). Values are percentages.

IDF1 (Ristani et al. 2016) and MOTA (Bernardin and Stiefelhagen 2008) are `motmetrics`'. HOTA
(Luiten et al., IJCV 2021) is ours, because `motmetrics` 1.4 has none and `trackeval` needs an
OpenCV build that conflicts with the headless one.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from scipy.optimize import linear_sum_assignment

from multithumbs.errors import BackendUnavailable
from multithumbs.evaluation.matching import GATE, frame_distances
from multithumbs.evaluation.scene import Scene

ALPHAS = np.arange(0.05, 0.96, 0.05)


@dataclass(frozen=True, slots=True, kw_only=True)
class FramePeople:
    """One frame: identities on both sides, and how far apart they are."""

    true_id: Int64[np.ndarray, " Q"]
    predicted_id: Int64[np.ndarray, " P"]
    distance: Float64[np.ndarray, "Q P"]
    """As `matching`'s; infinite where nothing can be compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingScores:
    """Percentages."""

    idf1: float
    mota: float
    hota: float
    deta: float
    assa: float


def tracking_scores(predicted: Scene, true: Scene, hw: tuple[int, int]) -> TrackingScores | None:
    """None where nobody is demanded. Raises BackendUnavailable without `motmetrics`."""
    frames = demanded(predicted, true, hw)
    if not any(len(frame.true_id) for frame in frames):
        return None
    idf1, mota = clear_and_identity(frames)
    hota, deta, assa = higher_order(frames)
    return TrackingScores(idf1=idf1, mota=mota, hota=hota, deta=deta, assa=assa)


def demanded(predicted: Scene, true: Scene, hw: tuple[int, int]) -> list[FramePeople]:
    """Every frame with those rows that count."""
    frames = []
    for _, t, p, distance in frame_distances(predicted, true, hw):
        keep = predicted.seen[p]
        if len(t) and len(p):
            rows, columns = linear_sum_assignment(np.minimum(distance, 10 * GATE))
            ignored = (distance[rows, columns] <= GATE) & ~true.seen[t[rows]]
            keep = keep.copy()
            keep[columns[ignored]] = False
        frames.append(
            FramePeople(
                true_id=true.person[t[true.seen[t]]],
                predicted_id=predicted.person[p[keep]],
                distance=distance[true.seen[t]][:, keep],
            )
        )
    return frames


def clear_and_identity(frames: list[FramePeople]) -> tuple[float, float]:
    """IDF1 and MOTA, percent, by `motmetrics`."""
    try:
        import motmetrics
    except ImportError as error:
        raise BackendUnavailable(
            "IDF1 and MOTA need motmetrics; pip install 'multithumbs[bench]'"
        ) from error
    accumulator = motmetrics.MOTAccumulator(auto_id=True)
    for frame in frames:
        close = np.where(frame.distance <= GATE, frame.distance, np.nan)
        accumulator.update(frame.true_id.tolist(), frame.predicted_id.tolist(), close)
    found = motmetrics.metrics.create().compute(accumulator, metrics=["idf1", "mota"])
    idf1, mota = found[["idf1", "mota"]].to_numpy(dtype=np.float64)[0].tolist()
    return 100 * idf1, 100 * mota


def higher_order(frames: list[FramePeople]) -> tuple[float, float, float]:
    """HOTA, DetA and AssA, percent, averaged over the thresholds 0.05 to 0.95.

    In every frame people are matched once, in favour of pairs that go together throughout the
    video (the paper's "global alignment"), and a match counts at every threshold that its
    similarity reaches.
    """
    true_ids = np.unique(np.concatenate([f.true_id for f in frames]))
    ids = np.unique(np.concatenate([f.predicted_id for f in frames]))
    true_count, count = np.zeros(len(true_ids)), np.zeros(len(ids))
    together = np.zeros((len(true_ids), len(ids)))
    indexed = []
    for frame in frames:
        t = np.searchsorted(true_ids, frame.true_id)
        p = np.searchsorted(ids, frame.predicted_id)
        similarity = np.clip(1 - frame.distance / (2 * GATE), 0, 1)
        true_count[t] += 1
        count[p] += 1
        total = similarity.sum(1, keepdims=True) + similarity.sum(0, keepdims=True) - similarity
        np.add.at(together, (t[:, None], p[None]), similarity / np.where(total > 0, total, np.inf))
        indexed.append((t, p, similarity))
    alignment = together / np.maximum(true_count[:, None] + count[None] - together, 1e-9)
    matched = np.zeros((len(ALPHAS), len(true_ids), len(ids)))
    for t, p, similarity in indexed:
        rows, columns = linear_sum_assignment(
            alignment[t[:, None], p[None]] * similarity, maximize=True
        )
        reached = similarity[rows, columns] >= ALPHAS[:, None] - 1e-9
        for index, (row, column) in enumerate(zip(rows, columns, strict=True)):
            matched[:, t[row], p[column]] += reached[:, index]
    hits = matched.sum((1, 2))
    misses, false = true_count.sum() - hits, count.sum() - hits
    detection = hits / np.maximum(hits + misses + false, 1)
    union = true_count[:, None] + count[None] - matched
    association = (matched * matched / np.maximum(union, 1)).sum((1, 2)) / np.maximum(hits, 1)
    hota = np.sqrt(detection * association)
    means = [100 * float(values.mean()) for values in (hota, detection, association)]
    return means[0], means[1], means[2]
