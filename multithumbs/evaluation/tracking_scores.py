"""Tracking scores over a whole video, cuts included: IDF1, MOTA, HOTA.

Who can be who is decided by the shared distances of `matching`: a pair beyond its `GATE` is no
pair, and the similarity that HOTA thresholds is ``1 - distance / (2 GATE)``, so that the gate
is its 0.5. Demanded are true people who are visible enough (`Scene.seen`); predicted rows that
bridge a gap claim no sight of anyone and are left out, and so are rows on a true person who is
not demanded (an ignore region, as in CoMotion's evaluation). Values are percentages.

IDF1 (Ristani et al. 2016) and MOTA (Bernardin and Stiefelhagen 2008) are `motmetrics`', HOTA
(Luiten et al., IJCV 2021) is `trackeval`'s, whose authors defined it: both under MIT's licence.
Motmetrics 1.4 has no HOTA. TrackEval asks for an OpenCV build that breaks the headless one, and
none of it is needed here, so no extra can name it; `TRACKEVAL` installs it by itself. Without it
there is no HOTA, and a warning says so.
"""

import contextlib
import importlib.util
import io
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from jaxtyping import Float64, Int64
from scipy.optimize import linear_sum_assignment

from multithumbs.errors import BackendUnavailable
from multithumbs.evaluation.matching import GATE, frame_distances
from multithumbs.evaluation.scene import Scene

logger = logging.getLogger(__name__)

TRACKEVAL: Final = "pip install --no-deps trackeval==1.3.0"


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
    hota: float | None
    """With ``deta`` and ``assa``, its parts; None without `trackeval`."""
    deta: float | None
    assa: float | None


def tracking_scores(predicted: Scene, true: Scene, hw: tuple[int, int]) -> TrackingScores | None:
    """None where nobody is demanded. Raises BackendUnavailable without `motmetrics`."""
    frames = demanded(predicted, true, hw)
    if not any(len(frame.true_id) for frame in frames):
        return None
    idf1, mota = clear_and_identity(frames)
    hota, deta, assa = higher_order(frames) or (None, None, None)
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


def require_motmetrics() -> None:
    """Raises BackendUnavailable without it; to be asked before the hours that it would cost."""
    if importlib.util.find_spec("motmetrics") is None:
        raise BackendUnavailable("IDF1 and MOTA need motmetrics; pip install 'multithumbs[bench]'")


def clear_and_identity(frames: list[FramePeople]) -> tuple[float, float]:
    """IDF1 and MOTA, percent, by `motmetrics`."""
    require_motmetrics()
    import motmetrics

    accumulator = motmetrics.MOTAccumulator(auto_id=True)
    for frame in frames:
        close = np.where(frame.distance <= GATE, frame.distance, np.nan)
        accumulator.update(frame.true_id.tolist(), frame.predicted_id.tolist(), close)
    found = motmetrics.metrics.create().compute(accumulator, metrics=["idf1", "mota"])
    idf1, mota = found[["idf1", "mota"]].to_numpy(dtype=np.float64)[0].tolist()
    return 100 * idf1, 100 * mota


def higher_order(frames: list[FramePeople]) -> tuple[float, float, float] | None:
    """HOTA, DetA and AssA, percent, by `trackeval`; means over its thresholds 0.05 to 0.95.

    None, with a warning, where it is not installed.
    """
    metric = _trackeval_hota()
    if metric is None:
        return None
    found = metric.eval_sequence(trackeval_sequence(frames))
    hota, deta, assa = (100 * float(np.mean(found[name])) for name in ("HOTA", "DetA", "AssA"))
    return hota, deta, assa


def trackeval_sequence(frames: list[FramePeople]) -> Mapping[str, Any]:
    """The frames as TrackEval's metrics take them: identities from 0 on, similarities."""
    true_ids = np.unique(np.concatenate([f.true_id for f in frames]))
    ids = np.unique(np.concatenate([f.predicted_id for f in frames]))
    return {
        "num_timesteps": len(frames),
        "num_gt_ids": len(true_ids),
        "num_tracker_ids": len(ids),
        "num_gt_dets": sum(len(f.true_id) for f in frames),
        "num_tracker_dets": sum(len(f.predicted_id) for f in frames),
        "gt_ids": [np.searchsorted(true_ids, f.true_id) for f in frames],
        "tracker_ids": [np.searchsorted(ids, f.predicted_id) for f in frames],
        "similarity_scores": [np.clip(1 - f.distance / (2 * GATE), 0, 1) for f in frames],
    }


@cache  # asked once per process, so that the warning comes once
def _trackeval_hota() -> Any | None:
    try:
        # Its dataset readers, which nobody asked for, print that they miss their packages.
        with contextlib.redirect_stdout(io.StringIO()):
            from trackeval.metrics.hota import HOTA
    except ImportError:
        logger.warning("HOTA is left out: it needs TrackEval; %s", TRACKEVAL)
        return None
    return HOTA()
