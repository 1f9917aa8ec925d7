"""Reads a licensed SMPL pickle once, executing nothing in it, and saves it as a body file.

SMPL is distributed as Python 2 pickles of NumPy arrays, SciPy sparse matrices and chumpy
nodes. A pickle may name any callable; here the names below resolve to inert stand-ins of ours
and every other name is refused, so that neither foreign code, nor NumPy's own unpickling
(which trusts the sizes and types it is told), nor SciPy, nor chumpy ever runs.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from multithumbs.array_pickle import array_stand_ins
from multithumbs.body.storage import (
    NUM_BETAS,
    NUM_JOINTS,
    NUM_KEYPOINTS,
    BodyTables,
    write_body_file,
)
from multithumbs.errors import CheckpointError
from multithumbs.types.skeleton import JOINT_NAMES, JOINT_PARENTS, KEYPOINT_NAMES

SMPL_VERTICES: Final = 6890
SMPL_LICENCE: Final = "SMPL model licence (Max Planck, non-commercial), https://smpl.is.tue.mpg.de"
SMPL_BETAS_RANGE: Final = (-5.0, 5.0)
"""Customary bounds of SMPL's betas; its files say nothing."""

SMPL_KEYPOINT_VERTICES: Final = {
    "nose": 332, "left_eye": 2800, "right_eye": 6260, "left_ear": 583, "right_ear": 4071,
    "left_big_toe": 3216, "left_small_toe": 3226, "left_heel": 3387,
    "right_big_toe": 6617, "right_small_toe": 6624, "right_heel": 6787,
}  # fmt: skip
"""Vertices that stand for keypoints (smplx's published list); all others are joints."""


def import_smpl(pkl_path: Path, out_npz_path: Path) -> None:
    """Convert ``SMPL_*.pkl`` or ``basicModel_*_lbs_10_207_0_v1.0.0.pkl`` to a body file.

    Raises `CheckpointError` where the pickle is missing, damaged, not SMPL, or names anything
    that SMPL's files do not need; `ArtifactError` where the body file cannot be written.
    Nothing is written unless the whole conversion succeeds.
    """
    tables = _unpickle(pkl_path)
    try:
        body = _body_tables(pkl_path.stem, tables)
    except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise CheckpointError(
            f"{pkl_path} is not an SMPL body ({type(error).__name__}: {error}); "
            "expected SMPL_NEUTRAL.pkl from https://smpl.is.tue.mpg.de"
        ) from error
    write_body_file(out_npz_path, body)


