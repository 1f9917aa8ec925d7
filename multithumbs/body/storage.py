"""The body file: one npz, no pickle, that holds SMPL's own tables for any body we load.

The embedded body and an imported licensed SMPL share this schema, so nothing beyond
`multithumbs.body` knows which of the two it was given.
"""

import contextlib
import hashlib
import io
import os
import struct
import zipfile
import zlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

import numpy as np

from multithumbs.errors import ArtifactError, CheckpointError
from multithumbs.types.skeleton import JOINT_PARENTS, KEYPOINT_NAMES

SCHEMA: Final = "multithumbs-body-1"
NUM_JOINTS: Final = len(JOINT_PARENTS)
NUM_KEYPOINTS: Final = len(KEYPOINT_NAMES)
NUM_BETAS: Final = 10

PART_NAMES: Final = (
    "face", "hair", "eye", "neck", "torso", "upper_arm", "forearm", "hand",
    "hips", "thigh", "shank", "foot",
)  # fmt: skip
"""What a vertex belongs to, so that clothes of any cut can be painted on a body."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BodyTables:
    """What a body file holds (NumPy; metres, SMPL's axes).

    Regressors and weights are dense here and sparse in the file. ``keypoint_vertices`` and
    ``keypoint_joints`` together sum to one per keypoint and are never negative.
    """

    name: str
    licence: str
    v_template: np.ndarray
    """(V, 3)."""
    shapedirs: np.ndarray
    """(V, 3, 10) metres per unit of each beta."""
    posedirs: np.ndarray
    """(V, 3, 207), or (0, 3, 207) for a body without pose blend shapes."""
    J_regressor: np.ndarray
    """(24, V)."""
    lbs_weights: np.ndarray
    """(V, 24); rows sum to one."""
    faces: np.ndarray
    """(F, 3) int64, outward by the right-hand rule."""
    keypoint_vertices: np.ndarray
    """(23, V): the share of each vertex in each keypoint."""
    keypoint_joints: np.ndarray
    """(23, 24): the share of each posed joint in each keypoint."""
    betas_range: np.ndarray
    """(2, 10): least and greatest betas of the people it was made from (children included)."""
    uv: np.ndarray
    """(T, 2) in [0, 1], v down (texture rows); (0, 2) for a body without a UV layout."""
    face_uv_index: np.ndarray
    """(F, 3) int64 into ``uv``; (0, 3) for a body without a UV layout."""
    vertex_part: np.ndarray
    """(V,) int64 into `PART_NAMES`; (0,) where unknown."""

    def checked(self) -> "BodyTables":
        """Itself; `ValueError` says what is wrong where the tables contradict one another."""
        if problem := _contradiction(self):
            raise ValueError(problem)
        return self


_SPARSE: Final = ("J_regressor", "lbs_weights", "keypoint_vertices", "keypoint_joints")
_TEXT: Final = ("name", "licence")
_INTEGER: Final = ("faces", "face_uv_index", "vertex_part")


def write_body_file(path: Path, tables: BodyTables) -> None:
    """Write atomically; equal tables give equal bytes. `ArtifactError` if it cannot be written."""
    arrays: dict[str, np.ndarray] = {"schema": np.array(SCHEMA)}
    for field in fields(tables):
        value = getattr(tables, field.name)
        if field.name in _TEXT:
            arrays[field.name] = np.array(value)
        elif field.name in _SPARSE:
            rows, columns = np.nonzero(value)
            arrays |= {
                f"{field.name}_row": rows.astype(np.uint16),
                f"{field.name}_column": columns.astype(np.uint16),
                f"{field.name}_value": value[rows, columns],
                f"{field.name}_shape": np.array(value.shape),
            }
        else:
            arrays[field.name] = _narrow(value) if field.name in _INTEGER else value
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(buffer.getvalue())
        partial.replace(path)
    except OSError as error:
        raise ArtifactError(
            f"cannot write the body file {path} ({error.strerror}); "
            "free space or choose another folder"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def _narrow(values: np.ndarray) -> np.ndarray:
    return values.astype(np.uint16 if values.size and values.max() < 2**16 else np.int64)


def read_body_file(path: Path) -> tuple[BodyTables, str]:
    """The tables of a body file and the sha256 of its bytes.

    Raises `CheckpointError` where the file is missing, is not a body file, or contradicts
    itself; nothing in it is ever unpickled.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(
            f"cannot read the body file {path} ({error.strerror}); expected an .npz that "
            "`multithumbs checkpoints import SMPL_NEUTRAL.pkl` wrote: make it first"
        ) from error
    try:
        tables = _tables(_arrays(content)).checked()
    except _UNREADABLE as error:
        problem = str(error).partition("\n")[0]
        raise CheckpointError(
            f"{path} is not a body file or is damaged ({problem}); expected an .npz that "
            "`multithumbs checkpoints import SMPL_NEUTRAL.pkl` wrote: make it again"
        ) from error
    return tables, hashlib.sha256(content).hexdigest()


_UNREADABLE: Final = (
    ValueError, TypeError, KeyError, IndexError, EOFError, OverflowError, MemoryError,
    NotImplementedError, RuntimeError, OSError, zipfile.BadZipFile, zlib.error, struct.error,
)  # fmt: skip
"""What NumPy and zipfile raise, between them, on bytes that are not an npz of ours."""


def _arrays(content: bytes) -> dict[str, np.ndarray]:
    if not zipfile.is_zipfile(io.BytesIO(content)):
        raise ValueError("no zip archive")
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    if str(arrays.get("schema")) != SCHEMA:
        raise ValueError(f"schema {arrays.get('schema')}, expected {SCHEMA}")
    return arrays


def _tables(arrays: dict[str, np.ndarray]) -> BodyTables:
    values: dict[str, object] = {}
    for field in fields(BodyTables):
        name = field.name
        if name in _TEXT:
            values[name] = str(arrays[name])
        elif name in _SPARSE:
            dense = np.zeros(tuple(arrays[f"{name}_shape"]))
            dense[arrays[f"{name}_row"], arrays[f"{name}_column"]] = arrays[f"{name}_value"]
            values[name] = dense
        else:
            values[name] = arrays[name].astype(np.int64 if name in _INTEGER else np.float64)
    return BodyTables(**values)  # type: ignore[arg-type]


def _contradiction(tables: BodyTables) -> str | None:
    """What is wrong with the tables, in words, or None."""
    num_vertices, num_faces = len(tables.v_template), len(tables.faces)
    posed = num_vertices if len(tables.posedirs) else 0
    mapped = num_faces if len(tables.uv) else 0
    expected = {
        "v_template": (num_vertices, 3),
        "shapedirs": (num_vertices, 3, NUM_BETAS),
        "posedirs": (posed, 3, 9 * (NUM_JOINTS - 1)),
        "J_regressor": (NUM_JOINTS, num_vertices),
        "lbs_weights": (num_vertices, NUM_JOINTS),
        "faces": (num_faces, 3),
        "keypoint_vertices": (NUM_KEYPOINTS, num_vertices),
        "keypoint_joints": (NUM_KEYPOINTS, NUM_JOINTS),
        "betas_range": (2, NUM_BETAS),
        "uv": (len(tables.uv), 2),
        "face_uv_index": (mapped, 3),
        "vertex_part": (num_vertices if len(tables.vertex_part) else 0,),
    }
    for name, shape in expected.items():
        values = getattr(tables, name)
        if values.shape != shape:
            return f"{name} has shape {values.shape}, expected {shape}"
        if not np.isfinite(values).all():
            return f"{name} holds numbers that are not finite"
    bounds = {
        "faces": num_vertices,
        "face_uv_index": len(tables.uv),
        "vertex_part": len(PART_NAMES),
    }
    for name, bound in bounds.items():
        values = getattr(tables, name)
        if values.size and not 0 <= values.min() <= values.max() < bound:
            return f"{name} holds an index outside 0..{bound - 1}"
    if np.abs(tables.lbs_weights.sum(1) - 1).max() > 1e-3:
        return "lbs_weights do not sum to one"
    shares = tables.keypoint_vertices.sum(1) + tables.keypoint_joints.sum(1)
    if np.abs(shares - 1).max() > 1e-3:
        return "the keypoint regressors do not sum to one"
    return None
