"""Tracking scores on people whose identities are known by heart."""

import dataclasses
import importlib.util

import numpy as np
import pytest

from multithumbs.cli.main import main
from multithumbs.evaluation.scene import Scene
from multithumbs.evaluation.tracking_scores import (
    FramePeople,
    clear_and_identity,
    demanded,
    higher_order,
    tracking_scores,
)

HW = (180, 320)


def frames_of(predicted_ids):
    """Two people in every frame, found exactly, under the given identities."""
    away = np.array([[0.0, np.inf], [np.inf, 0.0]])
    return [
        FramePeople(true_id=np.array([0, 1]), predicted_id=np.array(ids), distance=away)
        for ids in predicted_ids
    ]


def test_perfect_identities_under_other_names():
    frames = frames_of([(7, 3)] * 10)
    assert clear_and_identity(frames) == (100.0, 100.0)
    assert higher_order(frames) == pytest.approx((100.0, 100.0, 100.0))


def test_a_swap_half_way():
    frames = frames_of([(7, 3)] * 5 + [(3, 7)] * 5)
    idf1, mota = clear_and_identity(frames)
    # Each person is one identity in half of the frames; two switches in twenty demanded rows.
    assert idf1 == pytest.approx(50.0)
    assert mota == pytest.approx(90.0)
    # Each of four (person, identity) pairs has 5 matches; their union is 10 + 10 - 5 = 15.
    assert higher_order(frames) == pytest.approx((100 * np.sqrt(1 / 3), 100.0, 100 / 3), abs=1e-9)


def test_new_names_after_a_cut():
    frames = frames_of([(0, 1)] * 6 + [(2, 3)] * 4)
    idf1, mota = clear_and_identity(frames)
    assert idf1 == pytest.approx(60.0)
    assert mota == pytest.approx(90.0)
    # AssA per match: 6 / 10 for six frames, 4 / 10 for four.
    assert higher_order(frames)[2] == pytest.approx(100 * (0.6 * 0.6 + 0.4 * 0.4))


def test_a_miss_and_someone_who_is_not_there():
    away = np.array([[0.0, np.inf]])
    there = FramePeople(true_id=np.array([0]), predicted_id=np.array([0, 9]), distance=away)
    gone = FramePeople(
        true_id=np.array([0]), predicted_id=np.zeros(0, np.int64), distance=np.zeros((1, 0))
    )
    idf1, mota = clear_and_identity([there, gone])
    assert mota == pytest.approx(0.0)  # one false positive and one miss of two demanded
    assert idf1 == pytest.approx(50.0)  # 2 IDTP / (2 true + 2 predicted) = 2 * 1 / 4
    assert higher_order([there, gone])[1] == pytest.approx(100 / 3)


def test_half_right_places_pass_half_of_the_thresholds():
    away = np.array([[0.25]])  # the gate: a similarity of 0.5
    frames = [FramePeople(true_id=np.array([0]), predicted_id=np.array([0]), distance=away)] * 4
    assert higher_order(frames)[1] == pytest.approx(100 * 10 / 19)


def test_scenes_give_the_frames(two_shots):
    true = Scene.of_result(two_shots)
    true = dataclasses.replace(true, seen=np.ones(len(true.frame), bool))
    found = tracking_scores(true, true, HW)
    assert found is not None
    assert (found.idf1, found.mota) == (100.0, 100.0)
    assert found.hota == pytest.approx(100.0)
    # Rows on people who are not demanded are no false positives.
    nobody = dataclasses.replace(true, seen=true.person == 0)
    frames = demanded(true, nobody, HW)
    assert all(frame.true_id.tolist() == [0] for frame in frames)
    assert all(frame.predicted_id.tolist() == [0] for frame in frames)
    assert tracking_scores(true, dataclasses.replace(true, seen=true.person < 0), HW) is None


def test_a_bench_without_motmetrics_says_so_before_it_begins(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    out = tmp_path / "out"
    assert main(["bench", "oracle", "--scenes", "dialogue", "--out", str(out)]) == 4
    assert "pip install 'multithumbs[bench]'" in capsys.readouterr().err
    assert not list(out.glob("results/*"))
