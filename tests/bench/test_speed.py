"""The speed suite: what it times and on which device."""

import pytest

from multithumbs.bench import speed
from multithumbs.cli.main import main
from multithumbs.config.alignment import AdamWAlignmentConfig


def test_alignment_reaches_the_papers_loss_sooner(monkeypatch):
    few = AdamWAlignmentConfig(stage2_iterations=100, stage3_iterations=100)
    monkeypatch.setattr(speed, "AdamWAlignmentConfig", lambda **_: few)
    rows = speed.alignment_rows(1, "cpu", lambda line: None)
    value = {(row.method, row.metric): row.mean for row in rows}
    assert {row.scene for row in rows} == {"alignment, 1 cuts of 3 people"}
    assert value["adamw", "loss_over_literal"] == 1
    assert value["lm", "loss_over_literal"] < 1.001
    assert all(value[method, "seconds"] > 0 for method in ("lm", "adamw", "lm-default"))


def test_post_processing_is_timed_and_weighed():
    rows = speed.post_rows(300, "cpu", lambda line: None)
    value = {(row.method, row.metric): row.mean for row in rows}
    assert value["lm", "person_frames"] == value["adamw", "person_frames"] == 300
    ratio = value["adamw", "seconds"] / value["lm", "seconds"]
    assert value["lm", "times_faster"] == pytest.approx(ratio)
    assert all(0 <= value[method, "memory"] < 1000 for method in ("lm", "adamw"))


@pytest.mark.parametrize("device", ["cuda:99", "gpu"])
def test_a_device_that_is_not_here_is_said(tmp_path, capsys, device):
    arguments = ["bench", "speed", "--device", device, "--out", str(tmp_path / "out")]
    assert main(arguments) == 4
    assert device in capsys.readouterr().err
