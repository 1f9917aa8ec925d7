"""A result against a dataset's truth, or by itself where there is none."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64
from scipy.optimize import linear_sum_assignment

from multithumbs.body import BodyModel
from multithumbs.errors import ArtifactError
from multithumbs.evaluation import metrics
from multithumbs.evaluation.camera_space_scores import Vertices
from multithumbs.evaluation.clip_scores import SOLES, scene_scores
from multithumbs.evaluation.datasets.sequence import EvalSequence, TrueScene
from multithumbs.evaluation.matching import GATE
from multithumbs.evaluation.pck import correct_keypoints, transferred
from multithumbs.evaluation.pose_scores import vertices_world
from multithumbs.evaluation.scene import Scene
from multithumbs.io.artifacts import read_artifact
from multithumbs.types import Detections, Keypoints

CONFIDENT = 0.5
"""2D keypoints below it say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Somebody's result."""

    scene: Scene
    body: BodyModel
    """What its parameters are posed with."""
    is_smpl: bool
    """Whether its parameters are of SMPL itself: only then its vertices are comparable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sights:
    """2D keypoints as a detector sees them: what a clip without truth is judged by."""

    frame: Int64[np.ndarray, " N"]
    uv: Float64[np.ndarray, "N 23 2"]
    confidence: Float64[np.ndarray, "N 23"]
    shot_start: Int64[np.ndarray, " S"]
    """Whoever's result is judged: many programs name no cuts."""


def scores_of(
    prediction: Prediction, sequence: EvalSequence, sights: Sights | None = None
) -> dict[str, float | None]:
    """Metrics of `clip_scores.UNITS`; None where a number would be none or a false one.

    Raises:
        ArtifactError: the result shares no frame with the truth, or holds no camera.
    """
    if len(prediction.scene.camera_frame) == 0:
        raise ArtifactError(f"the result of {sequence.name} holds no camera; nothing to score")
    if sequence.truth is None:
        return wild_scores(prediction, fps=sequence.fps, sights=sights, hw=sequence.hw)
    predicted = _in_frames(prediction.scene, sequence.truth.scene.camera_frame)
    if len(predicted.camera_frame) == 0:
        raise ArtifactError(
            f"the result of {sequence.name} and its truth share no frame; expected a result of "
            "the video that this command wrote"
        )
    return scene_scores(
        predicted,
        sequence.truth.scene,
        hw=sequence.hw,
        fps=sequence.fps,
        body=prediction.body,
        vertices=_vertices(replace(prediction, scene=predicted), sequence.truth),
    )


def _in_frames(scene: Scene, frames: Int64[np.ndarray, " T"]) -> Scene:
    """Without what lies in frames that have no truth."""
    rows, cameras = np.isin(scene.frame, frames), np.isin(scene.camera_frame, frames)
    of_rows = ("person", "frame", "seen", "pose", "betas", "transl", "joints_world")
    of_cameras = ("camera_frame", "K", "world_from_cam", "space")
    return replace(
        scene,
        **{name: getattr(scene, name)[rows] for name in of_rows},
        **{name: getattr(scene, name)[cameras] for name in of_cameras},
    )


def _vertices(prediction: Prediction, truth: TrueScene) -> Vertices | None:
    """Each one's vertices by their own body; None where either body is not SMPL's."""
    if not (prediction.is_smpl and truth.has_vertices):
        return None

    def make(
        predicted_row: Int64[np.ndarray, " R"], true_row: Int64[np.ndarray, " R"]
    ) -> tuple[Float64[np.ndarray, "R V 3"], Float64[np.ndarray, "R V 3"]]:
        predicted = vertices_world(prediction.scene, predicted_row, prediction.body)
        true = np.empty_like(predicted)
        person = truth.scene.person[true_row]
        for number in np.unique(person).tolist():
            body, rows = truth.bodies[number], np.flatnonzero(person == number)
            if body is None or len(body.v_template) != predicted.shape[1]:
                raise ArtifactError(f"person {number}'s body has other vertices than the result's")
            true[rows] = vertices_world(truth.scene, true_row[rows], body)
        return predicted, true

    return make


def wild_scores(
    prediction: Prediction, *, fps: float, sights: Sights | None, hw: tuple[int, int]
) -> dict[str, float | None]:
    """PCK*, Jitter and FS of a video without truth (paper, Table 4).

    *PCK\\** moves everybody's articulated pose over each cut that we found, in both directions,
    as `pck` does, and compares with the 2D keypoints that a detector saw there (Pavlakos et al.
    2022 had theirs corrected by hand). People count whom the result holds on both sides under
    one identity and a detection confirms. *Jitter* is each person's in the world, cuts included.
    *FS* has no published definition without a truth: here, of each person's sole points, the one
    that moves least from a frame to the next stands; its movement is the slide, in mm a frame.
    """
    scene, body = prediction.scene, prediction.body
    keypoints = _keypoints(scene, body)
    jitters, slides = [], []
    for rows in _runs(scene):
        if len(rows) > 3:
            jitters.append(metrics.jitter(scene.joints_world[rows], fps))
        soles = keypoints[rows][:, list(SOLES)]
        slides.append(1e3 * np.linalg.norm(np.diff(soles, axis=0), axis=-1).min(1, initial=np.inf))
    return {
        "pck_cross": None if sights is None else _wild_pck(prediction, keypoints, sights, hw),
        "jitter": _mean(jitters),
        "foot_sliding": _mean(slides),
    }