def _unpickle(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            content = _Unpickler(file, path).load()
    except OSError as error:
        raise CheckpointError(
            f"cannot read {path} ({error.strerror}); expected the SMPL pickle that you downloaded"
        ) from error
    except (
        pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, IndexError,
        AttributeError, MemoryError, OverflowError, RecursionError, ImportError,
    ) as error:  # fmt: skip
        raise CheckpointError(
            f"{path} is not a pickle that SMPL uses, or is damaged ({type(error).__name__}); "
            "expected SMPL_NEUTRAL.pkl: download it again"
        ) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds no SMPL model; expected SMPL_NEUTRAL.pkl")
    return content


class _Unpickler(pickle.Unpickler):
    """Resolves the few names of `_stand_ins`, made anew for every file."""

    def __init__(self, file: Any, path: Path) -> None:
        super().__init__(file, encoding="latin1")
        self._path = path
        # A pickle can set attributes on classes it is given: none outlives this object.
        self._known = _stand_ins()

    def find_class(self, module: str, name: str, /) -> Any:
        known = self._known.get((module, name))
        if known is None:
            raise CheckpointError(
                f"{self._path} is refused: it asks for {module}.{name}, which SMPL's files do not "
                "need; expected SMPL_NEUTRAL.pkl: do not use this file"
            )
        return known


def _stand_ins() -> dict[tuple[str, str], Any]:
    """What each name in an SMPL pickle becomes. None of it runs code that the pickle chose."""

    class Stored:
        """Remembers the state it is given."""

        kind = ""

        def __init__(self, *_: object) -> None:
            self.state: Any = {}

        def __setstate__(self, state: object) -> None:
            self.state = state

    def stored(kind: str) -> type:
        return type("Stored", (Stored,), {"kind": kind})

    def reconstructor(kind: object, *_: object) -> object:
        if not (isinstance(kind, type) and issubclass(kind, Stored)):
            raise TypeError("object of a foreign class")
        return kind()

    known: dict[tuple[str, str], Any] = array_stand_ins() | {
        ("copy_reg", "_reconstructor"): reconstructor,
        ("copyreg", "_reconstructor"): reconstructor,
        ("chumpy.ch", "Ch"): stored("Ch"),
        ("chumpy.reordering", "Select"): stored("Select"),
    }
    for form in ("csc", "csr"):
        for module in (f"scipy.sparse.{form}", f"scipy.sparse._{form}"):
            known[module, f"{form}_matrix"] = stored(form)
    for module in ("__builtin__", "builtins"):
        known[module, "object"] = stored("object")
        known[module, "set"] = set
    return known


def _array(value: Any) -> np.ndarray:
    """The array in a stand-in: an array, a sparse matrix, or a chumpy node."""
    if isinstance(value, np.ndarray):
        return value
    if hasattr(value, "array"):
        return value.array
    kind, state = getattr(value, "kind", ""), getattr(value, "state", {})
    match kind:
        case "Ch":
            return _array(state["x"])
        case "Select":  # chumpy's: rows of the flattened source, in another shape
            picked = _array(state["a"]).ravel()[_array(state["idxs"]).ravel()]
            return picked.reshape(tuple(int(size) for size in state["preferred_shape"]))
        case "csc" | "csr":
            return _dense(kind, state)
    raise TypeError(f"expected an array, got {type(value).__name__} {kind}")


def _dense(kind: str, state: Mapping[str, Any]) -> np.ndarray:
    """A compressed sparse matrix as a dense one."""
    shape = tuple(int(size) for size in state["_shape"])
    if len(shape) != 2 or max(shape) > SMPL_VERTICES:
        raise ValueError(f"sparse matrix of shape {shape}")
    starts, minor = _array(state["indptr"]), _array(state["indices"])
    major = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    dense = np.zeros(shape)
    index = (minor, major) if kind == "csc" else (major, minor)
    np.add.at(dense, index, _array(state["data"]))
    return dense


def _body_tables(name: str, tables: Mapping[str, Any]) -> BodyTables:
    v_template = _array(tables["v_template"]).astype(np.float64)
    if v_template.shape != (SMPL_VERTICES, 3):
        raise ValueError(f"v_template has shape {v_template.shape}, expected (6890, 3)")
    parents = _array(tables["kintree_table"])[0].astype(np.int64)
    if tuple(parents[1:]) != JOINT_PARENTS[1:]:
        raise ValueError("the kinematic tree is not SMPL's")
    shapedirs = _array(tables["shapedirs"]).astype(np.float64)
    posedirs = _array(tables["posedirs"]).astype(np.float64)
    keypoint_vertices = np.zeros((NUM_KEYPOINTS, SMPL_VERTICES))
    keypoint_joints = np.zeros((NUM_KEYPOINTS, NUM_JOINTS))
    for row, keypoint in enumerate(KEYPOINT_NAMES):
        if keypoint in SMPL_KEYPOINT_VERTICES:
            keypoint_vertices[row, SMPL_KEYPOINT_VERTICES[keypoint]] = 1
        else:
            keypoint_joints[row, JOINT_NAMES.index(keypoint)] = 1
    return BodyTables(
        name=name,
        licence=SMPL_LICENCE,
        v_template=v_template,
        shapedirs=np.ascontiguousarray(shapedirs[:, :, :NUM_BETAS]),
        posedirs=posedirs,
        J_regressor=_array(tables["J_regressor"]).astype(np.float64),
        lbs_weights=_array(tables["weights"]).astype(np.float64),
        faces=_array(tables["f"]).astype(np.int64),
        keypoint_vertices=keypoint_vertices,
        keypoint_joints=keypoint_joints,
        betas_range=np.tile(np.array(SMPL_BETAS_RANGE)[:, None], (1, NUM_BETAS)),
        uv=np.zeros((0, 2)),
        face_uv_index=np.zeros((0, 3), np.int64),
        vertex_part=np.zeros(0, np.int64),
    ).checked()
