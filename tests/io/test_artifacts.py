"""Artifacts: what is read is what was written, and damage never passes."""

import math
import shutil
import subprocess
from dataclasses import dataclass, fields
from enum import StrEnum
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import Bool, Float64, Int64, UInt8

from multithumbs.errors import ArtifactError
from multithumbs.io import artifacts
from multithumbs.io.artifacts import DATA, MANIFEST, read_artifact, read_manifest, write_artifact
from multithumbs.io.atomic import TEMPORARY, replacing, sweep


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    points: Float64[np.ndarray, "N 3"]
    seen: Bool[np.ndarray, " N"]
    image: UInt8[np.ndarray, "H W 3"]
    empty: Int64[np.ndarray, "0 2"]
    optional: Int64[np.ndarray, " N"] | None
    colour: Colour
    name: str
    size: tuple[int, int]
    notes: tuple[str, ...]
    rate: Fraction
    loss: float
    maybe: float | None
    count: int
    flag: bool


def sample(loss: float = 0.1) -> Sample:
    rng = np.random.default_rng(7)
    points = rng.normal(size=(5, 3))
    points[2] = np.nan
    return Sample(
        points=points,
        seen=rng.random(5) > 0.5,
        image=rng.integers(0, 255, (4, 6, 3), dtype=np.uint8)[:, ::-1],
        empty=np.zeros((0, 2), np.int64),
        optional=None,
        colour=Colour.BLUE,
        name="snowman \u2603",
        size=(720, 1280),
        notes=("a", ""),
        rate=Fraction(30000, 1001),
        loss=loss,
        maybe=None,
        count=3,
        flag=True,
    )


def test_round_trip_is_exact(tmp_path: Path) -> None:
    written = sample(loss=math.nan)
    manifest = write_artifact(tmp_path / "a", written, key="k", seconds=1.5, peak_rss_mb=20.0)
    assert read_manifest(tmp_path / "a") == manifest
    read = read_artifact(tmp_path / "a", Sample)
    for field in fields(Sample):
        before, after = getattr(written, field.name), getattr(read, field.name)
        np.testing.assert_array_equal(after, before)
        assert type(after) is type(before), field.name


def test_digest_is_of_content_alone(tmp_path: Path) -> None:
    first = write_artifact(tmp_path / "a", sample(), key="one")
    again = write_artifact(tmp_path / "b", sample(), key="two", seconds=9.0)
    other = write_artifact(tmp_path / "c", sample(loss=np.nextafter(0.1, 1)), key="one")
    assert first.digest == again.digest != other.digest


def test_overwriting_replaces_whole_and_leaves_nothing_behind(tmp_path: Path) -> None:
    write_artifact(tmp_path / "a", sample(1.0), key="old")
    write_artifact(tmp_path / "a", sample(2.0), key="new")
    assert read_artifact(tmp_path / "a", Sample).loss == 2.0
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_every_flipped_byte_and_every_truncation_is_refused(tmp_path: Path) -> None:
    write_artifact(tmp_path / "a", sample(), key="k")
    path = tmp_path / "a" / DATA
    whole = path.read_bytes()
    expected = sample().points
    for at in range(0, len(whole), 3):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:  # a few bytes of a zip carry nothing: then the content must be whole
            np.testing.assert_array_equal(read_artifact(tmp_path / "a", Sample).points, expected)
        except ArtifactError:
            continue
    for length in range(0, len(whole), 11):
        path.write_bytes(whole[:length])
        with pytest.raises(ArtifactError):
            read_artifact(tmp_path / "a", Sample)


def test_a_flipped_array_byte_is_refused(tmp_path: Path) -> None:
    write_artifact(tmp_path / "a", sample(), key="k")
    path = tmp_path / "a" / DATA
    whole = path.read_bytes()
    at = whole.index(sample().points[0].tobytes())
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    with pytest.raises(ArtifactError, match="damaged"):
        read_artifact(tmp_path / "a", Sample)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 1}'])
def test_a_damaged_manifest_is_refused(tmp_path: Path, text: str) -> None:
    write_artifact(tmp_path / "a", sample(), key="k")
    (tmp_path / "a" / MANIFEST).write_text(text)
    with pytest.raises(ArtifactError, match="manifest"):
        read_artifact(tmp_path / "a", Sample)


def test_no_manifest_means_not_done(tmp_path: Path) -> None:
    write_artifact(tmp_path / "a", sample(), key="k")
    (tmp_path / "a" / MANIFEST).unlink()
    assert read_manifest(tmp_path / "a") is None
    with pytest.raises(ArtifactError, match="no finished Sample"):
        read_artifact(tmp_path / "a", Sample)


def test_another_type_is_refused(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Other:
        x: float

    write_artifact(tmp_path / "a", Other(1.0), key="k")
    with pytest.raises(ArtifactError, match="holds Other, expected Sample"):
        read_artifact(tmp_path / "a", Sample)


def test_fields_of_another_version_are_refused(tmp_path: Path) -> None:
    def version(annotations: dict[str, type]) -> type:
        return dataclass(frozen=True)(type("Thing", (), {"__annotations__": annotations}))

    write_artifact(tmp_path / "a", version({"x": float})(1.0), key="k")
    with pytest.raises(ArtifactError, match="another version"):
        read_artifact(tmp_path / "a", version({"x": float, "y": float}))


def test_python_objects_are_never_stored(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Bad:
        x: object

    for value in (np.array([{}], dtype=object), {}, [1]):
        with pytest.raises(TypeError, match=r"Bad\.x"):
            write_artifact(tmp_path / "a", Bad(value), key="k")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_one_line_and_harms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_artifact(tmp_path / "a", sample(1.0), key="old")

    def full(path: Path, **arrays: np.ndarray) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(artifacts.np, "savez", full)
    with pytest.raises(ArtifactError, match=r"cannot write .*: No space left on device; free"):
        write_artifact(tmp_path / "a", sample(2.0), key="new")
    assert read_artifact(tmp_path / "a", Sample).loss == 1.0
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_truly_full_disk(tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    tool = shutil.which("mount")
    command = [tool or "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(mount)]
    if tool is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting needs root")
    try:
        write_artifact(mount / "a", sample(1.0), key="old")
        (mount / "ballast").write_bytes(bytes(40_000))
        big = Sample(
            **{f.name: getattr(sample(), f.name) for f in fields(Sample)}
            | {"image": np.zeros((200, 200, 3), np.uint8)}
        )
        with pytest.raises(ArtifactError, match="No space left"):
            write_artifact(mount / "a", big, key="new")
        assert read_artifact(mount / "a", Sample).loss == 1.0
        assert sorted(p.name for p in mount.iterdir()) == ["a", "ballast"]
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_an_unwritable_place_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match=r"cannot write [^;]*; free or unlock"):
        write_artifact(tmp_path / "file" / "a", sample(), key="k")


def test_replacing_a_file_is_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with replacing(path) as temporary:
        temporary.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_sweep_removes_only_leftovers(tmp_path: Path) -> None:
    write_artifact(tmp_path / "s" / "a", sample(), key="k")
    (tmp_path / "s" / f".a{TEMPORARY}123").mkdir()
    (tmp_path / "s" / f".a{TEMPORARY}123" / "data.npz").write_text("half")
    (tmp_path / f".x{TEMPORARY}9.mp4").write_text("half")
    sweep(tmp_path)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a", DATA, MANIFEST, "s"]
