"""What EgoHumans and Harmony4D have in common (both CMU, one code base): static GoPros around a
scene, calibrated by COLMAP, and SMPL fits in the metric world of the first Aria glasses.

Facts, from the loaders in rawalkhirodkar/egohumans (``egohumans/lib/datasets``) and from issues
12 of that repository and 4, 9 and 14 of jyuntins/harmony4d:

- ``exo/camXX/images/%05d.jpg`` and ``processed_data/smpl/%05d.npy`` are numbered by one time
  stamp that begins with 1. The ``.npy`` holds a pickled dictionary person -> ``global_orient``
  (3,), ``body_pose`` (69,), ``betas`` (10,), ``transl`` (3,), ``vertices`` (6890, 3),
  ``joints`` (45, 3), ``epoch_loss``.
- ``colmap/workplace/images.txt`` (COLMAP's text format) gives ``cam_from_colmap`` of some
  pictures ``camXX/%05d.jpg`` of each camera; the nearest in time holds for the others.
- ``cameras.txt`` gives OPENCV_FISHEYE: fx fy cx cy k1 k2 k3 k4.
- ``colmap_from_aria_transforms.pkl``: person -> 4x4 similarity ``[cR | t]``; ``aria01``'s
  leads from the world of the SMPL fits, in metres, to COLMAP's. Its scale ``c`` is not 1, so a
  metric camera is ``[R_cam R | (R_cam t + t_cam) / c]``.

- A sequence's settings lie in the code repository (``egohumans/configs/<activity>/
  <sequence>.yaml``), not in the data: ``INVALID_EXOS`` and ``INVALID_ARIAS`` (cameras and people
  to leave out), ``CALIBRATION.MANUAL_EXO_CAMERAS`` and ``ANCHOR_EGO_CAMERA`` (in place of
  ``aria01``), and ``SMPL.ARIA_NAME_LIST`` with
  ``ARIA_GENDER_LIST``. Copied to ``config.yaml`` in the sequence's folder, they are heeded.

Not verified: cameras that COLMAP missed have a ``camXX.npy`` beside it, about whose frame
sources disagree; such cameras are left out. Without settings everybody is taken for neutral; the
stored vertices are compared with what the parameters give, whatever the settings say.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jaxtyping import Float64, Int64
from scipy.spatial.transform import Rotation

from multithumbs.errors import ArtifactError
from multithumbs.evaluation.datasets import layout
from multithumbs.evaluation.datasets.multiview import View, multi_shot
from multithumbs.evaluation.datasets.options import Options
from multithumbs.evaluation.datasets.sequence import (
    GENDERS,
    NEUTRAL,
    EvalSequence,
    Lens,
    TruePerson,
)
from multithumbs.evaluation.readers.data_files import read_npy, read_pickle
from multithumbs.evaluation.readers.motions import motion_of

ANCHOR = "aria01"
WORKPLACE = Path("colmap/workplace")
SMPL = Path("processed_data/smpl")
SETTINGS = "config.yaml"
DEPTH = 12
"""Folders below the root at most: EgoHumans' archives unpack into a deep path."""


def find(root: Path, what: str) -> dict[str, Path]:
    """Sequences below ``root``: folders with ``exo`` and ``colmap/workplace``."""
    layout.folder(root, what)
    found = layout.by_name(
        root, {path: Path(*path.resolve().parts[-2:]) for path in _sequence_folders(root)}
    )
    if not found:
        raise ArtifactError(
            f"{root} holds no sequence: expected {what}, each with exo/camXX/images and "
            f"{WORKPLACE}; see docs/datasets.md"
        )
    return found


def _sequence_folders(root: Path) -> Iterator[Path]:
    for where, folders, _ in os.walk(root):
        path = Path(where)
        if "exo" in folders and (path / WORKPLACE).is_dir():
            yield path
            folders.clear()
        elif len(path.relative_to(root).parts) >= DEPTH:
            folders.clear()
        folders.sort()


