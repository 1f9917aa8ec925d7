import builtins
import importlib
import os
import pickle
import re
import runpy
import struct
import subprocess
import sys
import types
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from multithumbs.errors import CheckpointError
from multithumbs.models.weights import expected_tensors, load_strict, read_tensors


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {name: torch.randn_like(t) if t.is_floating_point() else t + 7
            for name, t in Net().state_dict().items()}  # fmt: skip


def same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> bool:
    return found.keys() == expected.keys() and all(
        torch.equal(found[key], expected[key]) and found[key].dtype == expected[key].dtype
        for key in expected
    )


def save_safetensors(tensors: dict[str, torch.Tensor], path: Path) -> None:
    from safetensors.torch import save_file

    save_file(tensors, path)


SAVERS = {
    "zip.pth": torch.save,
    "legacy.pth": lambda t, path: torch.save(t, path, _use_new_zipfile_serialization=False),
    "a.safetensors": save_safetensors,
    "a.npz": lambda t, path: np.savez(path, **{k: v.numpy() for k, v in t.items()}),
    "packed.npz": lambda t, path: np.savez_compressed(path, **{k: v.numpy() for k, v in t.items()}),
    "renamed.bin": save_safetensors,
}


@pytest.mark.parametrize("name", SAVERS)
def test_every_format_gives_what_was_saved(
    name: str, weights: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    if "safetensors" in name or name == "renamed.bin":
        pytest.importorskip("safetensors")
    SAVERS[name](weights, tmp_path / name)

    assert same(read_tensors(tmp_path / name), weights)


@pytest.mark.parametrize("legacy", [False, True])
def test_views_types_and_shared_storages_survive(legacy: bool, tmp_path: Path) -> None:
    base = torch.arange(24, dtype=torch.float64).reshape(4, 6)
    tensors = {
        "transposed": base.T, "part": base[1:3, ::2], "half": base.half(), "brain": base.bfloat16(),
        "scalar": torch.tensor(3), "flags": base > 5, "none": torch.zeros(0, 3),
        "byte": base.byte(), "parameter": nn.Parameter(base),
    }  # fmt: skip
    file = tmp_path / "a.pt"
    torch.save(tensors, file, _use_new_zipfile_serialization=not legacy)

    assert same(read_tensors(file), tensors)


def test_weights_lie_below_conventional_keys(
    weights: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    torch.save({"epoch": 3, "model": {"state_dict": OrderedDict(weights)}}, tmp_path / "a.pth")

    assert same(read_tensors(tmp_path / "a.pth"), weights)


def foreign(patch: pytest.MonkeyPatch, module: str, name: str, base: type = dict) -> type:
    """A class that pickles as ``module.name``, as if that package were installed."""
    package = types.ModuleType(module)
    kind = type(name, (base,), {"__module__": module})
    setattr(package, name, kind)
    parent = module.split(".", maxsplit=1)[0]
    patch.setitem(sys.modules, parent, types.ModuleType(parent))
    patch.setitem(sys.modules, module, package)
    return kind


@pytest.mark.parametrize("legacy", [False, True])
def test_a_lightning_checkpoint_is_read_without_its_configuration_classes(
    legacy: bool, weights: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        cfg_node = foreign(patch, "yacs.config", "CfgNode")
        container = foreign(patch, "dotmap.map", "DotMap", object)
        cfg = cfg_node(MODEL=cfg_node(SIZE=256, MEAN=[0.1, np.float64(0.2)]))
        cfg.__dict__["__immutable__"] = True
        other = container()
        other.content = {"a": np.arange(3), "rate": np.float32(2)}
        torch.save(
            {
                "epoch": 35,
                "pytorch-lightning_version": "1.8.1",
                "state_dict": OrderedDict(weights),
                "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(5)}}, "p": {1, 2}}],
                "hyper_parameters": {"cfg": cfg, "other": other, "path": Path("x")},
            },
            tmp_path / "a.ckpt",
            _use_new_zipfile_serialization=not legacy,
        )

    assert same(read_tensors(tmp_path / "a.ckpt"), weights)
    assert "yacs.config" not in sys.modules


class Calls:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def attacks(sentinel: Path) -> dict[str, Any]:
    command = f"open({str(sentinel)!r}, 'w').close()"
    sentinel.with_name("evil.pkl").write_bytes(pickle.dumps(Calls(builtins.exec, command)))
    return {
        "system": Calls(os.system, f"touch {sentinel}"),
        "eval": Calls(builtins.eval, command.replace(".close()", "")),
        "exec": Calls(builtins.exec, command),
        "getattr": Calls(getattr, 1, "real"),
        "import": Calls(importlib.import_module, "antigravity"),
        "popen": Calls(subprocess.Popen, ["touch", str(sentinel)]),
        "runpy": Calls(runpy.run_path, str(sentinel)),
        "np.load": Calls(np.load, str(sentinel.with_name("evil.pkl")), None, True),
        "np.save": Calls(np.save, str(sentinel), np.zeros(1)),
        "torch.load": Calls(torch.load, str(sentinel)),
        "from bytes": Calls(torch.storage._load_from_bytes, b""),
        "write": Calls(Path.touch, sentinel),
    }


NAMES = (
    "system", "eval", "exec", "getattr", "import", "popen", "runpy", "np.load", "np.save",
    "torch.load", "from bytes", "write",
)  # fmt: skip


@pytest.mark.parametrize("form", ["zip", "legacy", "bare"])
@pytest.mark.parametrize("name", NAMES)
def test_a_pickle_that_would_run_code_is_refused_and_does_not(
    name: str, form: str, weights: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    sentinel = tmp_path / "ran"
    content = {"state_dict": weights, "hyper_parameters": attacks(sentinel)[name]}
    file = tmp_path / "a.pth"
    if form == "bare":
        file.write_bytes(pickle.dumps({"state_dict": {}, "x": content["hyper_parameters"]}))
    else:
        torch.save(content, file, _use_new_zipfile_serialization=form == "zip")

    with pytest.raises(CheckpointError, match=r"is refused: it asks for [\w.]+, which") as caught:
        read_tensors(file)

    assert "\n" not in str(caught.value)
    assert not sentinel.exists()
    assert "antigravity" not in sys.modules


def test_the_attacks_above_are_real(tmp_path: Path) -> None:
    sentinel = tmp_path / "ran"
    file = tmp_path / "a.pth"
    torch.save({"x": attacks(sentinel)["exec"]}, file)

    torch.load(file, weights_only=False)

    assert sentinel.exists()


def test_an_npz_with_objects_is_refused(tmp_path: Path) -> None:
    sentinel = tmp_path / "ran"
    objects = np.array([attacks(sentinel)["exec"]], dtype=object)
    np.savez(tmp_path / "a.npz", a=objects)

    with pytest.raises(CheckpointError, match="no weight file"):
        read_tensors(tmp_path / "a.npz")

    assert not sentinel.exists()


@pytest.mark.parametrize("name", SAVERS)
@pytest.mark.parametrize("kept", [0, 10, 0.3, 0.7, -1])
def test_a_truncated_file_is_refused(
    name: str, kept: float, weights: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    if "safetensors" in name or name == "renamed.bin":
        pytest.importorskip("safetensors")
    SAVERS[name](weights, tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    end = kept if isinstance(kept, int) else int(len(whole) * kept)
    (tmp_path / name).write_bytes(whole[:end])

    with pytest.raises(CheckpointError, match="no weight file that can be read, or is damaged"):
        read_tensors(tmp_path / name)


@pytest.mark.parametrize(
    "content",
    [b"<html>not found</html>" * 9, b"version https://git-lfs.github.com/spec/v1\n" * 3,
     b"\x80\x02}q\x00." + bytes(90), b"PK\x03\x04" + bytes(90), struct.pack("<Q", 1 << 60) * 3],
)  # fmt: skip
def test_what_is_no_weight_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(content)

    with pytest.raises(CheckpointError, match="no weight file"):
        read_tensors(tmp_path / "a.pth")


def test_a_missing_file_and_one_without_tensors_are_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "empty.pth")

    with pytest.raises(CheckpointError, match="cannot read"):
        read_tensors(tmp_path / "none.pth")
    with pytest.raises(CheckpointError, match="holds no tensors"):
        read_tensors(tmp_path / "empty.pth")


def test_an_archive_may_not_claim_more_than_it_holds(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "bomb.npz", a=np.zeros(1 << 22))
    torch.save({"a": torch.zeros(1 << 16)}, tmp_path / "zip.pth")
    with zipfile.ZipFile(tmp_path / "zip.pth") as archive:
        names = archive.namelist()
        with zipfile.ZipFile(tmp_path / "packed.pth", "w", zipfile.ZIP_DEFLATED) as packed:
            for name in names:
                packed.writestr(name, archive.read(name))

    with pytest.raises(CheckpointError, match="claim to hold"):
        read_tensors(tmp_path / "bomb.npz")
    with pytest.raises(CheckpointError, match="is compressed"):
        read_tensors(tmp_path / "packed.pth")


@pytest.mark.parametrize(
    "index",
    [
        b"\x80\x02r\xff\xff\xff\x7f.",  # an index of 2^31 for one object
        b"\x80\x05\x96" + struct.pack("<Q", 1 << 45) + b".",  # 32 TiB of bytes
    ],
)
def test_an_index_may_not_ask_for_memory(index: bytes, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("archive/data.pkl", index)

    with pytest.raises(CheckpointError, match="no weight file"):
        read_tensors(tmp_path / "a.pth")


def test_a_tensor_may_not_reach_beyond_its_storage(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(4, 4)}, tmp_path / "a.pth")
    whole = (tmp_path / "a.pth").read_bytes()
    # The shape (4, 4) is pickled as two BININT1; the zip's checksum of the index is not used.
    (tmp_path / "a.pth").write_bytes(whole.replace(b"K\x04K\x04\x86", b"K\x09K\x04\x86"))

    with pytest.raises(CheckpointError, match="beyond its storage"):
        read_tensors(tmp_path / "a.pth")


def test_a_pickle_cannot_change_what_stands_for_torch(tmp_path: Path) -> None:
    """BUILD sets attributes on whatever lies on the stack."""
    index = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\x01\x00\x00\x00aK\x01sb."
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("archive/data.pkl", index)

    with pytest.raises(CheckpointError, match="no weight file"):
        read_tensors(tmp_path / "a.pth")


@pytest.mark.parametrize("meta", [False, True])
@pytest.mark.parametrize("dtype", [None, torch.float64])
def test_strict_loading_fills_every_tensor(
    meta: bool, dtype: torch.dtype | None, weights: dict[str, torch.Tensor]
) -> None:
    with torch.device("meta" if meta else "cpu"):
        net = Net()
    stored = {f"net.{key}": tensor.clone() for key, tensor in weights.items()} | {
        "optimizer": torch.zeros(1)
    }

    load_strict(
        net,
        stored,
        name="droid",
        keep=lambda key: key.removeprefix("net.") if key.startswith("net.") else None,
        dtype=dtype,
    )

    expected = {k: t.to(dtype) if dtype and t.is_floating_point() else t
                for k, t in weights.items()}  # fmt: skip
    assert same(expected_tensors(net), expected)
    stored["net.first.weight"].zero_()
    assert net.first.weight.abs().sum() > 0  # nothing is shared with the file's memory


def test_strict_loading_names_what_is_wrong_and_changes_nothing(
    weights: dict[str, torch.Tensor],
) -> None:
    net = Net()
    before = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    wrong = weights | {"extra": torch.zeros(1), "first.weight": torch.zeros(3, 4)}
    del wrong["norm.bias"]

    with pytest.raises(CheckpointError) as caught:
        load_strict(net, wrong, name="hmr2")

    message = str(caught.value)
    assert "'hmr2'" in message
    assert "1 of 7 tensors are missing, first norm.bias" in message
    assert "1 are unexpected, first extra" in message
    assert "first.weight is 3x4, expected 4x3" in message
    assert same(expected_tensors(net), before)


def test_two_tensors_of_one_name_are_refused(weights: dict[str, torch.Tensor]) -> None:
    with pytest.raises(CheckpointError, match="two tensors named first"):
        load_strict(Net(), weights, name="hmr2", keep=lambda key: "first")


def test_nothing_else_reads_checkpoints() -> None:
    """Whoever unpickled one by itself would run what it names."""
    import multithumbs

    words = re.compile(r"torch\.load\(|allow_pickle=True|\bpickle\.loads?\(|weights_only")
    package = Path(multithumbs.__file__).parent
    found = [
        f"{file.name}: {line.strip()}"
        for folder in ("models", "backends", "stages")
        for file in (package / folder).rglob("*.py")
        for line in file.read_text().splitlines()
        if words.search(line)
    ]
    assert found == []
