"""The whole paper profile through its own adapters, with tiny random networks on a CPU.

Only the sizes differ from a run on a GPU: files, containers, names, order and checks are the
same.
"""

import builtins
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from multithumbs.backends.checkpoints import CHECKPOINTS
from multithumbs.cli import main
from multithumbs.export.result import load_result
from multithumbs.io.download import record_path
from multithumbs.models.weights import read_tensors
from multithumbs.pipeline import run_video
from multithumbs.runner import Silent
from multithumbs.types import CutStatus

from .paper_weights import overrides, tiny_config, trusted_on_first_use, write_all

pytest.importorskip("transformers")

HW = (144, 256)
SHOT_FRAMES = 9
QUIET = ("outputs.overlay.enabled=false", "outputs.world.enabled=false")


def two_shots(path: Path) -> Path:
    """A wall behind a nearer patch, passed by a moving camera; then another such room."""
    rng = np.random.default_rng(3)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = *HW, "yuv420p"
        for low, high in ((0, 120), (130, 255)):
            tiles = rng.integers(low, high, (2, 24, 72, 3), dtype=np.uint8)
            wall, near = tiles.repeat(6, 1).repeat(6, 2)
            for index in range(SHOT_FRAMES):
                picture = wall[:, 4 * index :][:, : HW[1]].copy()
                at = 150 - 9 * index
                picture[40:110, max(at, 0) : at + 60] = near[40:110, : at + 60 - max(at, 0)]
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return two_shots(tmp_path_factory.mktemp("clips") / "two.mp4")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("checkpoints")
    write_all(root)
    with trusted_on_first_use():
        yield root


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all runs: what one test computed the next one finds."""
    return tmp_path_factory.mktemp("out")


class Order(Silent):
    """Remembers the stages in the order in which they began."""

    def __init__(self) -> None:
        self.stages: list[str] = []

    def stage_begins(self, stage: str, items: int, frames: int) -> None:
        self.stages.append(stage)


NAMES = {
    "grounding-dino-tiny", "vitpose-h-wholebody", "sam2.1-hiera-l", "hmr2", "phalp-hmar",
    "vggt-1b", "droid", "vposer", "phalp-texel-faces", "phalp-texel-weights",
}  # fmt: skip


def test_the_registry_says_what_the_profile_needs() -> None:
    assert {name for name, c in CHECKPOINTS.items() if c.profile == "paper"} == NAMES


def test_the_whole_profile_runs(clip: Path, weights: Path, out: Path) -> None:
    order = Order()
    done = run_video(clip, tiny_config(weights, *QUIET), out=out, progress=order)

    assert done.summary is not None
    assert done.summary.num_shots == 2
    assert done.summary.num_people > 0
    (cut,) = done.summary.cuts
    assert cut.status in CutStatus
    assert "not finite" not in (cut.reason or "")
    rank = {stage: number for number, stage in enumerate(order.stages)}
    assert rank["intrinsics"] < rank["bodies"] < rank["keypoints"] < rank["tracks"]
    assert rank["bodies"] < rank["masks"] < rank["textures"]
    assert (done.folder / "people.glb").is_file()
    result = load_result(done.folder / "result.npz")
    assert np.isfinite(result.transl).all()

    config = tiny_config(weights, *QUIET, "keypoints.batch=3", "masks.batch=1", "bodies.batch=5")
    again = run_video(clip, config, out=out)
    assert again.unchanged  # how many at once is no part of a result


def test_a_mixture_reuses_what_it_shares(clip: Path, weights: Path, out: Path) -> None:
    mixture = ("tracks=hungarian3d", "boundaries=people", "odometry=static", "cameras=literal")
    left = ("boundaries.", "tracks.", "odometry.")
    tiny = [o for o in overrides(weights) if not o.startswith(left)]
    words = [*tiny, *mixture, "people.pose_prior=limits", *QUIET]
    assert main(["run", str(clip), "--out", str(out), "--json-log", *words]) == 0


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def web_page(path: Path) -> None:
    path.write_text("<!DOCTYPE html><html>Quota exceeded</html>" * 9)


def other_network(path: Path) -> None:
    shutil.copyfile(path.parents[1] / "droid" / "droid.pth", path)


def other_size(path: Path) -> None:
    tensors = {name: tensor.clone() for name, tensor in read_tensors(path).items()}
    tensors["smpl_head.deccam.weight"] = tensors["smpl_head.deccam.weight"][:, :-1].clone()
    torch.save({"state_dict": tensors}, path)


def without_a_tensor(path: Path) -> None:
    tensors = {name: tensor.clone() for name, tensor in read_tensors(path).items()}
    del tensors["backbone.pos_embed"]
    torch.save({"state_dict": tensors}, path)


class _Runs:
    """Pickles as a call that makes a file."""

    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> Any:
        return builtins.exec, (f"open({str(self.sentinel)!r}, 'w').close()",)


def malicious(path: Path) -> None:
    torch.save({"state_dict": {}, "hyper_parameters": _Runs(path.with_name("ran"))}, path)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (torn, "no weight file that can be read, or is damaged"),
        (web_page, "no weight file that can be read"),
        (other_network, "holds other weights"),
        (other_size, "smpl_head.deccam.weight is 3x15, expected 3x16"),
        (without_a_tensor, "1 of 46 tensors are missing, first backbone.pos_embed"),
        (malicious, "exec, which weights do not need; nothing of it was run"),
    ],
)
def test_a_bad_checkpoint_is_one_line(
    harm: Callable[[Path], None],
    message: str,
    clip: Path,
    weights: Path,
    out: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = tmp_path / "checkpoints"
    shutil.copytree(weights, root)
    path = root / "hmr2" / CHECKPOINTS["hmr2"].filename
    harm(path)
    record_path(path).unlink(missing_ok=True)  # as if just put here by hand
    words = ["run", str(clip), "--out", str(out), "--until", "bodies", "--redo", "bodies"]

    assert main([*words, *overrides(root)]) == 5

    lines = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert len(lines) == 1
    assert message in lines[0]
    assert not path.with_name("ran").exists()


def test_a_checkpoint_that_changed_since_is_told_before_the_first_frame(
    clip: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "checkpoints"
    shutil.copytree(weights, root)
    for name in ("hmr2", "vggt-1b"):
        path = root / name / CHECKPOINTS[name].filename
        path.write_bytes(path.read_bytes() + b" ")
        record_path(path).write_text('{"sha256": "00", "size": 1, "mtime_ns": 1}')

    assert main(["run", str(clip), "--out", str(tmp_path / "out"), *overrides(root)]) == 5

    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert "hmr2 (corrupt or changed since its first use; delete " in line
    assert ".ckpt.json to trust it anew, for bodies=hmr2)" in line
    assert "multithumbs checkpoints fetch hmr2 vggt-1b" in line
    assert not (tmp_path / "out").exists()
