"""Other programs' results as a `Scene`: what each writes, and what its numbers mean.

Most give SMPL's parameters with smplx's ``transl``. Where SMPL-X's are given, or another point of
the body, the pelvis is kept where it is (`motions.of_smplx`, `at_hips`). Programs that keep no
common world for several people are given one: the camera path is taken from the person who is seen
longest, and everybody else is carried into that world from where they stand in the camera.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from multithumbs.body import BodyModel
from multithumbs.errors import ArtifactError
from multithumbs.evaluation.readers.data_files import read_npy, read_pickle, read_torch
from multithumbs.evaluation.readers.motions import (
    CameraPath,
    Motion,
    at_hips,
    camera_path,
    field,
    intrinsics,
    motion_of,
    moved,
    of_smplx,
    relating,
    scene_of,
)
from multithumbs.evaluation.readers.slahmr import read_slahmr
from multithumbs.evaluation.scene import Scene

PROMPTHMR_HEIGHT: Final = 896
"""PromptHMR shrinks taller pictures to it; its focal length and centre are of the small ones."""
PROMPTHMR_FPS: Final = 60
"""Of faster videos it takes every second, third, ... picture."""
PHALP_FOCAL: Final = 5000 / 256
"""Focal length over the image's longer side that 4D-Humans and PHALP assume."""
COMOTION_FOCAL: Final = 2.0
"""The same for CoMotion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """The video that a result is of."""

    hw: tuple[int, int]
    fps: float
    num_frames: int

    @property
    def centre(self) -> tuple[float, float]:
        """Middle of the image, pixels."""
        return self.hw[1] / 2, self.hw[0] / 2


def read_peer(program: str, path: Path, clip: Clip, body: BodyModel) -> Scene:
    """The result of ``program`` (one of `PEERS`).

    Raises:
        ArtifactError: unknown program; a file that is missing, damaged, refused or not its own.
    """
    reader = PEERS.get(program)
    if reader is None:
        raise ArtifactError(f"unknown program '{program}'; expected one of {', '.join(PEERS)}")
    try:
        return reader(path, clip, body)
    except (ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
        raise ArtifactError(
            f"{path} is no result of {program} ({type(error).__name__}: {error}); expected the "
            "file or folder that the program wrote"
        ) from error


def _gvhmr(path: Path, clip: Clip, body: BodyModel) -> Scene:
    """``hmr4d_results.pt``: one person, in the camera and in a world; SMPL-X parameters.

    A row per picture of the video, whatever its rate: GVHMR copies it picture by picture into one
    that claims 30 a second.
    """
    content = read_torch(path)
    K = np.asarray(field(content, "K_fullimg"), np.float64)
    frame = np.arange(min(len(K), clip.num_frames))

    def motion(space: str) -> Motion:
        part = field(content, f"smpl_params_{space}")
        orient, pose = (np.asarray(field(part, name)) for name in ("global_orient", "body_pose"))
        whole = np.concatenate([orient.reshape(len(K), 3), pose.reshape(len(K), -1)], axis=1)
        smplx = motion_of(
            0, frame, whole[: len(frame)], np.asarray(field(part, "betas"))[: len(frame)],
            np.asarray(field(part, "transl"))[: len(frame)],
        )  # fmt: skip
        return of_smplx(smplx, body)

    return _shared_world([(motion("global"), motion("incam"))], K[: len(frame)], body)


def _wham(path: Path, clip: Clip, body: BodyModel) -> Scene:
    """``wham_output.pkl``: every person in the camera and in a world of their own.

    ``trans`` is smplx's; ``trans_world`` is the middle of the hips (its body model takes that for
    the origin, and only the camera's translation is given back its offset when it is saved).
    """
    pairs = []
    for person, part in _people(read_pickle(path)):
        frame, betas = field(part, "frame_ids"), field(part, "betas")
        world, cam = (
            motion_of(person, frame, field(part, "pose" + s), betas, field(part, "trans" + s))
            for s in ("_world", "")
        )
        pairs.append((at_hips(world, body), cam))
    return _shared_world(pairs, intrinsics(np.hypot(*clip.hw), clip.centre, 1), body)


def _phalp(path: Path, clip: Clip, body: BodyModel) -> Scene:
    """``results/*.pkl`` of 4D-Humans' ``track.py``: bodies in each frame's camera, no world."""
    rows: dict[int, list[tuple]] = {}
    cuts = []
    for name in sorted(content := read_pickle(path)):
        entry = content[name]
        frame = int(field(entry, "time"))
        if int(entry.get("shot", 0)) == 1:
            cuts.append(frame)
        for at, person in enumerate(field(entry, "tid")):
            smpl = field(entry, "smpl")[at]
            matrices = np.concatenate(
                [
                    np.reshape(field(smpl, part), (-1, 3, 3))
                    for part in ("global_orient", "body_pose")
                ]
            )
            rows.setdefault(int(person), []).append(
                (frame, matrices, field(smpl, "betas"), field(entry, "camera")[at],
                 int(entry["tracked_time"][at]) == 0)
            )  # fmt: skip
    motions = []
    for person, found in sorted(rows.items()):
        frame, matrices, betas, camera, seen = zip(*found, strict=True)
        motions.append(
            motion_of(person, frame, np.stack(matrices), np.stack(betas), np.stack(camera), seen)
        )
    K = intrinsics(PHALP_FOCAL * max(clip.hw), clip.centre, 1)
    return _in_camera(motions, K, clip, body, cuts)


def _prompthmr(path: Path, clip: Clip, body: BodyModel) -> Scene:
    """``results.pkl``: people and cameras in one world; SMPL-X parameters."""
    skip = max(1, round(clip.fps / PROMPTHMR_FPS)) if clip.fps > PROMPTHMR_FPS else 1
    content = read_pickle(path)
    camera = field(content, "camera_world")
    rotation, centre = (np.asarray(field(camera, name)) for name in ("Rwc", "Twc"))
    motions = [
        of_smplx(
            motion_of(
                person, _source(field(part, "frames"), skip), field(part, "smplx_world", "pose"),
                field(part, "smplx_world", "shape"), field(part, "smplx_world", "trans"),
            ),
            body,
        )
        for person, part in _people(field(content, "people"))
    ]  # fmt: skip
    middle = np.asarray(field(camera, "img_center"), np.float64).reshape(-1)
    K = intrinsics(field(camera, "img_focal"), (middle[0], middle[1]), len(rotation))
    frame = _source(np.arange(len(rotation)), skip)
    return scene_of(motions, camera_path(rotation, centre, _enlarged(K, clip.hw), frame), body)


def _source(frame: Any, skip: int) -> np.ndarray:
    """Of every ``skip``-th picture, the last of them, in the video."""
    return (np.asarray(frame).reshape(-1).astype(np.int64) + 1) * skip - 1


def _enlarged(K: np.ndarray, hw: tuple[int, int]) -> np.ndarray:
    """Intrinsics of PromptHMR's pictures, whose sides are even, for those of the video."""
    h, w = (side + side % 2 for side in hw)
    if h > PROMPTHMR_HEIGHT:
        w = int(w * PROMPTHMR_HEIGHT / h)
        h, w = PROMPTHMR_HEIGHT, w - w % 2
    return np.diag([hw[1] / w, hw[0] / h, 1.0]) @ K


def _tram(path: Path, clip: Clip, body: BodyModel) -> Scene:
    """``results/<clip>``: ``camera.npy`` and ``hps/hps_track_*.npy``; bodies in the camera.

    A track's shape is the mean of its frames', as in TRAM's own evaluation and pictures.
    """
    camera = read_npy(path / "camera.npy")
    # Older versions write no camera along gravity; which of two worlds it is makes no difference.
    kind = "world_cam" if isinstance(camera, Mapping) and "world_cam_R" in camera else "pred_cam"
    rotation, centre = (np.asarray(field(camera, f"{kind}_{part}")) for part in "RT")
    middle = np.asarray(field(camera, "img_center"), np.float64).reshape(-1)
    K = intrinsics(field(camera, "img_focal"), (middle[0], middle[1]), len(rotation))
    cameras = camera_path(rotation, centre, K)
    motions = []
    for file in sorted((path / "hps").glob("hps_track_*.npy")):
        part = read_npy(file)
        motion = motion_of(
            int(file.stem.removeprefix("hps_track_")), field(part, "frame"),
            field(part, "pred_rotmat"), np.mean(field(part, "pred_shape"), axis=0),
            field(part, "pred_trans"),
        )  # fmt: skip
        motions.append(moved(motion, cameras.world_from_cam[motion.frame], body))
    return scene_of(motions, cameras, body)


def _slahmr(path: Path, clip: Clip, body: BodyModel) -> Scene:
    """The folder of all shots' runs, or one ``*_world_results.npz``: `slahmr`."""
    return read_slahmr(path, clip.fps, clip.num_frames, body)


def _comotion(path: Path, clip: Clip, body: BodyModel) -> Scene:
    """``*.pt``: flat rows in each frame's camera, no world; people are new after a cut."""
    content = read_torch(path)
    person, frame = (np.asarray(field(content, n)).reshape(-1) for n in ("id", "frame_idx"))
    motions = [
        motion_of(
            int(p), frame[person == p],
            *(np.asarray(field(content, n))[person == p] for n in ("pose", "betas", "trans")),
        )
        for p in np.unique(person)
    ]  # fmt: skip
    return _in_camera(
        motions, intrinsics(COMOTION_FOCAL * max(clip.hw), clip.centre, 1), clip, body
    )


Reader = Callable[[Path, Clip, BodyModel], Scene]
PEERS: Final[Mapping[str, Reader]] = MappingProxyType(
    {
        "gvhmr": _gvhmr,
        "wham": _wham,
        "phalp": _phalp,
        "prompthmr": _prompthmr,
        "tram": _tram,
        "slahmr": _slahmr,
        "comotion": _comotion,
    }
)
"""Reader of each program's result; ``phalp`` is 4D-Humans' ``track.py`` too."""


def _people(content: Any) -> list[tuple[int, Any]]:
    """Entries of a dictionary by person; names that are no numbers are counted."""
    if not isinstance(content, Mapping):
        raise ArtifactError(f"expected a dictionary of people, got {type(content).__name__}")
    return [
        (int(name) if str(name).isdigit() else 10_000 + at, part)
        for at, (name, part) in enumerate(content.items())
    ]


def _shared_world(pairs: Sequence[tuple[Motion, Motion]], K: np.ndarray, body: BodyModel) -> Scene:
    """Pairs of (in the world, in the camera) in the world of the longest one's camera path."""
    if not pairs:
        none = np.zeros((0, 3, 3))
        return scene_of([], camera_path(none, np.zeros((0, 3)), none), body)
    world, cam = max(pairs, key=lambda pair: len(pair[0].frame))
    frame, world_from_cam = relating(world, cam, body)
    K = np.broadcast_to(K, (len(frame), 3, 3)).copy()
    cameras = CameraPath(frame=frame, K=K, world_from_cam=world_from_cam)
    at = {int(f): i for i, f in enumerate(frame)}
    motions = [world]
    for other, seen in pairs:
        if other is not world:
            there = np.array([f in at for f in seen.frame.tolist()], bool)
            index = [at[f] for f in seen.frame[there].tolist()]
            part = Motion(
                person=seen.person,
                **{
                    n: getattr(seen, n)[there] for n in ("frame", "pose", "betas", "transl", "seen")
                },
            )
            motions.append(moved(part, world_from_cam[index], body))
    return scene_of(motions, cameras, body)


def _in_camera(
    motions: Sequence[Motion],
    K: np.ndarray,
    clip: Clip,
    body: BodyModel,
    cuts: Sequence[int] = (),
) -> Scene:
    """A world that moves with the camera: all that a program without one can claim."""
    count = clip.num_frames
    cameras = camera_path(
        np.tile(np.eye(3), (count, 1, 1)), np.zeros((count, 3)), np.tile(K, (count, 1, 1))
    )
    starts = np.unique(np.array([0, *cuts], np.int64))
    return scene_of(motions, cameras, body, shot_start=starts)
