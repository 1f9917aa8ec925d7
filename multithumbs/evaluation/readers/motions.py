"""One person's motion as another program gives it, and many of them as a `Scene`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.spatial.transform import Rotation

from multithumbs.body import BodyModel
from multithumbs.body.placement import carried, rest_pelvis
from multithumbs.errors import ArtifactError
from multithumbs.evaluation.metrics import HIPS
from multithumbs.evaluation.scene import Scene

SMPLX_PELVIS_M: Final = (0.0031, -0.3514, 0.0120)
"""Of the unposed neutral SMPL-X body of mean shape; other shapes move it by a centimetre or two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """One person's rows, SMPL's parameters in ``cam`` or in a world (the reader says which)."""

    person: int
    frame: Int64[np.ndarray, " L"]
    pose: Float64[np.ndarray, "L 24 3"]
    betas: Float64[np.ndarray, "L 10"]
    transl: Float64[np.ndarray, "L 3"]
    """smplx's."""
    seen: Bool[np.ndarray, " L"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraPath:
    """A camera per frame."""

    frame: Int64[np.ndarray, " T"]
    K: Float64[np.ndarray, "T 3 3"]
    world_from_cam: Float64[np.ndarray, "T 4 4"]


def motion_of(
    person: int, frame: Any, pose: Any, betas: Any, transl: Any, seen: Any = None
) -> Motion:
    """A `Motion` from whatever shapes programs use.

    ``pose`` has L rows of 22 to 24 or 52 or 55 axis-angles, or rotation matrices (L, 24, 3, 3).
    Of SMPL-H and SMPL-X the 22 joints that they share with SMPL are taken; SMPL's two hand
    joints stay straight. ``betas`` are padded or cut to 10; SMPL-X's mean another, similar
    space, and are taken as if they were SMPL's.

    Raises:
        ArtifactError: the arrays do not belong together.
    """
    frame = np.asarray(frame).reshape(-1).astype(np.int64)
    count = len(frame)
    pose = np.asarray(pose, np.float64)
    if pose.ndim == 4:
        pose = Rotation.from_matrix(pose.reshape(-1, 3, 3)).as_rotvec().reshape(len(pose), -1, 3)
    if pose.size % max(3 * count, 1) or pose.size // max(3 * count, 1) < 22:
        raise ArtifactError(
            f"person {person} has a pose of shape {pose.shape} for {count} frames; expected at "
            "least 22 rotations a frame"
        )
    joints = pose.reshape(count, -1, 3)
    whole = np.zeros((count, 24, 3))
    shared = 24 if joints.shape[1] == 24 else 22
    whole[:, :shared] = joints[:, :shared]
    betas = np.asarray(betas, np.float64)
    betas = np.broadcast_to(betas.reshape(-1, betas.shape[-1]), (count, betas.shape[-1]))
    ten = np.zeros((count, 10))
    ten[:, : min(10, betas.shape[1])] = betas[:, :10]
    return Motion(
        person=person,
        frame=frame,
        pose=whole,
        betas=ten,
        transl=np.asarray(transl, np.float64).reshape(count, 3),
        seen=np.ones(count, bool) if seen is None else np.asarray(seen, bool).reshape(count),
    )


def moved(motion: Motion, a_from_b: Float64[np.ndarray, "L 4 4"], body: BodyModel) -> Motion:
    """A motion in frame ``b`` in frame ``a``; SMPL turns about its pelvis, not its origin."""
    pose, transl = carried(body, motion.pose, motion.betas, motion.transl, a_from_b)
    return replace(motion, pose=pose, transl=transl)


def of_smplx(motion: Motion, body: BodyModel) -> Motion:
    """SMPL-X's parameters with a ``transl`` that puts SMPL's pelvis where SMPL-X's is.

    Both stand at the unposed pelvis plus ``transl``, but the two bodies' origins lie 13 cm apart.
    """
    pelvis = np.array(SMPLX_PELVIS_M) + motion.transl
    return replace(motion, transl=pelvis - rest_pelvis(body, motion.betas))


def at_hips(motion: Motion, body: BodyModel) -> Motion:
    """A motion whose ``transl`` is where the middle of the hips is, with smplx's instead."""
    joints = _joints(motion.pose, motion.betas, np.zeros_like(motion.transl), body)
    return replace(motion, transl=motion.transl - joints[:, HIPS].mean(1))


def relating(
    in_a: Motion, in_b: Motion, body: BodyModel
) -> tuple[Int64[np.ndarray, " L"], Float64[np.ndarray, "L 4 4"]]:
    """Frames and ``a_from_b`` that carry one body's pose in ``b`` onto its pose in ``a``."""
    a_from_body, b_from_body = _from_body(in_a, body), _from_body(in_b, body)
    return in_a.frame, a_from_body @ np.linalg.inv(b_from_body)


def _from_body(motion: Motion, body: BodyModel) -> Float64[np.ndarray, "L 4 4"]:
    found = np.tile(np.eye(4), (len(motion.frame), 1, 1))
    found[:, :3, :3] = Rotation.from_rotvec(motion.pose[:, 0]).as_matrix()
    found[:, :3, 3] = rest_pelvis(body, motion.betas) + motion.transl
    return found


def scene_of(
    motions: Sequence[Motion],
    cameras: CameraPath,
    body: BodyModel,
    *,
    shot_start: Int64[np.ndarray, " S"] | None = None,
) -> Scene:
    """Motions in the world of ``cameras``. Rows of frames without a camera are left out, and so
    are rows that are not finite: who is nowhere was not found.

    Raises:
        ArtifactError: a camera is not finite, or somebody stands twice in one frame.
    """
    for values in (cameras.K, cameras.world_from_cam):
        if not np.isfinite(values).all():
            raise ArtifactError("a camera is not finite; expected numbers in every frame")
    order = np.argsort(cameras.frame)
    frames = cameras.frame[order]
    kept = [m for m in motions if len(m.frame)]

    def joined(name: str, empty: tuple[int, ...], dtype: type = np.float64) -> np.ndarray:
        parts = [getattr(m, name) for m in kept]
        return np.concatenate(parts) if parts else np.zeros((0, *empty), dtype)

    person = np.concatenate([np.full(len(m.frame), m.person) for m in kept] or [np.zeros(0)])
    frame = joined("frame", (), np.int64)
    shapes = {"pose": (24, 3), "betas": (10,), "transl": (3,)}
    values = {name: joined(name, shape) for name, shape in shapes.items()}
    finite = [np.isfinite(v).reshape(len(v), -1).all(1) for v in values.values()]
    rows = np.flatnonzero(np.isin(frame, frames) & np.all(finite, axis=0))
    rows = rows[np.lexsort((frame[rows], person[rows]))]
    again = (np.diff(person[rows]) == 0) & (np.diff(frame[rows]) == 0)
    if again.any():
        row = rows[int(np.argmax(again))]
        raise ArtifactError(f"person {int(person[row])} stands twice in frame {int(frame[row])}")
    pose, betas, transl = (v[rows] for v in values.values())
    return Scene(
        person=person[rows].astype(np.int64),
        frame=frame[rows],
        seen=joined("seen", (), bool)[rows],
        pose=pose,
        betas=betas,
        transl=transl,
        joints_world=_joints(pose, betas, transl, body),
        camera_frame=frames,
        K=cameras.K[order],
        world_from_cam=cameras.world_from_cam[order],
        space=np.zeros(len(frames), np.int64),
        shot_start=np.array([frames.min(initial=0)], np.int64)
        if shot_start is None
        else shot_start,
    )


def _joints(
    pose: Float64[np.ndarray, "N 24 3"],
    betas: Float64[np.ndarray, "N 10"],
    transl: Float64[np.ndarray, "N 3"],
    body: BodyModel,
) -> Float64[np.ndarray, "N 24 3"]:
    if len(pose) == 0:
        return np.zeros((0, 24, 3))
    posed = body.posed(*(body.tensor(values) for values in (pose, betas, transl)))
    return posed.joints.double().numpy(force=True)


def intrinsics(focal: Any, centre: tuple[float, float], count: int) -> Float64[np.ndarray, "T 3 3"]:
    """Equal focal lengths along both axes, pixels."""
    K = np.zeros((count, 3, 3))
    K[:, 0, 0] = K[:, 1, 1] = np.asarray(focal, np.float64).reshape(-1)
    K[:, :2, 2], K[:, 2, 2] = centre, 1
    return K


def camera_path(
    rotation: np.ndarray, centre: np.ndarray, K: np.ndarray, frame: np.ndarray | None = None
) -> CameraPath:
    """From rotations ``world_cam_R`` (T, 3, 3) and centres in the world; frames from 0 on."""
    count = len(rotation)
    world_from_cam = np.tile(np.eye(4), (count, 1, 1))
    world_from_cam[:, :3, :3] = rotation
    world_from_cam[:, :3, 3] = np.asarray(centre).reshape(count, 3)
    frame = np.arange(count) if frame is None else frame
    return CameraPath(frame=frame.astype(np.int64), K=K, world_from_cam=world_from_cam)


def field(content: Any, *names: str) -> Any:
    """An entry at some depth. Raises ArtifactError that says which is missing."""
    found = content
    for depth, name in enumerate(names):
        if not isinstance(found, Mapping) or name not in found:
            raise ArtifactError(
                f"the result lacks '{'/'.join(names[: depth + 1])}'; expected the file that the "
                "program itself wrote"
            )
        found = found[name]
    return found
