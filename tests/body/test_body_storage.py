"""Body files: equal bytes for equal tables, and one clear line for anything else."""

import io
import pickle
import zipfile

import numpy as np
import pytest

from multithumbs.body import EMBEDDED_BODY, load_body
from multithumbs.body.storage import BodyTables, read_body_file, write_body_file
from multithumbs.errors import ArtifactError, CheckpointError


@pytest.fixture
def path(tmp_path, random_tables):
    target = tmp_path / "noise.npz"
    write_body_file(target, random_tables(40))
    return target


def with_array(path, name, value):
    with np.load(path) as stored:
        arrays = {key: stored[key] for key in stored.files} | {name: value}
    np.savez_compressed(path, **arrays)


def test_what_is_written_is_read(path, random_tables) -> None:
    expected = random_tables(40)
    tables, sha256 = read_body_file(path)
    for name in BodyTables.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(tables, name), getattr(expected, name))
    assert len(sha256) == 64


def test_equal_tables_give_equal_bytes(path, tmp_path, random_tables) -> None:
    write_body_file(tmp_path / "again.npz", random_tables(40))
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()
    assert not list(tmp_path.glob("*.part"))


def test_missing_file(tmp_path) -> None:
    with pytest.raises(CheckpointError, match=r"cannot read .*none\.npz"):
        load_body(tmp_path / "none.npz")


@pytest.mark.parametrize(
    "content", [b"", b"not a body", pickle.dumps({"v_template": 1}), b"PK\x03\x04" + b"\0" * 64]
)
def test_files_of_another_kind(tmp_path, content) -> None:
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(CheckpointError, match="is not a body file"):
        load_body(tmp_path / "x.npz")


def test_a_lone_array_and_a_foreign_npz(tmp_path) -> None:
    np.save(tmp_path / "x.npy", np.zeros(3))
    np.savez(tmp_path / "y.npz", v_template=np.zeros(3))
    for name in ("x.npy", "y.npz"):
        with pytest.raises(CheckpointError, match="is not a body file"):
            load_body(tmp_path / name)


def test_pickled_objects_in_an_npz_are_not_loaded(path) -> None:
    with_array(path, "name", np.array([{"a": 1}], dtype=object))
    with pytest.raises(CheckpointError):
        load_body(path)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("v_template", np.zeros((40, 2)), "v_template has shape"),
        ("v_template", np.full((40, 3), np.nan), "not finite"),
        ("shapedirs", np.zeros((40, 3, 300)), "shapedirs has shape"),
        ("faces", np.full((70, 3), 40), "outside"),
        ("faces", np.full((70, 3), -1), "outside"),
        ("lbs_weights_value", np.zeros(0), "shape mismatch|could not broadcast"),
        ("lbs_weights_row", np.full(3, 60000), "shape mismatch|out of bounds"),
        ("J_regressor_shape", np.array([24, 41]), "J_regressor has shape"),
        ("keypoint_joints_shape", np.array([10**9, 10**9]), "allocate|too big|Maximum"),
        ("schema", np.array("multithumbs-body-99"), "schema"),
    ],
)
def test_tables_that_contradict_themselves(path, name, value, problem) -> None:
    with_array(path, name, value)
    with pytest.raises(CheckpointError, match=problem):
        load_body(path)


def test_damage_anywhere_is_one_clear_line(path) -> None:
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for trial in range(60):
        damaged = bytearray(content)
        if trial % 2:
            damaged = damaged[: rng.integers(1, len(content))]
        else:
            damaged[rng.integers(0, len(content))] ^= 1 << int(rng.integers(0, 8))
        path.write_bytes(damaged)
        try:
            load_body(path)  # a flipped bit in the archive's own bookkeeping may not matter
        except CheckpointError as error:
            assert "\n" not in str(error)


def test_unwritable_folder(tmp_path, random_tables) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="cannot write the body file"):
        write_body_file(tmp_path / "file" / "x.npz", random_tables(40))


def test_the_asset_holds_no_pickle() -> None:
    with zipfile.ZipFile(EMBEDDED_BODY) as archive:
        for name in archive.namelist():
            array = np.load(io.BytesIO(archive.read(name)), allow_pickle=False)
            assert array.dtype != object