def load(name: str, path: Path, options: Options, *, fps: float, note: str) -> EvalSequence:
    """One sequence as a multi-shot video.

    Raises:
        ArtifactError: a file is missing, damaged, refused or not as described above.
    """
    workplace = path / WORKPLACE
    settings = _settings(path / SETTINGS)
    stamps = {int(p.stem): p for p in sorted((path / SMPL).glob("*.npy")) if p.stem.isdigit()}
    if not stamps:
        raise ArtifactError(f"{path / SMPL} holds no <number>.npy: expected SMPL fits by time")
    transforms = workplace / "colmap_from_aria_transforms.pkl"
    anchor = settings.anchor
    colmap_from_world = layout.array(
        layout.entry(read_pickle(transforms), anchor, transforms), (4, 4), anchor, transforms
    )
    return multi_shot(
        name,
        list(_views(path, colmap_from_world, settings.left_out)),
        list(stamps),
        lambda times: _people(stamps, times, settings),
        options.schedule,
        options.bodies,
        fps=options.fps or fps,
        note="; ".join(
            part
            for part, told in (
                (note, options.fps is None),
                (
                    "without config.yaml, cameras and people marked invalid are kept",
                    not settings.known,
                ),
            )
            if told
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    """What the dataset's authors say of one sequence."""

    left_out: frozenset[str]
    """Cameras and people."""
    genders: Mapping[str, str]
    anchor: str
    """Whose glasses' world the fits are in."""
    known: bool


def _settings(path: Path) -> _Settings:
    """Of ``config.yaml``; nothing is left out where it is not there."""
    if not path.is_file():
        return _Settings(left_out=frozenset(), genders={}, anchor=ANCHOR, known=False)
    try:
        text = layout.read_text(path, "EgoHumans' settings")
        content: Any = yaml.safe_load(text) or {}
        smpl, calibration = content.get("SMPL") or {}, content.get("CALIBRATION") or {}
        left_out = [
            *(content.get("INVALID_EXOS") or []),
            *(content.get("INVALID_ARIAS") or []),
            *(calibration.get("MANUAL_EXO_CAMERAS") or []),
        ]
        names, genders = smpl.get("ARIA_NAME_LIST") or [], smpl.get("ARIA_GENDER_LIST") or []
        anchor = str(calibration.get("ANCHOR_EGO_CAMERA") or ANCHOR)
        by_name = {str(n): GENDERS[g] for n, g in zip(names, genders, strict=False)}
    except (yaml.YAMLError, AttributeError, TypeError, KeyError) as error:
        raise ArtifactError(
            f"{path} holds no settings ({type(error).__name__}); expected a file of "
            "egohumans/configs, or none"
        ) from error
    return _Settings(
        left_out=frozenset(map(str, left_out)), genders=by_name, anchor=anchor, known=True
    )


def _views(
    path: Path, colmap_from_world: Float64[np.ndarray, "4 4"], left_out: frozenset[str]
) -> Iterator[View]:
    workplace = path / WORKPLACE
    lenses = _lenses(workplace / "cameras.txt")
    poses = _poses(workplace / "images.txt")
    for where in sorted(layout.folder(path / "exo", "camXX/images/%05d.jpg").iterdir()):
        name = where.name
        if name not in poses or name in left_out or (workplace / f"{name}.npy").exists():
            continue
        pictures = where / "images"
        if not pictures.is_dir() or not any(pictures.iterdir()):
            continue
        camera, cam_from_colmap = poses[name]
        if camera not in lenses:
            raise ArtifactError(
                f"{workplace / 'images.txt'} names camera {camera}, which cameras.txt lacks"
            )
        lens, hw = lenses[camera]
        yield View(
            name=name,
            pictures=layout.numbered(pictures, "pictures by time"),
            K=lens.K,
            lens=lens,
            hw=hw,
            world_from_cam=_camera_of(cam_from_colmap, colmap_from_world),
        )


def _camera_of(
    cam_from_colmap: Mapping[int, Float64[np.ndarray, "4 4"]],
    colmap_from_world: Float64[np.ndarray, "4 4"],
) -> Callable[[int], Float64[np.ndarray, "4 4"]]:
    """``world_from_cam`` at a time: of the nearest picture that COLMAP posed."""

    def at(time: int) -> Float64[np.ndarray, "4 4"]:
        nearest = min(cam_from_colmap, key=lambda t: (abs(t - time), t))
        return metric_world_from_cam(cam_from_colmap[nearest], colmap_from_world)

    return at


def metric_world_from_cam(
    cam_from_colmap: Float64[np.ndarray, "4 4"], colmap_from_world: Float64[np.ndarray, "4 4"]
) -> Float64[np.ndarray, "4 4"]:
    """A rigid camera in metres, from COLMAP's pose and a similarity to COLMAP's world."""
    scale = np.cbrt(np.linalg.det(colmap_from_world[:3, :3]))
    cam_from_world = cam_from_colmap @ colmap_from_world
    cam_from_world[:3] /= scale
    return np.linalg.inv(cam_from_world)


def _lenses(path: Path) -> dict[int, tuple[Lens, tuple[int, int]]]:
    """``CAMERA_ID MODEL WIDTH HEIGHT PARAMS[]``: lens and picture size (height, width)."""
    found = {}
    for line in layout.read_text(path, "COLMAP's cameras").splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) < 12 or words[1] != "OPENCV_FISHEYE":
            raise ArtifactError(
                f"{path}: '{line.strip()[:60]}' is no OPENCV_FISHEYE camera with 8 parameters"
            )
        fx, fy, cx, cy, *distortion = (float(word) for word in words[4:12])
        K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])
        lens = Lens(K=K, distortion=tuple(distortion), fisheye=True)
        found[int(words[0])] = lens, (int(words[3]), int(words[2]))
    return found


