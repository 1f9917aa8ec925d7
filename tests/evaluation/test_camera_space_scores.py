"""Multi-HMR 2's metrics over a video with mistakes made on purpose."""

import dataclasses

import numpy as np
import pytest

from multithumbs.evaluation import camera_space_scores as module
from multithumbs.evaluation.camera_space_scores import camera_space_scores, of_one_body
from multithumbs.evaluation.clip_scores import UNITS
from multithumbs.evaluation.matching import match
from multithumbs.evaluation.scene import Scene
from multithumbs.evaluation.score import score_scenes

HW = (180, 320)


@pytest.fixture
def true(two_shots):
    scene = Scene.of_result(two_shots)
    return dataclasses.replace(scene, seen=np.ones(len(scene.frame), bool))


def scores(predicted, true, body, **changes):
    vertices = changes.get("vertices", of_one_body(predicted, true, body))
    return camera_space_scores(predicted, true, match(predicted, true, HW), HW, vertices)


def farther(scene, share, rows):
    """These rows' people ``share`` farther along their ray, in metres of their camera's axis."""
    camera = scene.world_from_cam[scene.camera_of(scene.frame)]
    away = share * (scene.joints_world[:, 0] - camera[:, :3, 3]) * rows[:, None]
    return dataclasses.replace(
        scene, transl=scene.transl + away, joints_world=scene.joints_world + away[:, None]
    ), np.linalg.norm(away, axis=-1)


def test_the_truth_has_no_error(true, body):
    found = scores(true, true, body)
    assert set(found) < set(UNITS)
    assert found.pop("f1") == 100.0
    assert all(value == pytest.approx(0, abs=1e-6) for value in found.values())


def test_everyone_too_far_costs_where_they_are_and_not_how_they_look(true, body):
    predicted, away = farther(true, 0.05, np.ones(len(true.frame), bool))
    found = scores(predicted, true, body)
    assert found["mrpe"] == pytest.approx(1e3 * away.mean(), rel=1e-9)
    assert found["abs_pve"] == pytest.approx(1e3 * away.mean(), rel=1e-5)
    assert found["pve"] == pytest.approx(0, abs=1e-3) == found["mpvpe"]
    # Their distances from the camera differ a little, so no one translation mends all.
    assert 0 < found["ta_pve"] < 0.5 * found["abs_pve"]
    assert 0 < found["pair_pa_mpjpe"] < 0.5 * found["abs_pve"]


def test_one_of_two_too_far_is_shared_out(true, body):
    predicted, away = farther(true, 0.05, true.person == true.person.min())
    found = scores(predicted, true, body)
    assert found["abs_pve"] == pytest.approx(1e3 * away.mean(), rel=1e-5)
    assert found["ta_pve"] == pytest.approx(1e3 * away.mean(), rel=1e-5)  # half to each of two
    alone = dataclasses.replace(true, seen=true.person == true.person.min())
    only = match(predicted, alone, HW)
    only = only.where(alone.seen[only.true_row])
    found = camera_space_scores(predicted, alone, only, HW, of_one_body(predicted, alone, body))
    assert found["ta_pve"] is None and found["pair_pa_mpjpe"] is None
    assert found["abs_pve"] == pytest.approx(1e3 * away[away > 0].mean(), rel=1e-5)


def test_f1_counts_who_is_missed_and_who_is_invented(true, body):
    last = true.person == true.person.max()
    rows = ~last | (true.frame % 2 == 0)
    fields = ("person", "frame", "seen", "pose", "betas", "transl", "joints_world")
    fewer = dataclasses.replace(true, **{name: getattr(true, name)[rows] for name in fields})
    expected = 100 * 2 * rows.sum() / (rows.sum() + len(rows))
    assert scores(fewer, true, body)["f1"] == pytest.approx(expected)
    assert scores(true, fewer, body)["f1"] == pytest.approx(expected)
    bridged = dataclasses.replace(true, seen=rows)  # a bridged row claims no sight of anyone
    assert scores(bridged, true, body)["f1"] == pytest.approx(expected)


def test_batches_do_not_matter_and_mpvpe_is_that_of_the_score(true, body, monkeypatch):
    rng = np.random.default_rng(0)
    bent = true.pose + rng.normal(0, 0.1, true.pose.shape)
    predicted = dataclasses.replace(true, pose=bent)
    found = scores(predicted, true, body)
    monkeypatch.setattr(module, "BATCH_ROWS", 1)
    assert scores(predicted, true, body) == pytest.approx(found)
    score = score_scenes(predicted, true, hw=HW, fps=30.0, body=body)
    assert found["mpvpe"] == pytest.approx(score.mpvpe_mm, rel=1e-9)


def test_without_comparable_vertices_only_joints_are_compared(true, body):
    found = scores(true, true, body, vertices=None)
    missing = {name for name, value in found.items() if value is None}
    assert missing == {"mpvpe", "pve", "abs_pve", "ta_pve"}
    nobody = dataclasses.replace(true, seen=np.zeros(len(true.frame), bool))
    none = match(true, nobody, HW).where(np.zeros(len(true.frame), bool))
    found = camera_space_scores(true, nobody, none, HW, of_one_body(true, nobody, body))
    assert found.pop("f1") == 100.0 and set(found.values()) == {None}
