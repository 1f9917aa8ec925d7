"""A UV map from a Wavefront file, for a body that was imported without one."""

from dataclasses import replace

import numpy as np
import pytest

from multithumbs.body import EMBEDDED_BODY
from multithumbs.body.atlas import import_atlas
from multithumbs.body.storage import read_body_file, write_body_file
from multithumbs.errors import CheckpointError


@pytest.fixture
def bare(tmp_path):
    """The embedded body without its map, and the map as a publisher would write it: v up, faces
    in another order, beginning at other corners."""
    tables, _ = read_body_file(EMBEDDED_BODY)
    write_body_file(
        tmp_path / "body.npz",
        replace(tables, uv=np.zeros((0, 2)), face_uv_index=np.zeros((0, 3), np.int64)),
    )
    rng = np.random.default_rng(0)
    lines = [f"v {x} {y} {z}" for x, y, z in tables.v_template[:3]]
    lines += [f"vt {float(u)!r} {float(1 - v)!r}" for u, v in tables.uv]
    for face in rng.permutation(len(tables.faces)):
        turn = np.roll(np.arange(3), rng.integers(3))
        pairs = zip(tables.faces[face][turn] + 1, tables.face_uv_index[face][turn] + 1, strict=True)
        lines.append("f " + " ".join(f"{v}/{t}" for v, t in pairs))
    (tmp_path / "body_uv.obj").write_text("\n".join(lines))
    return tmp_path, tables, lines


def test_the_map_comes_back(bare):
    folder, tables, _ = bare
    import_atlas(folder / "body_uv.obj", folder / "body.npz")
    found, _ = read_body_file(folder / "body.npz")
    np.testing.assert_allclose(found.uv, tables.uv, atol=1e-12)
    np.testing.assert_array_equal(found.face_uv_index, tables.face_uv_index)
    np.testing.assert_array_equal(found.faces, tables.faces)


def test_another_bodys_map_is_refused(bare):
    folder, _, lines = bare
    before = (folder / "body.npz").read_bytes()
    cases = {"lacks face": lines[:-1], "no Wavefront file": ["f 1 2 3"], "no triangles": ["vt 0 0"]}
    for message, content in cases.items():
        (folder / "body_uv.obj").write_text("\n".join(content))
        with pytest.raises(CheckpointError, match=message):
            import_atlas(folder / "body_uv.obj", folder / "body.npz")
    with pytest.raises(CheckpointError, match="cannot read"):
        import_atlas(folder / "none.obj", folder / "body.npz")
    assert (folder / "body.npz").read_bytes() == before