def _poses(path: Path) -> dict[str, tuple[int, dict[int, Float64[np.ndarray, "4 4"]]]]:
    """Camera id and ``cam_from_colmap`` by time of every exo camera."""
    found: dict[str, tuple[int, dict[int, np.ndarray]]] = {}
    lines = layout.read_text(path, "COLMAP's images").splitlines()
    # Every picture has two lines; the second, its points, may be empty.
    for line in [line for line in lines if not line.startswith("#")][::2]:
        words = line.split()
        if len(words) < 10:
            continue
        name = re.fullmatch(r"(cam\d+)/(\d+)\.\w+", words[9])
        if name is None:
            continue
        w, x, y, z, *t = (float(word) for word in words[1:8])
        pose = np.eye(4)
        pose[:3, :3] = Rotation.from_quat([x, y, z, w]).as_matrix()
        pose[:3, 3] = t
        found.setdefault(name[1], (int(words[8]), {}))[1][int(name[2])] = pose
    if not found:
        raise ArtifactError(f"{path} poses no picture 'camXX/<number>.jpg'; expected COLMAP's")
    return found


def _people(
    stamps: Mapping[int, Path], times: Int64[np.ndarray, " T"], settings: _Settings
) -> list[TruePerson]:
    rows: dict[str, list[tuple[int, Mapping[str, Any]]]] = {}
    for frame, time in enumerate(times.tolist()):
        path = stamps[time]
        content = read_npy(path)
        if not isinstance(content, Mapping):
            raise ArtifactError(f"{path} holds no dictionary of people; expected SMPL fits")
        for name, part in content.items():
            for key in ("global_orient", "body_pose", "betas", "transl"):
                layout.entry(part, key, path)
            rows.setdefault(str(name), []).append((frame, part))
    return [
        _person(name, rows[name], settings.genders.get(name, NEUTRAL))
        for name in sorted(rows)
        if name not in settings.left_out
    ]


def _person(name: str, rows: list[tuple[int, Mapping[str, Any]]], gender: str) -> TruePerson:
    frames, parts = zip(*rows, strict=True)
    pose = [
        np.concatenate([np.reshape(part[key], -1) for key in ("global_orient", "body_pose")])
        for part in parts
    ]
    betas, transl = (
        np.stack([np.reshape(part[key], -1) for part in parts]) for key in ("betas", "transl")
    )
    digits = re.search(r"\d+$", name)
    if digits is None:
        raise ArtifactError(f"a person is called '{name}'; expected 'ariaXX'")
    vertices = parts[0].get("vertices")
    return TruePerson(
        motion=motion_of(int(digits[0]), frames, np.stack(pose), betas, transl),
        gender=gender,
        vertices=None if vertices is None else np.asarray(vertices, np.float64),
    )
