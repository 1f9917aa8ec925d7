"""The networks' benchmark measures what it says, with tiny networks on a CPU."""

import importlib.util
import time
from pathlib import Path
from types import ModuleType

import pytest
import torch

from multithumbs.bench.networks import MODELS, judged, report, together
from multithumbs.bench.networks_measure import (
    COUNT,
    MEMORY,
    MS_PER_ITEM,
    RATE,
    SECONDS,
    Clock,
    Findings,
    Meter,
    Row,
    sweep,
)
from multithumbs.bench.networks_setup import Bench

pytest.importorskip("transformers")

SCRIPT = Path(__file__).parents[1] / "scripts" / "bench_networks.py"
METER = Meter(device="cpu", repeats=1, enough_s=0.0, slow_s=5.0)
WHOLE = ", whole stage"
EXPECTED = {
    "detections": {
        ("grounding_dino", MS_PER_ITEM), ("grounding_dino", MEMORY),
        ("grounding_dino" + WHOLE, RATE), ("rtdetr", MS_PER_ITEM), ("rtdetr", MEMORY),
        ("rtdetr" + WHOLE, RATE),
    },
    "vitpose": {("vitpose", MS_PER_ITEM), ("vitpose", MEMORY), ("vitpose" + WHOLE, RATE)},
    "hmr2": {("hmr2", MS_PER_ITEM), ("hmr2", MEMORY), ("hmr2" + WHOLE, RATE)},
    "masks": {
        ("sam2", MS_PER_ITEM), ("sam2", MEMORY), ("sam2" + WHOLE, RATE),
        ("sam2, propagated" + WHOLE, RATE), ("sam", MS_PER_ITEM), ("sam", MEMORY),
        ("sam" + WHOLE, RATE),
    },
    "vggt": {
        ("vggt", MS_PER_ITEM), ("vggt", MEMORY), ("vggt, 2 frames", SECONDS),
        ("vggt, 2 frames, trunk alone", SECONDS), ("vggt, 2 frames, trunk alone", MEMORY),
    },
    "droid": {("droid, 64x112", RATE), ("droid, 64x112", MEMORY), ("droid, 64x112", COUNT)},
}  # fmt: skip


@pytest.mark.parametrize("model", list(EXPECTED))
def test_every_network_is_measured(model: str, tmp_path: Path) -> None:
    bench = Bench.of(tmp_path, "cpu", tiny=True)

    found = MODELS[model](bench)

    assert {(row.what, row.unit) for row in found.rows} == EXPECTED[model]
    assert all(0 < row.value < float("inf") for row in found.rows)
    assert {row.batch for row in found.rows if row.unit == MS_PER_ITEM} <= {1, 2}
    assert not list(tmp_path.glob("weights*"))  # gigabytes at full size
    assert all(row.what in report(found, bench) for row in found.rows)


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_networks", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_script_measures_in_a_child_and_writes_a_table(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "table.md"
    words = ["--device", "cpu", "--tiny", "--models", "vposer", "--out", str(out)]
    monkeypatch.setattr("sys.argv", ["bench_networks.py", *words])

    script.main()

    rows = [line for line in out.read_text().splitlines() if line.startswith("| vposer | pose")]
    assert [float(row.split("|")[4].strip(" *")) > 0 for row in rows] == [True, True]


def test_a_model_that_fails_or_hangs_is_one_line(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(bench: Bench) -> Findings:
        raise ValueError("no such kernel\nsecond line")

    bench = Bench.of(tmp_path, "cpu", tiny=True)
    monkeypatch.setattr(script, "MODELS", {"vposer": broken})

    assert script.measure("vposer", bench).notes == ["vposer FAILED: ValueError: no such kernel"]
    late = script.measure_apart("vposer", bench, 0.01)
    assert late.notes == ["vposer FAILED: not done after 0 s"]
    unknown = script.measure_apart("nothing", bench, 60.0)
    assert unknown.notes[0].startswith("nothing FAILED: exit 2: ")
    assert "invalid choice" in unknown.notes[0]


def test_a_sweep_finds_the_best_batch_and_ends_where_memory_does() -> None:
    def make(batch: int):
        def call() -> None:
            if batch > 8:
                raise torch.OutOfMemoryError("enough")
            time.sleep(0.05 if batch == 4 else 0.05 * batch)  # alone 4 are as quick as 1

        return call

    found, best = sweep(METER, "s", "w", make, largest=64)

    assert best == 4
    assert [row.batch for row in found.rows if row.unit == MS_PER_ITEM] == [1, 2, 4, 8]
    assert found.notes == ["w: out of memory at batch 16"]


def test_a_network_of_which_nothing_fits_says_so() -> None:
    def call() -> None:
        raise torch.OutOfMemoryError("enough")

    with pytest.raises(RuntimeError, match="not even one item"):
        sweep(METER, "s", "w", lambda batch: call, largest=4)


def test_a_stage_is_timed_from_its_first_batch_on() -> None:
    clock = Clock()
    clock.stamps = [(100.0, 10), (101.0, 20), (102.0, 30)]
    assert clock.rate(end=104.0) == pytest.approx(5.0)
    clock.stamps = [(100.0, 30)]
    with pytest.raises(RuntimeError, match="one batch"):
        clock.rate(end=101.0)


def test_targets_are_judged_by_what_was_measured() -> None:
    def row(stage: str, what: str, unit: str, value: float) -> Row:
        return Row(stage=stage, what=what, unit=unit, value=value)

    rates = {"rtdetr" + WHOLE: 120.0, "vitpose" + WHOLE: 60.0, "hmr2" + WHOLE: 40.0}
    (whole,) = together([row("x", what, RATE, value) for what, value in rates.items()])
    assert whole.value == pytest.approx(20.0)
    assert judged(whole) == (">= 30 frames/s", "no")
    assert judged(row("odometry", "droid", RATE, 31.0)) == (">= 30 frames/s", "yes")
    assert judged(row("boundaries", "vggt, 2 frames", SECONDS, 0.31)) == ("<= 0.3 s", "no")
    assert judged(row("odometry", "droid", MEMORY, 31.0)) == ("-", "-")
    assert together([row("x", "rtdetr" + WHOLE, RATE, 1.0)]) == []
    assert "(nothing was measured)" in report(Findings(), Bench.of(Path(), "cpu", tiny=True))
