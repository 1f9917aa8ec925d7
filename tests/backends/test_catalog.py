"""What `checkpoints keys` prints is what the official files hold, at full size."""

import resource
from pathlib import Path

import pytest

from multithumbs.backends.catalog import NAMES, expected_keys
from multithumbs.backends.registry import ENTRIES
from multithumbs.cli import main
from multithumbs.errors import CheckpointError

GOLDEN = Path(__file__).parents[1] / "golden"
FILES = {
    "hmr2": "hmr2",
    "vggt-1b": "vggt",
    "vggt-1b-commercial": "vggt",
    "droid": "droid",
    "phalp-hmar": "phalp_encoder",
    "vposer": "vposer",
    "vitpose-h-coco": "vitpose_h_coco_official",
    "sam-vit-h": "sam_vith_official",
    "sam2.1-hiera-l": "sam2.1_hiera_l_official",
    "grounding-dino-tiny": "groundingdino_tiny_hf",
}
PORTS = ("vitpose", "sam", "grounding")
"""Beginnings of the names of networks that `transformers` builds."""


def lines_of(name: str) -> set[str]:
    return set((GOLDEN / f"keys_{name}.txt").read_text().splitlines())


@pytest.mark.parametrize("name", FILES)
def test_the_lines_are_the_official_files(name: str) -> None:
    if name.startswith(PORTS):
        pytest.importorskip("transformers")
    lines = expected_keys(name)
    assert len(set(lines)) == len(lines)
    assert set(lines) == lines_of(FILES[name])


def test_the_wholebody_head_stands_on_the_same_backbone() -> None:
    pytest.importorskip("transformers")
    head = lines_of("vitpose_h_wholebody_head_official")
    backbone = {k for k in lines_of("vitpose_h_coco_official") if k.startswith("backbone.")}
    assert set(expected_keys("vitpose-h-wholebody")) == head | backbone


def test_what_is_kept_of_the_pose_predictor_has_the_repositorys_names() -> None:
    lines = expected_keys("phalp-pose-predictor")
    assert set(lines) < lines_of("phalp_pose_predictor_unverified")
    assert len(lines) > 100


def test_every_network_of_torch_is_known() -> None:
    names = {c.name for c in ENTRIES if not c.filename.endswith((".tflite", ".npy"))}
    assert set(NAMES) == names


def test_full_size_takes_no_memory() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    expected_keys("vggt-1b")  # 4.8 GB of parameters
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


def test_the_command_prints_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["checkpoints", "keys", "droid"]) == 0
    assert set(capsys.readouterr().out.splitlines()) == lines_of("droid")
    assert main(["checkpoints", "keys", "driod"]) == 5
    assert "no network for checkpoint 'driod'; expected one of" in capsys.readouterr().err
    with pytest.raises(CheckpointError):
        expected_keys("blazepose-detector")
