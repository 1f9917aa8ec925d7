"""Gives an imported SMPL body the UV map of its publisher's Wavefront file (`smpl_uv.obj`).

The pickles hold no UV map; whoever has registered for SMPL may download it beside them. Without
one a body has no textures: appearance is then left out wherever it is compared.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from multithumbs.body.storage import read_body_file, write_body_file
from multithumbs.errors import CheckpointError


def import_atlas(obj_path: Path, body_npz: Path) -> None:
    """Write the UV map of ``obj_path`` into ``body_npz``.

    The file's faces may come in any order and begin at any corner, but must be the body's.

    Raises:
        CheckpointError: either file is missing or damaged, or they are of two bodies; the body
            file is then left as it was.
    """
    tables, _ = read_body_file(body_npz)
    uv, vertex, texture = _read_obj(obj_path)
    entry = {_turned(corners): n for n, corners in enumerate(vertex.tolist())}
    index = np.zeros_like(tables.faces)
    for face, corners in enumerate(tables.faces.tolist()):
        found = entry.get(_turned(corners))
        if found is None:
            raise CheckpointError(
                f"{obj_path} lacks face {face} of {body_npz}; expected the UV file of the same "
                "body, smpl_uv.obj from https://smpl.is.tue.mpg.de"
            )
        at = dict(zip(vertex[found].tolist(), texture[found].tolist(), strict=True))
        index[face] = [at[corner] for corner in corners]
    try:
        mapped = replace(tables, uv=uv, face_uv_index=index).checked()
    except ValueError as error:
        raise CheckpointError(f"{obj_path} is no UV map ({error}); download it again") from error
    write_body_file(body_npz, mapped)


def _turned(corners: list[int]) -> tuple[int, ...]:
    """The face from its smallest vertex on: its orientation is kept."""
    start = corners.index(min(corners))
    return tuple(corners[start:] + corners[:start])


def _read_obj(
    path: Path,
) -> tuple[Float64[np.ndarray, "T 2"], Int64[np.ndarray, "F 3"], Int64[np.ndarray, "F 3"]]:
    """UV coordinates (v down), and the vertices and UV rows of each triangle, from 0."""
    uv, vertex, texture = [], [], []
    try:
        for line in path.read_text().splitlines():
            kind, _, rest = line.partition(" ")
            if kind == "vt":
                u, v = (float(x) for x in rest.split()[:2])
                uv.append((u, 1 - v))
            elif kind == "f":
                corners = [corner.split("/")[:2] for corner in rest.split()]
                vertex.append([int(corner[0]) - 1 for corner in corners])
                texture.append([int(corner[1]) - 1 for corner in corners])
        tables = np.array(uv, dtype=np.float64).reshape(-1, 2), np.array(vertex), np.array(texture)
        if tables[1].shape[1:] != (3,) or not len(uv):
            raise ValueError("no triangles with UV coordinates")
    except OSError as error:
        raise CheckpointError(f"cannot read {path} ({error.strerror or error})") from error
    except (ValueError, IndexError) as error:
        raise CheckpointError(
            f"{path} is no Wavefront file with a UV map ({error}); expected smpl_uv.obj from "
            "https://smpl.is.tue.mpg.de"
        ) from error
    return tables[0], tables[1].astype(np.int64), tables[2].astype(np.int64)
