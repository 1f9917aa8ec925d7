"""The exact truth of a scene: SMPL parameters, cameras, cuts, identities, who is visible."""

import zipfile
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64

from multithumbs.body import BodyModel
from multithumbs.errors import ArtifactError
from multithumbs.render.raycast import Mesh, cast
from multithumbs.synth.cameras import trajectory
from multithumbs.synth.motion import RestShape, animate
from multithumbs.synth.room import build_room
from multithumbs.synth.scene import Scene

SCHEMA = "multithumbs-truth-1"

MIN_VISIBLE_FRACTION = 0.10
"""A person of whom less than this share of the silhouette shows counts as not visible."""

VISIBILITY_ROWS = 180
"""Visibility is counted on a grid of about this many rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Rows N: every actor in every frame of their room, seen or not; by person, then frame.

    The world is metres, +y up, floor at y = 0; each room is a world of its own.
    """

    person: Int64[np.ndarray, " N"]
    frame: Int64[np.ndarray, " N"]
    shot: Int64[np.ndarray, " N"]
    pose: Float64[np.ndarray, "N 24 3"]
    """SMPL axis-angle; row 0 is the global orientation in the world."""
    betas: Float64[np.ndarray, "N 10"]
    transl: Float64[np.ndarray, "N 3"]
    joints_world: Float64[np.ndarray, "N 24 3"]
    visible_fraction: Float64[np.ndarray, " N"]
    """Pixels that show the person over pixels they would cover alone on an endless image."""
    visible: Bool[np.ndarray, " N"]
    K: Float64[np.ndarray, "T 3 3"]
    world_from_cam: Float64[np.ndarray, "T 4 4"]
    shot_start: Int64[np.ndarray, " S"]
    shot_end: Int64[np.ndarray, " S"]
    shot_room: Int64[np.ndarray, " S"]
    """Shots of different rooms are different places."""
    names: tuple[str, ...]
    """Of the persons."""
    fps: Fraction
    hw: tuple[int, int]
    body_model: str
    body_sha256: str

    @property
    def num_frames(self) -> int:
        return len(self.K)

    def shot_of_frame(self, frame: int) -> int:
        """Index of the shot that shows a frame."""
        return int(np.searchsorted(self.shot_start, frame, side="right") - 1)

    def row(self, person: int, frame: int) -> int | None:
        """The row of one person in one frame; None if they are elsewhere."""
        found = np.flatnonzero((self.person == person) & (self.frame == frame))
        return int(found[0]) if len(found) else None

    def save(self, path: Path) -> None:
        """Write an npz without pickles. `ArtifactError` if it cannot be written."""
        arrays: dict[str, np.ndarray] = {"schema": np.array(SCHEMA)}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Fraction):
                value = (value.numerator, value.denominator)
            arrays[field.name] = np.array(value)
        try:
            np.savez_compressed(path, allow_pickle=False, **arrays)
        except OSError as error:
            raise ArtifactError(f"cannot write {path}: {error.strerror}") from error

    @classmethod
    def load(cls, path: Path) -> "Truth":
        """Read what `save` wrote. `ArtifactError` if it is missing, damaged or another file."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                values = {field.name: stored[field.name] for field in fields(cls)}
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise ArtifactError(
                f"{path} is not a truth file or is damaged; expected one that `multithumbs demo` "
                "wrote: make it again"
            ) from error
        numerator, denominator = values["fps"].tolist()
        plain = {
            "names": tuple(values["names"].tolist()),
            "fps": Fraction(numerator, denominator),
            "hw": tuple(values["hw"].tolist()),
            "body_model": str(values["body_model"]),
            "body_sha256": str(values["body_sha256"]),
        }
        return cls(**(values | plain))


def truth_of(scene: Scene, body: BodyModel, *, with_visibility: bool = True) -> Truth:
    """Play a scene without rendering it; without visibility everyone counts as visible."""
    cameras = [
        trajectory(shot.camera, scene.times[shot.start : shot.end], scene.hw)
        for shot in scene.shots
    ]
    K, world_from_cam = (np.concatenate(parts) for parts in zip(*cameras, strict=True))
    parts: list[dict[str, np.ndarray]] = []
    for index, actor in enumerate(scene.actors):
        betas = np.array(actor.betas)
        motion = animate(actor.script, RestShape.of(body, betas), scene.times)
        frames = np.concatenate(
            [np.arange(s.start, s.end) for s in scene.shots if index in scene.cast_of(s)]
            or [np.zeros(0, np.int64)]
        )
        parts.append(
            {
                "person": np.full(len(frames), index),
                "frame": frames,
                "pose": motion.pose[frames],
                "betas": np.tile(betas, (len(frames), 1)),
                "transl": motion.transl[frames],
            }
        )
    rows = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    starts = np.array([shot.start for shot in scene.shots])
    pose, betas, transl = (
        torch.from_numpy(rows[name]).to(body.dtype) for name in ("pose", "betas", "transl")
    )
    fraction = np.ones(len(rows["frame"]))
    if with_visibility:
        fraction = _visible_fractions(scene, body, rows, K, world_from_cam)
    return Truth(
        **rows,
        shot=np.searchsorted(starts, rows["frame"], side="right") - 1,
        joints_world=body.posed(pose, betas, transl).joints.numpy().astype(np.float64),
        visible_fraction=fraction,
        visible=fraction >= MIN_VISIBLE_FRACTION,
        K=K,
        world_from_cam=world_from_cam,
        shot_start=starts,
        shot_end=np.array([shot.end for shot in scene.shots]),
        shot_room=np.array([shot.room for shot in scene.shots]),
        names=tuple(actor.name for actor in scene.actors),
        fps=scene.fps,
        hw=scene.hw,
        body_model=body.name,
        body_sha256=body.sha256,
    )


def vertices_of(truth: Truth, body: BodyModel, row: int) -> Float64[np.ndarray, "V 3"]:
    """World vertices of one row (the true body, without clothes)."""
    pose, betas, transl = (
        torch.from_numpy(values[row]).to(body.dtype)
        for values in (truth.pose, truth.betas, truth.transl)
    )
    return body.vertices(pose, betas, transl).numpy().astype(np.float64)


def _visible_fractions(
    scene: Scene,
    body: BodyModel,
    rows: dict[str, np.ndarray],
    K: Float64[np.ndarray, "T 3 3"],
    world_from_cam: Float64[np.ndarray, "T 4 4"],
) -> Float64[np.ndarray, " N"]:
    faces = body.faces.numpy()
    meshes: dict[int, Mesh] = {}
    furniture = [build_room(style, painted=False).furniture for style in scene.rooms]
    things = [Mesh(part.vertices, part.faces) for part in furniture]
    fraction = np.zeros(len(rows["frame"]))
    stride = max(scene.hw[0] // VISIBILITY_ROWS, 1)
    for frame in range(scene.num_frames):
        here = np.flatnonzero(rows["frame"] == frame)
        for row in here:
            pose, betas, transl = (
                torch.from_numpy(rows[name][row]).to(body.dtype)
                for name in ("pose", "betas", "transl")
            )
            vertices = body.vertices(pose, betas, transl).numpy()
            person = int(rows["person"][row])
            if person in meshes:
                meshes[person].move(vertices)
            else:
                meshes[person] = Mesh(vertices, faces)
        cam_from_world = np.linalg.inv(world_from_cam[frame])
        shown = [meshes[int(rows["person"][row])] for row in here]
        room = things[scene.shot_of(frame).room]
        hits = cast(
            [*shown, room], K[frame], scene.hw, cam_from_world=cam_from_world, stride=stride
        )
        for index, row in enumerate(here):
            seen = int((hits.mesh == index).sum()) * stride**2
            if seen:
                fraction[row] = min(seen / _area_alone(shown[index], K[frame], cam_from_world), 1.0)
    return fraction


def _area_alone(
    mesh: Mesh, K: Float64[np.ndarray, "3 3"], cam_from_world: Float64[np.ndarray, "4 4"]
) -> float:
    """Pixels of a body's silhouette on an image without borders."""
    cam = mesh.vertices @ cam_from_world[:3, :3].T + cam_from_world[:3, 3]
    cam = cam[cam[:, 2] > 0.1]
    uv = (cam @ K[:2].T) / cam[:, 2:]
    low, high = uv.min(0), uv.max(0)
    stride = max(int(np.max(high - low) / 96), 1)
    shifted = K.copy()
    shifted[:2, 2] -= low
    width, height = (int(extent) + 2 for extent in high - low)
    hits = cast([mesh], shifted, (height, width), cam_from_world=cam_from_world, stride=stride)
    return float((hits.mesh >= 0).sum() * stride**2)
