"""The checkpoint registry: states, trust on first use, and errors that say what to do."""

import hashlib
from dataclasses import replace
from types import MappingProxyType

import pytest

from multithumbs.backends import checkpoints
from multithumbs.backends.checkpoints import (
    CHECKPOINTS,
    State,
    checkpoint_files,
    fetch,
    inspect,
    list_checkpoints,
    missing,
    resolve_names,
    verify,
)
from multithumbs.errors import CheckpointError
from multithumbs.io.download import SourceUnavailable

CONTENT = b"weights"


class Delivers:
    """A source that writes fixed content."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.calls = 0

    def fetch(self, part, progress) -> None:
        self.calls += 1
        part.write_bytes(self.content)
        progress(len(self.content), len(self.content))


class Unreachable:
    """A source that never delivers."""

    def fetch(self, part, progress) -> None:
        raise SourceUnavailable("the cable is cut")


@pytest.fixture
def registry(monkeypatch):
    """Two entries, one with a published hash and one trusted on first use."""
    template = CHECKPOINTS["blazepose-detector"]
    source = Delivers(CONTENT)
    entries = {
        "hashed": replace(
            template,
            name="hashed",
            sha256=hashlib.sha256(CONTENT).hexdigest(),
            sources=(source,),
        ),
        "trusted": replace(template, name="trusted", sha256=None, sources=(source,)),
    }
    monkeypatch.setattr(checkpoints, "CHECKPOINTS", MappingProxyType(entries))
    return source


def test_every_entry_is_complete():
    for name, checkpoint in CHECKPOINTS.items():
        assert name == checkpoint.name
        assert checkpoint.by_hand
        assert checkpoint.licence
        assert "/" not in checkpoint.filename
        assert checkpoint.sha256 is None or len(bytes.fromhex(checkpoint.sha256)) == 32
        for source in checkpoint.sources:
            assert "http://" not in str(source)


def test_fetch_verifies_and_then_leaves_alone(registry, tmp_path):
    assert {s.state for s in list_checkpoints(tmp_path)} == {State.MISSING}
    statuses = fetch([], tmp_path)
    assert [s.state for s in statuses] == [State.PRESENT, State.PRESENT]
    fetch(["hashed", "trusted"], tmp_path)
    assert registry.calls == 2


@pytest.mark.parametrize("name", ["hashed", "trusted"])
def test_a_changed_file_is_corrupt_and_fetched_again(registry, tmp_path, name):
    (status,) = fetch([name], tmp_path)
    status.path.write_bytes(b"tampered")
    assert inspect(name, tmp_path).state is State.CORRUPT
    with pytest.raises(CheckpointError, match=f"checkpoints fetch {name}"):
        checkpoint_files([name], tmp_path)
    (mended,) = fetch([name], tmp_path)
    assert mended.state is State.PRESENT


def test_verify_reads_the_file_whatever_the_record_says(registry, tmp_path):
    (status,) = fetch(["hashed"], tmp_path)
    stat = status.path.stat()
    status.path.write_bytes(b"WEIGHTS")
    import os

    os.utime(status.path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert verify(["hashed"], tmp_path)[0].state is State.CORRUPT


def test_missing_names_the_command(registry, tmp_path):
    with pytest.raises(CheckpointError, match="multithumbs checkpoints fetch hashed"):
        checkpoint_files(["hashed"], tmp_path)


def test_what_no_source_delivers_does_not_stop_the_others(registry, tmp_path, monkeypatch):
    gated = replace(CHECKPOINTS["vposer"], name="gated")
    dead = replace(CHECKPOINTS["droid"], name="dead", sources=(Unreachable(),))
    entries = {"gated": gated, "dead": dead, **checkpoints.CHECKPOINTS}
    monkeypatch.setattr(checkpoints, "CHECKPOINTS", MappingProxyType(entries))

    statuses = {s.checkpoint.name: s for s in fetch(entries, tmp_path)}

    assert statuses["hashed"].state is statuses["trusted"].state is State.PRESENT
    assert statuses["gated"].state is statuses["dead"].state is State.MISSING
    assert "registered" in statuses["gated"].problem
    assert "the cable is cut" in statuses["dead"].problem
    assert statuses["gated"].by_hand.endswith(f"save it as {statuses['gated'].path}")
    assert [s.checkpoint.name for s in missing(entries, tmp_path)] == ["gated", "dead"]


def test_all_that_is_missing_is_told_at_once(registry, tmp_path):
    with pytest.raises(CheckpointError) as caught:
        checkpoint_files(["hashed", "trusted"], tmp_path)
    assert "multithumbs checkpoints fetch hashed trusted" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_profiles_and_unknown_names():
    assert resolve_names([]) == ("blazepose-detector", "blazepose-landmarks", "face-landmarks")
    assert resolve_names(["blazepose-landmarks"]) == ("blazepose-landmarks",)
    assert {"hmr2", "vggt-1b"} <= set(resolve_names(["paper"]))
    with pytest.raises(CheckpointError, match="blazepose-detector"):
        resolve_names(["blazepos"])
