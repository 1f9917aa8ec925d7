"""`camera_space`'s metrics of a whole video: images are frames, people are matched ones.

Errors are means over matched people who are demanded (`score`), frames weighing by their people;
TA-PVE over those in frames with two or more of them, Pair-PA-MPJPE over all pairs of a frame. F1
counts in every frame what is demanded and what is claimed to be seen, as `tracking_scores` does.
"""

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Final

import numpy as np
from jaxtyping import Float64, Int64
from scipy.optimize import linear_sum_assignment

from multithumbs.body import BodyModel
from multithumbs.evaluation import camera_space, metrics
from multithumbs.evaluation.matching import GATE, Matches
from multithumbs.evaluation.pose_scores import mean, vertices_world
from multithumbs.evaluation.scene import Scene
from multithumbs.evaluation.tracking_scores import demanded

BATCH_ROWS: Final = 64
"""Rows whose vertices are made at a time, more where a frame has more; bounds memory."""

Vertices = Callable[
    [Int64[np.ndarray, " R"], Int64[np.ndarray, " R"]],
    tuple[Float64[np.ndarray, "R V 3"], Float64[np.ndarray, "R V 3"]],
]
"""Vertices of predicted rows and of the true rows that they are matched to, each in its world."""


def of_one_body(predicted: Scene, true: Scene, body: BodyModel) -> Vertices:
    """Both sides' parameters are of one body."""
    return lambda predicted_row, true_row: (
        vertices_world(predicted, predicted_row, body),
        vertices_world(true, true_row, body),
    )


def camera_space_scores(
    predicted: Scene, true: Scene, matches: Matches, hw: tuple[int, int], vertices: Vertices | None
) -> dict[str, float | None]:
    """``mpvpe``, ``pve``, ``abs_pve``, ``ta_pve``, ``pair_pa_mpjpe`` and ``mrpe`` in mm, ``f1``
    in percent; None where nothing can be compared.

    Args:
        predicted: what is scored.
        true: against what.
        matches: of demanded people.
        hw: of the video, pixels.
        vertices: None where the two sides' vertices are not comparable.
    """
    frame = true.frame[matches.true_row]
    joints = (
        predicted.in_camera(predicted.joints_world[matches.predicted_row], frame),
        true.in_camera(true.joints_world[matches.true_row], frame),
    )
    errors = {name: np.full(len(frame), np.nan) for name in ("mpvpe", "pve", "abs_pve", "ta_pve")}
    frames = [np.flatnonzero(frame == index) for index in np.unique(frame)]
    for group in _groups(frames):
        if vertices is None:
            break
        rows = np.concatenate(group)
        sides = vertices(matches.predicted_row[rows], matches.true_row[rows])
        p, t = (s.in_camera(v, frame[rows]) for s, v in zip((predicted, true), sides, strict=True))
        hips = [side[rows][:, metrics.HIPS].mean(1) for side in joints]
        errors["mpvpe"][rows] = metrics.mpvpe_mm(p, t, *hips)
        errors["pve"][rows] = camera_space.pve_mm(p, t, *(side[rows, 0] for side in joints))
        errors["abs_pve"][rows] = camera_space.abs_pve_mm(p, t)
        start = 0
        for image in group:
            part = slice(start, start + len(image))
            errors["ta_pve"][image] = camera_space.ta_pve_mm(p[part], t[part])
            start += len(image)
    pairs = np.array([p for rows in frames for p in combinations(rows, 2)], np.int64).reshape(-1, 2)
    return {name: mean(values) for name, values in errors.items()} | {
        "pair_pa_mpjpe": mean(camera_space.pair_pa_mpjpe_mm(joints[0][pairs], joints[1][pairs])),
        "mrpe": mean(camera_space.mrpe_mm(joints[0][:, 0], joints[1][:, 0])),
        "f1": _f1(predicted, true, hw),
    }


def _groups(frames: list[Int64[np.ndarray, " _"]]) -> Iterator[list[Int64[np.ndarray, " _"]]]:
    """Whole frames together, so many that their rows make a batch."""
    group: list[Int64[np.ndarray, " _"]] = []
    for rows in frames:
        group.append(rows)
        if sum(map(len, group)) >= BATCH_ROWS:
            yield group
            group = []
    if group:
        yield group


def _f1(predicted: Scene, true: Scene, hw: tuple[int, int]) -> float:
    matched = claimed = wanted = 0
    for people in demanded(predicted, true, hw):
        cost = np.minimum(people.distance, 10 * GATE)
        matched += int((cost[linear_sum_assignment(cost)] <= GATE).sum())
        claimed += len(people.predicted_id)
        wanted += len(people.true_id)
    return camera_space.f1_percent(matched, claimed, wanted)
