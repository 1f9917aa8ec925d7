"""`result.npz`: what is written is read back; foreign and broken files give one clear line."""

import dataclasses
import errno

import numpy as np
import pytest

from multithumbs.errors import ArtifactError
from multithumbs.export.result import SCHEMA, load_result, save_result


def test_round_trip_is_exact(two_shots, tmp_path):
    path = tmp_path / "deep" / "result.npz"
    save_result(two_shots, path)
    read = load_result(path)
    for field in dataclasses.fields(two_shots):
        left, right = getattr(two_shots, field.name), getattr(read, field.name)
        if isinstance(left, np.ndarray):
            assert left.dtype == right.dtype
            np.testing.assert_array_equal(left, right)
        else:
            assert left == right
    assert [p.name for p in path.parent.iterdir()] == ["result.npz"]


def test_keys_are_those_of_the_schema(two_shots, tmp_path):
    save_result(two_shots, tmp_path / "result.npz")
    with np.load(tmp_path / "result.npz", allow_pickle=False) as archive:
        assert set(archive.files) == {
            "schema", "person", "frame", "shot", "island", "global_orient", "body_pose", "betas",
            "transl", "joints_world", "observed", "confidence", "camera_frame", "K",
            "world_from_cam", "camera_island", "shot_start", "shot_end", "fps", "body_model",
            "profile", "licences",
        }  # fmt: skip
        assert str(archive["schema"]) == SCHEMA
        assert archive["fps"].tolist() == [30000, 1001]


def _rewrite(path, **changes):
    with np.load(path) as archive:
        arrays = dict(archive)
    for name, value in changes.items():
        if value is None:
            del arrays[name]
        else:
            arrays[name] = value
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": np.array("other/9")}, "has schema 'other/9'"),
        ({"schema": None}, "has no schema"),
        ({"transl": None}, "lacks transl: expected all"),
        ({"transl": np.zeros((3, 2))}, "'transl' is float64 \\(3, 2\\), expected float64 \\(N, 3"),
        ({"person": np.zeros(3)}, "'person' is float64"),
        ({"betas": np.zeros((3, 10))}, "'betas' is float64 \\(3, 10\\)"),
    ],
)
def test_foreign_arrays_are_refused_in_one_line(two_shots, tmp_path, changes, message):
    path = tmp_path / "result.npz"
    save_result(two_shots, path)
    _rewrite(path, **changes)
    with pytest.raises(ArtifactError, match=message) as caught:
        load_result(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut short"])
def test_broken_files_are_refused(tmp_path, content):
    path = tmp_path / "result.npz"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="cannot be read"):
        load_result(path)


def test_a_bare_array_is_refused(tmp_path):
    with (tmp_path / "result.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ArtifactError, match="cannot be read"):
        load_result(tmp_path / "result.npz")


def test_truncated_file_is_refused(two_shots, tmp_path):
    path = tmp_path / "result.npz"
    save_result(two_shots, path)
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(ArtifactError, match="cannot be read"):
        load_result(path)


def test_a_pickle_is_never_opened(two_shots, tmp_path):
    path = tmp_path / "result.npz"
    save_result(two_shots, path)
    _rewrite(path, person=np.array([object()], dtype=object))
    with pytest.raises(ArtifactError, match="cannot be read"):
        load_result(path)


def test_missing_file_says_what_writes_it(tmp_path):
    with pytest.raises(ArtifactError, match="multithumbs run"):
        load_result(tmp_path / "result.npz")


def test_a_full_disk_keeps_the_old_file(two_shots, tmp_path, monkeypatch):
    path = tmp_path / "result.npz"
    save_result(two_shots, path)
    before = path.read_bytes()

    def full(file, **arrays):
        file.write(b"the beginning")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(ArtifactError, match="No space left"):
        save_result(two_shots, path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_unwritable_folder_is_one_line(two_shots, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ArtifactError, match="cannot write"):
        save_result(two_shots, tmp_path / "file" / "result.npz")


def test_islands_side_by_side_do_not_overlap(two_islands):
    offsets = two_islands.island_offsets()
    assert offsets.shape == (2, 3)
    np.testing.assert_array_equal(offsets[0], 0)
    shifted = two_islands.joints_world + offsets[two_islands.island][:, None]
    left, right = (shifted[two_islands.island == i][..., 0] for i in (0, 1))
    assert left.max() < right.min()


def test_nobody_at_all_round_trips(nobody, tmp_path):
    save_result(nobody, tmp_path / "result.npz")
    read = load_result(tmp_path / "result.npz")
    assert len(read.person) == 0
    assert read.num_islands == 1
    assert len(read.people) == 0
