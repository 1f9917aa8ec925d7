"""`result.npz`: the one file that holds what a run found. `docs/result.md` describes it."""

import zipfile
import zlib
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np

from multithumbs.errors import ArtifactError
from multithumbs.io.atomic import replacing
from multithumbs.types import Cameras, People, Shots, VideoInfo
from multithumbs.types.outputs import Result

SCHEMA: Final = "multithumbs-result/1"

_INT, _FLOAT = "int64", "float64"
_SHAPES: Final[Mapping[str, tuple[str, tuple[str | int, ...]]]] = {
    "person": (_INT, ("N",)),
    "frame": (_INT, ("N",)),
    "shot": (_INT, ("N",)),
    "island": (_INT, ("N",)),
    "global_orient": (_FLOAT, ("N", 3)),
    "body_pose": (_FLOAT, ("N", 69)),
    "betas": (_FLOAT, ("N", 10)),
    "transl": (_FLOAT, ("N", 3)),
    "joints_world": (_FLOAT, ("N", 24, 3)),
    "observed": ("bool", ("N",)),
    "confidence": (_FLOAT, ("N",)),
    "camera_frame": (_INT, ("T",)),
    "K": (_FLOAT, ("T", 3, 3)),
    "world_from_cam": (_FLOAT, ("T", 4, 4)),
    "camera_island": (_INT, ("T",)),
    "shot_start": (_INT, ("S",)),
    "shot_end": (_INT, ("S",)),
}
"""Arrays of the schema: dtype and shape; equal letters are equal lengths."""


def build_result(
    *,
    info: VideoInfo,
    shots: Shots,
    cameras: Cameras,
    people: People,
    body_model: str,
    profile: str,
    licences: tuple[str, ...],
) -> Result:
    """Put people and cameras into one frame: the `ground` of each island."""
    ground_from_cam = people.ground_from_world[cameras.island] @ cameras.world_from_cam
    return Result(
        person=people.person,
        frame=people.frame,
        shot=people.shot,
        island=people.island,
        global_orient=people.pose[:, 0],
        body_pose=people.pose[:, 1:].reshape(-1, 69),
        betas=people.betas,
        transl=people.transl,
        joints_world=people.joints_ground,
        observed=people.observed,
        confidence=people.confidence,
        camera_frame=cameras.frame,
        K=cameras.K,
        world_from_cam=ground_from_cam,
        camera_island=cameras.island,
        shot_start=shots.start,
        shot_end=shots.end,
        fps=info.frame_rate,
        body_model=body_model,
        profile=profile,
        licences=licences,
    )


def save_result(result: Result, path: Path) -> None:
    """Write `result.npz` atomically. Raises ArtifactError where it cannot be written."""
    arrays = {name: getattr(result, name) for name in _SHAPES}
    arrays |= {
        "schema": np.array(SCHEMA),
        "fps": np.array([result.fps.numerator, result.fps.denominator], np.int64),
        "body_model": np.array(result.body_model),
        "profile": np.array(result.profile),
        "licences": np.array(result.licences, dtype=np.str_),
    }
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def load_result(path: Path | str) -> Result:
    """Read `result.npz`, checking schema, dtypes and shapes.

    Raises ArtifactError where the file is missing, not such a file, or of another version.
    """
    path = Path(path)
    try:
        with np.load(path, allow_pickle=False) as archive:  # TypeError: a bare .npy array
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError as error:
        raise ArtifactError(
            f"no result at {path}: expected a file that `multithumbs run` wrote"
        ) from error
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ArtifactError(
            f"{path} cannot be read ({type(error).__name__}): expected {SCHEMA}; run again"
        ) from error
    return _checked(path, arrays)


def _checked(path: Path, stored: Mapping[str, np.ndarray]) -> Result:
    found = str(stored["schema"]) if "schema" in stored else None
    if found != SCHEMA:
        what = f"has schema '{found}'" if found else "has no schema"
        raise ArtifactError(f"{path} {what}: expected {SCHEMA}; write it again with this version")
    missing = {*_SHAPES, "fps", "body_model", "profile", "licences"} - set(stored)
    if missing:
        raise ArtifactError(
            f"{path} lacks {', '.join(sorted(missing))}: expected all of schema {SCHEMA}; run again"
        )
    arrays = {name: stored[name] for name in _SHAPES}
    lengths: dict[str, int] = {}
    for name, (dtype, shape) in _SHAPES.items():
        array = arrays[name]
        if array.dtype != dtype or array.ndim != len(shape):
            raise _wrong(path, name, array, dtype, shape)
        for length, expected in zip(array.shape, shape, strict=True):
            known = lengths.setdefault(expected, length) if isinstance(expected, str) else expected
            if length != known:
                raise _wrong(path, name, array, dtype, shape)
    numerator, denominator = stored["fps"].tolist()
    return Result(
        **arrays,
        fps=Fraction(numerator, denominator),
        body_model=str(stored["body_model"]),
        profile=str(stored["profile"]),
        licences=tuple(stored["licences"].tolist()),
    )


def _wrong(
    path: Path, name: str, array: np.ndarray, dtype: str, shape: tuple[str | int, ...]
) -> ArtifactError:
    expected = f"{dtype} ({', '.join(map(str, shape))})"
    return ArtifactError(
        f"{path}: '{name}' is {array.dtype} {array.shape}, expected {expected}; run again"
    )