def _mean(parts: list[np.ndarray]) -> float | None:
    joined = np.concatenate(parts) if parts else np.zeros(0)
    return float(joined.mean()) if len(joined) else None


def _runs(scene: Scene) -> Iterator[Int64[np.ndarray, " R"]]:
    """Rows of one person in one world, of consecutive frames."""
    space = scene.space[scene.camera_of(scene.frame)]
    order = np.lexsort((scene.frame, scene.person))
    person, frame, space = scene.person[order], scene.frame[order], space[order]
    new = (np.diff(person) != 0) | (np.diff(frame) != 1) | (np.diff(space) != 0)
    yield from (run for run in np.split(order, np.flatnonzero(new) + 1) if len(run))


def _keypoints(scene: Scene, body: BodyModel) -> Float64[np.ndarray, "N 23 3"]:
    tensors = (body.tensor(x) for x in (scene.pose, scene.betas, scene.transl))
    return body.posed(*tensors).keypoints.double().numpy()


def _wild_pck(
    prediction: Prediction,
    keypoints: Float64[np.ndarray, "N 23 3"],
    sights: Sights,
    hw: tuple[int, int],
) -> float | None:
    scene, values = prediction.scene, []
    for start in sights.shot_start[1:].tolist():
        for source, target in ((start - 1, start), (start, start - 1)):
            here = {int(scene.person[r]): int(r) for r in np.flatnonzero(scene.frame == target)}
            there = {int(scene.person[r]): int(r) for r in np.flatnonzero(scene.frame == source)}
            both = [(there[p], here[p]) for p in sorted(here) if p in there]
            if not both:
                continue
            taken, put = np.array(both, np.int64).T
            seen = np.flatnonzero(sights.frame == target)
            counts = (sights.confidence[seen] >= CONFIDENT) & (
                (sights.uv[seen] >= 0) & (sights.uv[seen] < np.array(hw[::-1]))
            ).all(-1)
            frame = np.full(len(both), target, np.int64)
            own = scene.project(keypoints[put], frame)
            pairs = _confirmed(own, sights.uv[seen], counts)
            if not len(pairs):
                continue
            i, j = pairs.T
            _, carried = transferred(scene, taken[i], put[i], prediction.body)
            moved = scene.project(carried, frame[i])
            values.append(correct_keypoints(moved, sights.uv[seen][j], counts[j]))
    share = _mean(values)
    return None if share is None else 100 * share


def _confirmed(
    uv: Float64[np.ndarray, "P 23 2"],
    seen: Float64[np.ndarray, "D 23 2"],
    counts: np.ndarray,
) -> Int64[np.ndarray, "M 2"]:
    """Pairs (prediction, detection) whose keypoints lie together in the picture."""
    cost = np.full((len(uv), len(seen)), 10 * GATE)
    for d in np.flatnonzero(counts.sum(1) >= 4):
        points = seen[d][counts[d]]
        diagonal = max(float(np.linalg.norm(np.ptp(points, axis=0))), 1.0)
        away = np.linalg.norm(uv[:, counts[d]] - points, axis=-1).mean(1) / diagonal
        cost[:, d] = np.minimum(np.nan_to_num(away, nan=10 * GATE), 10 * GATE)
    i, j = linear_sum_assignment(cost)
    good = cost[i, j] <= GATE
    return np.stack([i[good], j[good]], axis=1).astype(np.int64)


def sights_of(stages: Path, shots: Iterable[tuple[int, int]]) -> Sights | None:
    """2D keypoints that a run left in its ``stages`` folder for these shots (start, end); None
    where it left none. Folders of other shots are an earlier run's.

    Raises:
        ArtifactError: an artifact is damaged or half there.
    """
    parts: list[tuple[Detections, Keypoints]] = []
    intervals = sorted(shots)
    for start, end in intervals:
        name = f"{start:06d}-{end:06d}"
        if (stages / "keypoints" / name).is_dir():
            detections = read_artifact(stages / "detections" / name, Detections)
            parts.append((detections, read_artifact(stages / "keypoints" / name, Keypoints)))
    if not parts:
        return None
    return Sights(
        frame=np.concatenate([detections.frame for detections, _ in parts]),
        uv=np.concatenate([keypoints.uv for _, keypoints in parts]),
        confidence=np.concatenate([keypoints.confidence for _, keypoints in parts]),
        shot_start=np.array([start for start, _ in intervals], np.int64),
    )
