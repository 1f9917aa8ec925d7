"""One sequence of a dataset in the form in which any of them is run and scored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
from jaxtyping import Float64, Int64

from multithumbs.body import BodyModel
from multithumbs.errors import ArtifactError, CheckpointError
from multithumbs.evaluation.readers.motions import CameraPath, Motion, scene_of
from multithumbs.evaluation.scene import Scene

NEUTRAL: Final = "neutral"
GENDERS: Final[Mapping[str, str]] = MappingProxyType(
    {"m": "male", "male": "male", "f": "female", "female": "female", "neutral": NEUTRAL}
)
SEEN_JOINTS: Final = 12
"""Of 24: with so many true joints inside the picture a person is demanded. Datasets do not say
who hides whom."""
VERTEX_TOLERANCE_M: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Lens:
    """How pictures are made those of a pinhole camera with the same ``K``."""

    K: Float64[np.ndarray, "3 3"]
    distortion: tuple[float, ...]
    """OpenCV's: four of `cv2.fisheye`, or four to fourteen of its common model."""
    fisheye: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TruePerson:
    """One person's true motion in the sequence's world, and whose body it moves."""

    motion: Motion
    """``seen`` is what the dataset says of each frame; what lies outside the picture is
    taken off later."""
    gender: str = NEUTRAL
    joints_world: Float64[np.ndarray, "L 24 3"] | None = None
    """Where the dataset gives SMPL's joints: they stand in for a body that is not here."""
    vertices: Float64[np.ndarray, "V 3"] | None = None
    """Of the first row, where the dataset gives them: what the parameters are checked with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bodies:
    """SMPL bodies by gender; those of men and women are needed by few datasets."""

    neutral: BodyModel
    male: BodyModel | None = None
    female: BodyModel | None = None

    def of(self, gender: str) -> BodyModel | None:
        """The body of a gender, None where it was not given."""
        return {"male": self.male, "female": self.female}.get(gender, self.neutral)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueScene:
    """A `Scene` of the truth, and the bodies that its parameters are of."""

    scene: Scene
    bodies: Mapping[int, BodyModel | None]
    """Body of each person; None: not here, and only the joints are true."""

    @property
    def has_vertices(self) -> bool:
        """Whether everyone's vertices can be made."""
        return all(body is not None for body in self.bodies.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalSequence:
    """Pictures (or a video), and the truth of each of them where there is one."""

    name: str
    fps: float
    hw: tuple[int, int]
    frames: tuple[Path, ...] = ()
    """In order; empty where ``video`` is given."""
    lenses: tuple[Lens | None, ...] = ()
    """One per picture; None: it is a pinhole camera's already."""
    video: Path | None = None
    truth: TrueScene | None = None
    note: str = ""
    """What a reader of the scores should know."""
    views: tuple[str, ...] = ()
    """Of a multi-view dataset: the view of each shot."""
    stored_hw: tuple[int, int] | None = None
    """Size of the pictures where ``hw`` is that of a smaller video."""

    @property
    def num_frames(self) -> int:
        """Pictures; 0 for a video, which knows its own."""
        return len(self.frames)


def true_scene(
    people: Sequence[TruePerson],
    cameras: CameraPath,
    hw: tuple[int, int],
    bodies: Bodies,
    *,
    shot_start: Int64[np.ndarray, " S"] | None = None,
) -> TrueScene:
    """Everyone in the world of ``cameras``.

    Raises:
        CheckpointError: a body is missing and the dataset gives no joints.
        ArtifactError: the parameters do not give the vertices that stand beside them.
    """
    parts, used = [], {}
    for person in people:
        body = bodies.of(person.gender)
        number = person.motion.person
        if body is None and person.joints_world is None:
            raise CheckpointError(
                f"person {number}'s truth is of a {person.gender} SMPL body: register at "
                f"https://smpl.is.tue.mpg.de and give --{person.gender} SMPL_"
                f"{person.gender.upper()}.pkl"
            )
        if body is not None:
            _check_vertices(person, body)
        part = scene_of([person.motion], cameras, body or bodies.neutral, shot_start=shot_start)
        if body is None and person.joints_world is not None:
            rows = np.isin(person.motion.frame, part.frame)
            order = np.argsort(person.motion.frame[rows], kind="stable")
            part = replace(part, joints_world=person.joints_world[rows][order])
        parts.append(part)
        used[number] = body
    if not parts:
        parts = [scene_of([], cameras, bodies.neutral, shot_start=shot_start)]
    scene = _joined(parts)
    return TrueScene(scene=replace(scene, seen=scene.seen & _in_picture(scene, hw)), bodies=used)


def _joined(parts: Sequence[Scene]) -> Scene:
    """Rows of scenes that share their cameras, by person, then frame."""
    rows = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("person", "frame", "seen", "pose", "betas", "transl", "joints_world")
    }
    order = np.lexsort((rows["frame"], rows["person"]))
    return replace(parts[0], **{name: values[order] for name, values in rows.items()})


def _in_picture(scene: Scene, hw: tuple[int, int]) -> np.ndarray:
    uv = scene.uv()
    inside = ((uv >= 0) & (uv < np.array(hw[::-1]))).all(-1)  # NaN compares false
    return inside.sum(1) >= SEEN_JOINTS


def _check_vertices(person: TruePerson, body: BodyModel) -> None:
    """Parameters of another body, or with another meaning of ``transl``, show here."""
    stored, motion = person.vertices, person.motion
    if stored is None or len(motion.frame) == 0 or len(stored) != len(body.v_template):
        return
    first = (motion.pose[:1], motion.betas[:1], motion.transl[:1])
    made = body.vertices(*(body.tensor(x) for x in first))[0]
    away = float(np.linalg.norm(made.double().numpy() - stored, axis=-1).mean())
    if away > VERTEX_TOLERANCE_M:
        raise ArtifactError(
            f"person {motion.person}'s SMPL parameters give vertices {100 * away:.1f} cm off "
            f"those stored beside them; expected the dataset's own body, got '{body.name}': "
            "check which SMPL file was imported"
        )


def first_frames(sequence: EvalSequence, frames: int | None) -> EvalSequence:
    """The first ``frames`` pictures of a sequence; None: all.

    Raises:
        ArtifactError: none of them has a true camera.
    """
    if frames is None or len(sequence.frames) <= frames:
        return sequence
    truth = sequence.truth
    if truth is not None:
        truth = replace(truth, scene=truth.scene.between(0, frames))
        if len(truth.scene.camera_frame) == 0:
            raise ArtifactError(
                f"{sequence.name}: the first {frames} frames have no true camera; ask for more"
            )
    return replace(
        sequence, frames=sequence.frames[:frames], lenses=sequence.lenses[:frames], truth=truth
    )


def of_height(sequence: EvalSequence, height: int | None) -> EvalSequence:
    """The sequence as a smaller video: its pictures are shrunk after they were undistorted.

    Never enlarges; a video (which is given as it is) stays.
    """
    if height is None or sequence.video is not None or sequence.hw[0] <= height:
        return sequence
    hw = (height, round(sequence.hw[1] * height / sequence.hw[0]))
    truth = sequence.truth
    if truth is not None:
        K = truth.scene.K.copy()
        for axis, scale in ((0, hw[1] / sequence.hw[1]), (1, hw[0] / sequence.hw[0])):
            K[:, axis, 2] += 0.5  # OpenCV counts from the middle of the first pixel
            K[:, axis] *= scale
            K[:, axis, 2] -= 0.5
        truth = replace(truth, scene=replace(truth.scene, K=K))
    return replace(sequence, hw=hw, truth=truth, stored_hw=sequence.hw)
