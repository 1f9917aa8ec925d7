"""Every number of a benchmark's table for one result of one clip with known truth."""

from typing import Final

import numpy as np
from jaxtyping import Float64, Int64

from multithumbs.body import BodyModel
from multithumbs.evaluation import metrics
from multithumbs.evaluation.camera_scores import places_split
from multithumbs.evaluation.camera_space_scores import (
    Vertices,
    camera_space_scores,
    of_one_body,
)
from multithumbs.evaluation.matching import Matches, match
from multithumbs.evaluation.pck import pck_scores
from multithumbs.evaluation.scene import Scene
from multithumbs.evaluation.score import score_scenes
from multithumbs.evaluation.tracking_scores import tracking_scores
from multithumbs.synth.truth import Truth
from multithumbs.types import KEYPOINT_NAMES
from multithumbs.types.outputs import Result

UNITS: Final[dict[str, str]] = {
    "w_mpjpe": "mm",
    "wa_mpjpe": "mm",
    "mpjpe": "mm",
    "pa_mpjpe": "mm",
    "mpvpe": "mm",
    "pve": "mm",
    "abs_pve": "mm",
    "ta_pve": "mm",
    "pair_pa_mpjpe": "mm",
    "mrpe": "mm",
    "f1": "%",
    "accel": "m/s^2",
    "rte": "%",
    "ate": "m",
    "ate_sim3": "m",
    "cut_rotation": "deg",
    "ids": "count",
    "ids_shared": "count",
    "idf1": "%",
    "mota": "%",
    "hota": "%",
    "pck_same": "%",
    "pck_cross": "%",
    "pck_world": "%",
    "jitter": "10 m/s^3",
    "foot_sliding": "mm/frame",
    "recall": "%",
    "cuts_unlinked": "count",
    "cuts_wrongly_linked": "count",
    "places_split": "count",
}
"""Of the table's metrics, in its order."""

MORE_IS_BETTER: Final = frozenset(
    {"f1", "idf1", "mota", "hota", "pck_same", "pck_cross", "pck_world", "recall"}
)
SOLES: Final = tuple(
    index for index, name in enumerate(KEYPOINT_NAMES) if name.endswith(("toe", "heel"))
)


def clip_scores(result: Result, truth: Truth, body: BodyModel) -> dict[str, float | None]:
    """`scene_scores` of a result against the truth of its clip."""
    true, predicted = Scene.of_truth(truth), Scene.of_result(result)
    vertices = of_one_body(predicted, true, body)
    return scene_scores(
        predicted, true, hw=truth.hw, fps=float(truth.fps), body=body, vertices=vertices
    )


def scene_scores(
    predicted: Scene,
    true: Scene,
    *,
    hw: tuple[int, int],
    fps: float,
    body: BodyModel,
    vertices: Vertices | None,
) -> dict[str, float | None]:
    """All of `UNITS`; None where the clip holds nothing to measure.

    ``body`` poses both sides for what needs keypoints; ``vertices``, None where they are not
    comparable, are what MPVPE and the PVEs take.

    ``ids`` counts identity switches across cuts. Unlike `Score.ate_m`, ``ate`` takes all frames
    of one *true* place under one rigid alignment, whatever islands the result put them into: a
    cut that was not linked costs here as it does in W-MPJPE. ``foot_sliding`` follows true
    standing soles from frame to frame, over cuts too. ``rte`` is the mean over people.
    """
    found = score_scenes(predicted, true, hw=hw, fps=fps, body=body)
    matches = match(predicted, true, hw)
    matches = matches.where(true.seen[matches.true_row])
    pck = pck_scores(predicted, true, matches, hw, body)
    tracking = tracking_scores(predicted, true, hw)
    return {
        "w_mpjpe": found.w_mpjpe_mm,
        "wa_mpjpe": found.wa_mpjpe_mm,
        "mpjpe": found.mpjpe_mm,
        "pa_mpjpe": found.pa_mpjpe_mm,
        **camera_space_scores(predicted, true, matches, hw, vertices),
        "accel": found.accel,
        "rte": _rte(predicted, true, matches),
        "ate": place_ate_m(predicted, true, with_scale=False),
        "ate_sim3": place_ate_m(predicted, true, with_scale=True),
        "cut_rotation": found.cut_rotation_mean_deg,
        "ids": float(found.ids),
        "ids_shared": float(found.ids_shared),
        "idf1": tracking.idf1 if tracking else None,
        "mota": tracking.mota if tracking else None,
        "hota": tracking.hota if tracking else None,
        "pck_same": pck.same,
        "pck_cross": pck.cross,
        "pck_world": pck.world,
        "jitter": found.jitter,
        "foot_sliding": _foot_sliding(predicted, true, matches, body),
        "recall": None if found.recall is None else 100 * found.recall,
        "cuts_unlinked": float(found.cuts_unlinked),
        "cuts_wrongly_linked": float(found.cuts_wrongly_linked),
        "places_split": float(places_split(predicted, true)),
    }


def place_ate_m(predicted: Scene, true: Scene, *, with_scale: bool) -> float | None:
    """ATE over all frames of each true place under one alignment, pooled over places; metres."""
    frame = np.intersect1d(predicted.camera_frame, true.camera_frame)
    centres = [s.world_from_cam[s.camera_of(frame), :3, 3] for s in (predicted, true)]
    place = true.space[true.camera_of(frame)]
    squared = 0.0
    for index in np.unique(place):
        mine = place == index
        squared += mine.sum() * metrics.ate_m(
            centres[0][mine], centres[1][mine], with_scale=with_scale
        ) ** 2  # fmt: skip
    return float(np.sqrt(squared / len(frame))) if len(frame) else None


def _people(true: Scene, matches: Matches) -> list[Int64[np.ndarray, " R"]]:
    """Positions in ``matches`` of each true person in each place (in order of frames)."""
    person = true.person[matches.true_row]
    place = true.space[true.camera_of(true.frame[matches.true_row])]
    return [
        np.flatnonzero((person == p) & (place == s))
        for p in np.unique(person)
        for s in np.unique(place[person == p])
    ]


def _rte(predicted: Scene, true: Scene, matches: Matches) -> float | None:
    means = []
    for rows in _people(true, matches):
        roots = [
            scene.joints_world[row[rows], 0]
            for scene, row in ((predicted, matches.predicted_row), (true, matches.true_row))
        ]
        errors = metrics.rte_percent(roots[0], roots[1])
        if np.isfinite(errors).all():
            means.append(errors.mean())
    return float(np.mean(means)) if means else None


def _foot_sliding(predicted: Scene, true: Scene, matches: Matches, body: BodyModel) -> float | None:
    soles = [
        _soles(scene, row, body)
        for scene, row in ((predicted, matches.predicted_row), (true, matches.true_row))
    ]
    values = []
    for rows in _people(true, matches):
        frame = true.frame[matches.true_row[rows]]
        for run in np.split(rows, np.flatnonzero(np.diff(frame) != 1) + 1):
            if len(run) > 1:
                values.append(metrics.foot_sliding_mm(soles[0][run], soles[1][run]))
    joined = np.concatenate(values) if values else np.zeros(0)
    return float(joined.mean()) if len(joined) else None


def _soles(
    scene: Scene, rows: Int64[np.ndarray, " M"], body: BodyModel
) -> Float64[np.ndarray, "M P 3"]:
    pose, betas, transl = (body.tensor(x[rows]) for x in (scene.pose, scene.betas, scene.transl))
    return body.posed(pose, betas, transl).keypoints[:, list(SOLES)].double().numpy()
