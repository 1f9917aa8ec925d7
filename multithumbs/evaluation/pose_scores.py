"""Pose errors of every matched person-frame."""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Float64, Int64

from multithumbs.body import BodyModel
from multithumbs.evaluation import metrics
from multithumbs.evaluation.alignment import similarity, transform
from multithumbs.evaluation.matching import Matches
from multithumbs.evaluation.scene import Scene

VERTEX_BATCH = 64
"""Rows whose vertices are made at a time; bounds memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseErrors:
    """One value per matched pair; NaN where a metric is not defined (ends of a sequence)."""

    w_mpjpe_mm: Float64[np.ndarray, " M"]
    wa_mpjpe_mm: Float64[np.ndarray, " M"]
    w_mpjpe_unchunked_mm: Float64[np.ndarray, " M"]
    mpjpe_mm: Float64[np.ndarray, " M"]
    pa_mpjpe_mm: Float64[np.ndarray, " M"]
    mpvpe_mm: Float64[np.ndarray, " M"]
    accel: Float64[np.ndarray, " M"]
    jitter: Float64[np.ndarray, " M"]
    scene_mpjpe_mm: Float64[np.ndarray, " M"]

    def means(self, rows: Bool[np.ndarray, " M"] | None = None) -> dict[str, float | None]:
        """Mean of each metric over ``rows`` (all by default); None where it has no value."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: mean(v if rows is None else v[rows]) for name, v in values.items()}


def pose_errors(
    predicted: Scene, true: Scene, matches: Matches, *, fps: float, body: BodyModel
) -> PoseErrors:
    """All metrics of all pairs (sorted by true person, then frame)."""
    frame = true.frame[matches.true_row]
    joints = predicted.joints_world[matches.predicted_row], true.joints_world[matches.true_row]
    in_camera = predicted.in_camera(joints[0], frame), true.in_camera(joints[1], frame)
    errors = PoseErrors(
        mpjpe_mm=metrics.mpjpe_mm(*in_camera),
        pa_mpjpe_mm=metrics.pa_mpjpe_mm(*in_camera),
        mpvpe_mm=_vertex_errors(predicted, true, matches, body),
        **{name: np.full(len(frame), np.nan) for name in _IN_WORLD},
    )
    place = true.space[true.camera_of(frame)]
    for rows in _groups(true.person[matches.true_row], place):
        _fill_sequence(errors, rows, joints[0][rows], joints[1][rows], frame[rows], fps)
    for rows in _groups(place):
        aligned = _rigidly_aligned(joints[0][rows], joints[1][rows])
        errors.scene_mpjpe_mm[rows] = 1e3 * metrics.joint_distance(aligned, joints[1][rows])
    return errors


_IN_WORLD = (
    "w_mpjpe_mm", "wa_mpjpe_mm", "w_mpjpe_unchunked_mm", "accel", "jitter", "scene_mpjpe_mm",
)  # fmt: skip


def _fill_sequence(
    errors: PoseErrors,
    rows: Int64[np.ndarray, " R"],
    predicted: Float64[np.ndarray, "R 24 3"],
    true: Float64[np.ndarray, "R 24 3"],
    frame: Int64[np.ndarray, " R"],
    fps: float,
) -> None:
    """World metrics of one true person in one place."""
    errors.w_mpjpe_mm[rows] = metrics.w_mpjpe_mm(predicted, true, frame=frame)
    errors.wa_mpjpe_mm[rows] = metrics.wa_mpjpe_mm(predicted, true, frame=frame)
    errors.w_mpjpe_unchunked_mm[rows] = metrics.w_mpjpe_mm(predicted, true, chunk_frames=None)
    aligned = _rigidly_aligned(predicted, true)
    for run in _consecutive(frame):
        if len(run) > 2:
            accel = metrics.accel_mps2(aligned[run], true[run], fps, pelvis=None)
            errors.accel[rows[run[1:-1]]] = accel
        if len(run) > 3:
            errors.jitter[rows[run[2:-1]]] = metrics.jitter(predicted[run], fps)


def _rigidly_aligned(
    predicted: Float64[np.ndarray, "R J 3"], true: Float64[np.ndarray, "R J 3"]
) -> Float64[np.ndarray, "R J 3"]:
    """All joints of all frames under one rigid transform to the truth."""
    flat = true.reshape(-1, 3), predicted.reshape(-1, 3)
    return transform(similarity(*flat, with_scale=False), predicted)


def _vertex_errors(
    predicted: Scene, true: Scene, matches: Matches, body: BodyModel
) -> Float64[np.ndarray, " M"]:
    """MPVPE along the axes of each one's own camera, from the middle of the hips."""
    errors = np.empty(len(matches.true_row))
    for start in range(0, len(errors), VERTEX_BATCH):
        batch = slice(start, start + VERTEX_BATCH)
        frame = true.frame[matches.true_row[batch]]
        sides = []
        for scene, row in ((predicted, matches.predicted_row), (true, matches.true_row)):
            row = row[batch]
            hips = scene.joints_world[row][:, metrics.HIPS].mean(1)
            offsets = vertices_world(scene, row, body) - hips[:, None]
            rotation = scene.world_from_cam[scene.camera_of(frame)][:, :3, :3]
            sides.append(offsets @ rotation)
        origin = np.zeros((len(frame), 3))
        errors[batch] = metrics.mpvpe_mm(sides[0], sides[1], origin, origin)
    return errors


def vertices_world(
    scene: Scene, rows: Int64[np.ndarray, " R"], body: BodyModel
) -> Float64[np.ndarray, "R V 3"]:
    """Vertices of these rows in the scene's world, metres."""
    pose, betas, transl = (body.tensor(x[rows]) for x in (scene.pose, scene.betas, scene.transl))
    return body.vertices(pose, betas, transl).double().numpy()


def _groups(*keys: Int64[np.ndarray, " M"]) -> Iterator[Int64[np.ndarray, " R"]]:
    """Rows that agree in all keys, in order."""
    table = np.stack(keys, axis=1)
    _, inverse = np.unique(table, axis=0, return_inverse=True)
    for group in range(inverse.max(initial=-1) + 1):
        yield np.flatnonzero(inverse.reshape(-1) == group)


def _consecutive(frame: Int64[np.ndarray, " R"]) -> list[Int64[np.ndarray, " Q"]]:
    """Positions of the runs of frames without a gap."""
    return np.split(np.arange(len(frame)), np.flatnonzero(np.diff(frame) != 1) + 1)


def mean(values: Float64[np.ndarray, " M"]) -> float | None:
    """Mean of the values that exist; None where there is none."""
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else None
