"""The speed suite: what it times and on which device."""

import pytest

from multithumbs.bench import speed
from multithumbs.cli.main import main
from multithumbs.config.alignment import AdamWAlignmentConfig


def numbers(rows, scene):
    return {
        (row.method, row.metric): row.mean
        for row in rows
        if row.scene == scene and row.mean is not None
    }


def test_alignment_reaches_the_papers_loss_sooner(monkeypatch):
    few = AdamWAlignmentConfig(stage2_iterations=60, stage3_iterations=60)
    monkeypatch.setattr(speed, "AdamWAlignmentConfig", lambda **_: few)
    rows = speed.alignment_rows(2, "cpu", lambda line: None)
    alone, at_once = "alignment, 2 cuts of 3 people", "alignment, 2 cuts of 3 people at once"
    assert {row.scene for row in rows} == {alone, at_once}
    for scene in (alone, at_once):
        value = numbers(rows, scene)
        assert value["adamw", "loss_over_literal"] == 1
        assert value["lm", "loss_over_literal"] < 1.001
        assert all(value[method, "seconds"] > 0 for method in ("lm", "adamw", "lm-default"))


def test_post_processing_is_timed_and_weighed():
    rows = speed.post_rows(300, "cpu", lambda line: None)
    value = numbers(rows, "post-processing, 300 person-frames")
    assert value["lm", "person_frames"] == value["adamw", "person_frames"] == 300
    ratio = value["adamw", "seconds"] / value["lm", "seconds"]
    assert value["lm", "times_faster"] == pytest.approx(ratio)
    assert all(0 <= value[method, "memory"] < 1000 for method in ("lm", "adamw"))


@pytest.mark.parametrize("device", ["cuda:99", "gpu"])
def test_a_device_that_is_not_here_is_said(tmp_path, capsys, device):
    arguments = ["bench", "speed", "--device", device, "--out", str(tmp_path / "out")]
    assert main(arguments) == 4
    assert device in capsys.readouterr().err
