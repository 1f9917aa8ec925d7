"""SLAHMR's results (SMPL-H): every shot is a run of its own, with its own world and people.

Facts, from vye16/slahmr (``run_opt.py``, ``optim/output.py``, ``data/dataset.py``):

- A run's folder is called ``<sequence>-<tracks>-shot-<i>-<a>-<b>``; ``a`` and ``b`` count from the
  shot's first picture. Its stages are the folders of `STAGES`, in that order, and each holds
  ``<sequence>_<iteration>_world_results.npz`` of several iterations.
- ``track_info.json``: ``meta/data_interval`` is (a, b), ``meta/seq_interval`` the part of it in
  which anyone is seen: the result's frames. ``tracks/<id>``: ``index`` in the result, and
  ``vis_mask`` over the data interval. A result has a row for everyone in every frame; those
  before a track begins and after it ends mean nothing.
- Pictures are taken from the video at ``data.frame_opts.fps`` (25 by default), which Hydra keeps
  in ``.hydra/config.yaml``.
- Which pictures a shot has is written beside the tracks (``shot_idcs/<sequence>.json``: picture
  -> shot), not beside the result: it is asked for as ``shot_idcs.json`` where shots other than
  the first are to be scored.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml

from multithumbs.body import BodyModel
from multithumbs.errors import ArtifactError
from multithumbs.evaluation.readers.data_files import read_npz
from multithumbs.evaluation.readers.motions import Motion, camera_path, field, motion_of, scene_of
from multithumbs.evaluation.scene import Scene

STAGES: Final = (
    "phalp", "init", "root_fit", "smpl_fit", "smooth_fit", "motion_chunks", "motion_fit",
)  # fmt: skip
"""In the order in which they run: the last one that is there is the result."""
RESULTS: Final = "*_world_results.npz"
SHOTS: Final = "shot_idcs.json"
_RUN: Final = re.compile(r"-shot-(\d+)-(\d+)-(-?\d+)$")
_PEOPLE: Final = 1000
"""People of the i-th shot are numbered from 1000 i: SLAHMR joins nobody across a cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One shot's result."""

    shot: int
    start: int
    """Of the run in its shot, pictures."""
    file: Path

    @property
    def folder(self) -> Path:
        """Of the run, where its stages are folders in it."""
        return self.file.parent.parent if self.file.parent.name in STAGES else self.file.parent


def read_slahmr(path: Path, fps: float, num_frames: int, body: BodyModel) -> Scene:
    """All shots found below a folder (or of one result file), each in a world of its own.

    Args:
        path: the folder or file.
        fps: the video's.
        num_frames: the video's.
        body: that the parameters are posed with.

    Raises:
        ArtifactError: no result, two of one shot, a shot whose place in the video is not known.
    """
    files = [path] if path.is_file() else last_stages(path)
    runs = sorted((_run(file) for file in files), key=lambda run: run.shot)
    if len({run.shot for run in runs}) < len(runs):
        raise ArtifactError(f"{path} holds two results of one shot; keep one of them")
    begins = _shot_begins(path if path.is_dir() else path.parent, runs)
    scenes = [_scene(run, begins[run.shot], fps, num_frames, body) for run in runs]
    return _joined(scenes)


def last_stages(folder: Path) -> list[Path]:
    """The last result of every run below a folder. Raises ArtifactError where there is none."""
    best: dict[Path, Path] = {}
    for file in sorted(folder.rglob(RESULTS)):
        run = file.parent.parent if file.parent.name in STAGES else file.parent
        if run not in best or _rank(file) > _rank(best[run]):
            best[run] = file
    if not best:
        raise ArtifactError(f"{folder} holds no {RESULTS}; expected what SLAHMR wrote")
    return list(best.values())


def _rank(file: Path) -> tuple[int, str]:
    stage = file.parent.name
    return STAGES.index(stage) if stage in STAGES else -1, file.name


def _run(file: Path) -> _Run:
    run = _Run(shot=0, start=0, file=file)
    named = _RUN.search(run.folder.name)
    return replace(run, shot=int(named[1]), start=int(named[2])) if named else run


def _shot_begins(folder: Path, runs: Sequence[_Run]) -> dict[int, int]:
    """First picture of each shot, from 0."""
    if [run.shot for run in runs] == [0] and not (folder / SHOTS).is_file():
        return {0: 0}
    shots = _json(
        folder / SHOTS, "SLAHMR's shot_idcs/<sequence>.json, which says where shots begin"
    )
    of_picture = [int(shots[name]) for name in sorted(shots)]
    missing = [run.shot for run in runs if run.shot not in of_picture]
    if missing:
        raise ArtifactError(f"{folder / SHOTS} names no picture of shot {missing[0]}")
    return {run.shot: of_picture.index(run.shot) for run in runs}


