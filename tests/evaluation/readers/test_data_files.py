"""Result files of other programs are read as data only."""

import os
import pickle
from collections import OrderedDict, defaultdict
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch

from multithumbs.errors import ArtifactError
from multithumbs.evaluation.readers import data_files
from multithumbs.evaluation.readers.data_files import read_npy, read_npz, read_pickle, read_torch

RNG = np.random.default_rng(0)
CONTENT = {
    "small": RNG.normal(size=(3, 4)),
    "large": RNG.normal(size=(40, 500)).astype(np.float32),
    "columns": np.asfortranarray(RNG.integers(0, 9, (5, 7))),
    "half": RNG.normal(size=(2, 2)).astype(np.float16),
    "flags": np.array([True, False]),
    "number": np.float32(2.5),
    "nested": [{"a": (1, 2.5, None, "text", b"bytes")}, OrderedDict(b=np.arange(3))],
    "frames": defaultdict(list, {3: [1]}),
    "tensor": torch.arange(12.0).reshape(3, 4)[:, 1:],
}


def same(found, wanted):
    if isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(same(found[k], wanted[k]) for k in wanted)
    if isinstance(wanted, list | tuple):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    if isinstance(wanted, np.ndarray | torch.Tensor):
        wanted = np.asarray(wanted)
        return found.dtype == wanted.dtype and np.array_equal(found, wanted)
    return found == wanted


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_pickles(tmp_path, protocol):
    path = tmp_path / "result.pkl"
    path.write_bytes(pickle.dumps(CONTENT, protocol))
    assert same(read_pickle(path), CONTENT)


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3)])
def test_joblib_dumps(tmp_path, compress):
    path = tmp_path / "result.pkl"
    joblib.dump(CONTENT, path, compress=compress)
    assert same(read_pickle(path), CONTENT)


def test_npy_with_and_without_objects(tmp_path):
    np.save(tmp_path / "a.npy", CONTENT, allow_pickle=True)
    np.save(tmp_path / "b.npy", CONTENT["large"])
    several = np.empty(2, dtype=object)
    several[:] = [{"x": np.arange(2)}, {"x": np.arange(3)}]
    np.save(tmp_path / "c.npy", several, allow_pickle=True)
    assert same(read_npy(tmp_path / "a.npy"), CONTENT)
    assert same(read_npy(tmp_path / "b.npy"), CONTENT["large"])
    assert same(read_npy(tmp_path / "c.npy"), list(several))


def test_torch_files_and_npz(tmp_path):
    torch.save({"a": {"b": torch.ones(2, 3)}, "c": [torch.zeros(1)]}, tmp_path / "a.pt")
    found = read_torch(tmp_path / "a.pt")
    assert same(found, {"a": {"b": np.ones((2, 3), np.float32)}, "c": [np.zeros(1, np.float32)]})
    np.savez(tmp_path / "a.npz", x=np.arange(3))
    assert same(read_npz(tmp_path / "a.npz"), {"x": np.arange(3)})


class Evil:
    def __init__(self, target, *arguments):
        self.call = target, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("writer", ["pickle", "joblib", "npy", "inner"])
@pytest.mark.parametrize("kind", ["system", "eval", "open"])
def test_files_that_would_run_code_are_refused(tmp_path, writer, kind):
    sentinel = tmp_path / "ran"
    evil = {
        "system": Evil(os.system, f"touch {sentinel}"),
        "eval": Evil(eval, f"open({str(sentinel)!r}, 'w')"),
        "open": Evil(Path.touch, sentinel),
    }[kind]
    path = tmp_path / "result"
    if writer == "npy":
        np.save(tmp_path / "result.npy", {"x": evil}, allow_pickle=True)
        path, read = tmp_path / "result.npy", read_npy
    elif writer == "joblib":
        joblib.dump({"x": evil}, path)
        read = read_pickle
    elif writer == "inner":  # inside an array of objects, which joblib pickles separately
        several = np.empty(1, dtype=object)
        several[0] = evil
        joblib.dump({"x": several}, path)
        read = read_pickle
    else:
        path.write_bytes(pickle.dumps({"x": evil}))
        read = read_pickle
    with pytest.raises(ArtifactError, match="refused: it asks for"):
        read(path)
    assert not sentinel.exists()


def written(folder):
    """A file of every kind, and what reads it."""
    nested = {"a": {"b": torch.ones(2, 3)}, "c": [torch.zeros(1)]}
    for protocol in (2, 5):
        (folder / f"{protocol}.pkl").write_bytes(pickle.dumps(CONTENT, protocol))
    joblib.dump(CONTENT, folder / "joblib.pkl")
    np.save(folder / "objects.npy", CONTENT, allow_pickle=True)
    np.save(folder / "plain.npy", CONTENT["small"])
    torch.save(nested, folder / "new.pt")
    torch.save(nested, folder / "old.pt", _use_new_zipfile_serialization=False)
    np.savez(folder / "plain.npz", **{k: CONTENT[k] for k in ("small", "columns")})
    readers = {".pkl": read_pickle, ".npy": read_npy, ".pt": read_torch, ".npz": read_npz}
    return [(path, readers[path.suffix]) for path in sorted(folder.iterdir())]


@pytest.mark.filterwarnings("ignore")
def test_no_damage_is_taken_for_a_bug(tmp_path):
    """Cut short or with bytes changed, a file is read or refused; nothing else ever comes out."""
    rng, refused = np.random.default_rng(1), set()
    for path, read in written(tmp_path):
        content, spoilt = path.read_bytes(), tmp_path / f"spoilt{path.suffix}"
        for attempt in range(60):
            damaged = bytearray(content)
            if attempt % 3 == 0:
                damaged = damaged[: rng.integers(len(content))]
            else:
                reach = len(content) if attempt % 3 == 1 else min(len(content), 400)
                for at in rng.integers(0, reach, rng.integers(1, 6)):
                    damaged[at] = rng.integers(256)
            spoilt.write_bytes(damaged)
            try:
                read(spoilt)
            except ArtifactError as error:
                assert "\n" not in str(error)
                refused.add(path.name)
    assert len(refused) == 8


@pytest.mark.parametrize("suffix", [".npz", ".pt", ".pkl"])
def test_a_small_file_cannot_fill_the_memory(tmp_path, monkeypatch, suffix):
    path, zeros = tmp_path / f"bomb{suffix}", np.zeros(1 << 20)
    if suffix == ".pkl":
        joblib.dump(zeros, path, compress=9)
    else:
        np.savez_compressed(tmp_path / "bomb.npz", zeros=zeros)
        (tmp_path / "bomb.npz").rename(path)
    assert path.stat().st_size < 1 << 16
    monkeypatch.setattr(data_files, "MAX_BYTES", 1 << 20)
    read = {".npz": read_npz, ".pt": read_torch, ".pkl": read_pickle}[suffix]
    with pytest.raises(ArtifactError, match="it unfolds to more than"):
        read(path)


def test_damage_is_one_line(tmp_path):
    path = tmp_path / "result.pkl"
    joblib.dump(CONTENT, path, compress=3)
    path.write_bytes(path.read_bytes()[:-200])
    for read in (read_pickle, read_npy, read_torch, read_npz):
        with pytest.raises(ArtifactError) as raised:
            read(path)
        assert "\n" not in str(raised.value)
    with pytest.raises(ArtifactError, match="cannot read"):
        read_pickle(tmp_path / "none.pkl")