def _json(path: Path, what: str) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"cannot read {path}: expected {what}") from error
    if not isinstance(content, Mapping):
        raise ArtifactError(f"{path} holds no dictionary: expected {what}")
    return content


def _rate(run: _Run, fps: float) -> float:
    """Pictures per second that the run saw; the video's where it does not say."""
    path = run.folder / ".hydra/config.yaml"
    if not path.is_file():
        return fps
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ArtifactError(f"cannot read {path}: expected Hydra's settings of the run") from error
    rate = float(field(content, "data", "frame_opts", "fps"))
    if rate <= 0:
        raise ArtifactError(f"{path}: data.frame_opts.fps is {rate}; expected a rate")
    return rate


def _scene(run: _Run, begin: int, fps: float, num_frames: int, body: BodyModel) -> Scene:
    content = read_npz(run.file)
    trans, orient, pose = (field(content, n) for n in ("trans", "root_orient", "pose_body"))
    people, length = trans.shape[:2]
    info = run.folder / "track_info.json"
    tracks = _json(info, "SLAHMR's account of its tracks") if info.is_file() else None
    interval = (0, length) if tracks is None else field(tracks, "meta", "seq_interval")
    picture = begin + run.start + int(interval[0]) + np.arange(length)
    pace = fps / _rate(run, fps)
    frame = np.round(picture * pace).astype(np.int64)
    frame, kept = np.unique(frame, return_index=True)  # one may be written twice
    frame, kept = frame[frame < num_frames], kept[frame < num_frames]
    betas = field(content, "betas").reshape(people, -1, field(content, "betas").shape[-1])
    whole = np.concatenate([orient, pose.reshape(people, length, -1)], axis=-1)
    motions = []
    for person in range(people):
        seen = _seen(tracks, person, int(interval[0]), length)[kept]
        within = np.flatnonzero(seen)
        rows = slice(within[0], within[-1] + 1) if len(within) else slice(0)
        index = kept[rows]
        shape = betas[person] if len(betas[person]) == 1 else betas[person][index]
        motions.append(
            motion_of(
                _PEOPLE * run.shot + person, frame[rows], whole[person][index], shape,
                trans[person][index], seen[rows],
            )
            if len(index)
            else None
        )  # fmt: skip
    # Cameras are given per person, all alike.
    world_cam_R = np.swapaxes(field(content, "cam_R")[0], 1, 2)
    centre = -np.einsum("nij,nj->ni", world_cam_R, field(content, "cam_t")[0])
    intrinsics = np.asarray(field(content, "intrins"), np.float64).reshape(-1, 4)
    fx, fy, cx, cy = intrinsics[0]
    K = np.tile(np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), (len(kept), 1, 1))
    found: list[Motion] = [motion for motion in motions if motion is not None]
    path = camera_path(world_cam_R[kept], centre[kept], K, frame)
    return scene_of(found, path, body, shot_start=np.array([round(begin * pace)], np.int64))


def _seen(tracks: Mapping[str, Any] | None, person: int, first: int, length: int) -> np.ndarray:
    """Whether a track is visible in each of the result's frames."""
    if tracks is None:
        return np.ones(length, bool)
    for track in field(tracks, "tracks").values():
        if int(field(track, "index")) == person:
            mask = np.asarray(field(track, "vis_mask"), bool)[first : first + length]
            if len(mask) == length:
                return mask
    raise ArtifactError(
        f"track_info.json says nothing of person {person} in {length} frames; expected the file of "
        "the same run"
    )


def _joined(scenes: Sequence[Scene]) -> Scene:
    """One scene of several shots, in as many worlds."""
    scenes = [scene for scene in scenes if len(scene.camera_frame)]
    if not scenes:
        raise ArtifactError("SLAHMR's results lie outside the video; expected results of it")
    spaces = [np.full(len(scene.camera_frame), i) for i, scene in enumerate(scenes)]
    names = ("person", "frame", "seen", "pose", "betas", "transl", "joints_world")
    names += ("camera_frame", "K", "world_from_cam", "shot_start")
    parts = {name: np.concatenate([getattr(scene, name) for scene in scenes]) for name in names}
    if len(np.unique(parts["camera_frame"])) < len(parts["camera_frame"]):
        raise ArtifactError("two of SLAHMR's shots share a frame; expected results of one run each")
    return Scene(**parts, space=np.concatenate(spaces).astype(np.int64))
