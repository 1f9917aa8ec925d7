"""The score of results whose every fault was made on purpose."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from multithumbs.errors import ConfigError
from multithumbs.evaluation.camera_scores import places_split
from multithumbs.evaluation.matching import match
from multithumbs.evaluation.scene import Scene
from multithumbs.evaluation.score import save_score, score, score_scenes
from multithumbs.geometry.rotations import axis_angle_from_matrix, matrix_from_axis_angle
from multithumbs.synth.truth import Truth

HW = (180, 320)
FPS = 30.0
CUT = 12


@pytest.fixture(scope="module")
def true(two_shots):
    scene = Scene.of_result(two_shots)
    return dataclasses.replace(scene, seen=np.ones(len(scene.frame), bool))


def change(scene, **fields):
    return dataclasses.replace(scene, **fields)


def moved(scene, body, turn_y, shift, *, rows=None, cameras=None):
    """The scene with some rows and cameras under another rigid transform of the world."""
    rows = np.ones(len(scene.frame), bool) if rows is None else rows
    cameras = np.ones(len(scene.camera_frame), bool) if cameras is None else cameras
    rotation = matrix_from_axis_angle(torch.tensor([0.0, turn_y, 0.0], dtype=torch.float64))
    R = rotation.numpy()
    pose, transl = scene.pose.copy(), scene.transl.copy()
    joints, world_from_cam = scene.joints_world.copy(), scene.world_from_cam.copy()
    orient = matrix_from_axis_angle(torch.from_numpy(pose[rows, 0]))
    pose[rows, 0] = axis_angle_from_matrix(rotation @ orient).numpy()
    pelvis = body.rest_joints(torch.from_numpy(scene.betas[rows]))[:, 0].numpy()
    transl[rows] = (pelvis + transl[rows]) @ R.T + shift - pelvis
    joints[rows] = joints[rows] @ R.T + shift
    world_from_cam[cameras, :3, :3] = R @ world_from_cam[cameras, :3, :3]
    world_from_cam[cameras, :3, 3] = world_from_cam[cameras, :3, 3] @ R.T + shift
    return change(
        scene, pose=pose, transl=transl, joints_world=joints, world_from_cam=world_from_cam
    )


def scored(predicted, true, body):
    return score_scenes(predicted, true, hw=HW, fps=FPS, body=body)


def test_the_truth_in_another_world_and_under_other_names_is_perfect(true, body):
    predicted = moved(true, body, 0.7, [2.0, 0.5, -1.0])
    predicted = change(predicted, person=5 - true.person)
    found = scored(predicted, true, body)
    errors = (
        found.w_mpjpe_mm, found.wa_mpjpe_mm, found.mpjpe_mm, found.pa_mpjpe_mm, found.mpvpe_mm,
        found.scene_mpjpe_mm, found.w_mpjpe_unchunked_mm, found.accel, found.ate_m,
    )  # fmt: skip
    assert max(errors) < 1e-5
    assert found.cut_rotation_deg < 1e-5
    assert (found.precision, found.recall) == (1.0, 1.0)
    assert (found.ids, found.ids_in_shot, found.ids_shared) == (0, 0, 0)
    assert (found.cuts_missed, found.cuts_false, found.cuts_unlinked) == (0, 0, 0)
    assert {p.true_person: p.predicted_persons for p in found.persons} == {0: (5,), 1: (4,)}
    assert found.cuts[0].seen_on_both_sides == 2


def test_swapped_names_after_the_cut_are_two_switches(true, body):
    after = true.frame >= CUT
    predicted = change(true, person=np.where(after, 1 - true.person, true.person))
    found = scored(predicted, true, body)
    assert (found.ids, found.ids_in_shot) == (2, 0)
    assert found.cuts[0].identity_switches == 2
    assert found.w_mpjpe_mm < 1e-6  # the motion itself is right


def test_a_new_name_inside_a_shot_is_a_switch_there(true, body):
    renamed = (true.frame >= 5) & (true.person == 0)
    found = scored(change(true, person=np.where(renamed, 9, true.person)), true, body)
    assert (found.ids, found.ids_in_shot) == (0, 1)


def test_one_name_for_two_people_is_seen_though_nobody_switches(true, body):
    keep = (true.person == 0) & (true.frame < CUT) | (true.person == 1) & (true.frame >= CUT)
    found = scored(change(only(true, keep), person=np.zeros(keep.sum(), np.int64)), true, body)
    assert (found.ids, found.ids_in_shot) == (0, 0)
    assert found.ids_shared == 1
    assert found.recall == 0.5


def only(scene, keep):
    rows = {
        name: getattr(scene, name)[keep]
        for name in ("person", "frame", "seen", "pose", "betas", "transl", "joints_world")
    }
    return change(scene, **rows)


def test_a_name_that_changes_over_a_shot_without_the_person_counts_as_across_a_cut(true, body):
    three = change(true, shot_start=np.array([0, 8, 16]))
    kept = only(three, (three.frame < 8) | (three.frame >= 16))
    renamed = (kept.frame >= 16) & (kept.person == 1)
    found = scored(change(kept, person=np.where(renamed, 7, kept.person)), three, body)
    assert (found.ids, found.ids_in_shot) == (1, 0)
    assert [cut.identity_switches for cut in found.cuts] == [0, 1]


def test_missing_and_invented_people(true, body):
    missing = only(true, true.person == 0)
    found = scored(missing, true, body)
    assert (found.recall, found.precision) == (0.5, 1.0)

    ghost = moved(
        only(true, true.person == 0), body, 0.0, [0.0, 2.5, 0.0], cameras=no_cameras(true)
    )
    both = {
        name: np.concatenate([getattr(true, name), getattr(ghost, name)])
        for name in ("person", "frame", "seen", "pose", "betas", "transl", "joints_world")
    }
    found = scored(change(true, **both), true, body)
    assert found.recall == 1.0
    assert found.precision == pytest.approx(2 / 3)
    bridged = both | {"seen": np.arange(len(both["seen"])) < len(true.frame)}
    assert scored(change(true, **bridged), true, body).precision == 1.0


def no_cameras(scene):
    return np.zeros(len(scene.camera_frame), bool)


def test_people_who_cannot_be_seen_are_not_demanded_nor_held_against_a_row(true, body):
    hidden = change(true, seen=true.person == 0)
    assert scored(only(true, true.person == 0), hidden, body).recall == 1.0
    assert scored(true, hidden, body).precision == 1.0


def test_a_cut_turned_by_ten_degrees(true, body):
    after = true.frame >= CUT
    cameras = true.camera_frame >= CUT
    predicted = moved(true, body, np.radians(10), [0.3, 0, 0], rows=after, cameras=cameras)
    found = scored(predicted, true, body)
    assert found.cut_rotation_deg == pytest.approx(10, abs=1e-6)
    assert found.cut_rotation_mean_deg == pytest.approx(10, abs=1e-6)
    assert found.mpjpe_mm < 1e-5  # in the camera nothing changed
    assert found.w_mpjpe_mm > 100
    assert found.ate_m > 0.1


def test_an_unlinked_cut_has_no_camera_error_but_costs_in_the_world(true, body):
    after, cameras = true.frame >= CUT, true.camera_frame >= CUT
    predicted = moved(true, body, 1.0, [3.0, 0, 0], rows=after, cameras=cameras)
    predicted = change(predicted, space=cameras.astype(np.int64))
    found = scored(predicted, true, body)
    assert (found.cuts_unlinked, found.cut_rotation_deg) == (1, None)
    assert found.w_mpjpe_mm > 500
    assert found.ate_m < 1e-9  # per island, as documented
    assert [island.frames for island in found.islands] == [12, 12]

    elsewhere = change(true, space=cameras.astype(np.int64))
    assert scored(true, elsewhere, body).cuts_wrongly_linked == 1
    assert scored(predicted, elsewhere, body).cuts_unlinked == 0


def test_a_place_returned_to_is_one_place_whatever_is_between(true):
    there, elsewhere = true.camera_frame < 6, (true.camera_frame >= 6) & (true.camera_frame < 12)
    back = true.camera_frame >= 12
    truth = change(true, space=elsewhere.astype(np.int64))
    assert places_split(change(true, space=there + 2 * elsewhere + back), truth) == 0
    assert places_split(change(true, space=there + 2 * elsewhere + 3 * back), truth) == 1
    assert places_split(change(true, space=np.zeros_like(true.space)), truth) == 0
    unseen = change(truth, seen=truth.frame < 12)
    assert places_split(change(true, space=there + 2 * elsewhere + 3 * back), unseen) == 0


def test_cuts_missed_and_invented(true, body):
    found = scored(change(true, shot_start=np.array([0])), true, body)
    assert (found.cuts_missed, found.cuts_false) == (1, 0)
    found = scored(change(true, shot_start=np.array([0, 5, 12])), true, body)
    assert (found.cuts_missed, found.cuts_false) == (0, 1)


def test_a_turned_body_costs_vertices_but_is_aligned_away_by_procrustes(true, body):
    pose = true.pose.copy()
    pose[:, 15, 1] += 0.5  # the head turns: joints stay, vertices move
    found = scored(change(true, pose=pose), true, body)
    assert found.mpjpe_mm < 1e-9
    assert found.mpvpe_mm > 1


def test_jitter_and_accel_feel_noise(true, body):
    noise = np.random.default_rng(0).normal(0, 0.01, true.joints_world.shape)
    noisy = scored(change(true, joints_world=true.joints_world + noise), true, body)
    clean = scored(true, true, body)
    assert clean.accel < 1e-9
    assert noisy.accel > 10
    assert noisy.jitter > clean.jitter


def test_nobody_found_gives_nulls_and_zero_recall(true, body, tmp_path):
    found = scored(only(true, np.zeros(len(true.frame), bool)), true, body)
    assert found.recall == 0
    assert found.precision is None
    assert found.w_mpjpe_mm is None
    assert found.ids == 0
    save_score(found, tmp_path / "score.json")
    document = json.loads((tmp_path / "score.json").read_text())
    assert document["mpvpe_mm"] is None
    required = {
        "ids", "w_mpjpe_mm", "wa_mpjpe_mm", "mpjpe_mm", "mpvpe_mm", "accel", "ate_m",
        "cut_rotation_deg", "precision", "recall",
    }  # fmt: skip
    assert required <= set(document)


def test_rows_of_another_island_than_the_camera_are_not_compared(two_islands):
    wrong = dataclasses.replace(two_islands, island=1 - two_islands.island)
    assert len(Scene.of_result(wrong).frame) == 0


def test_matching_prefers_the_nearest_and_respects_the_gate(true):
    matches = match(true, true, HW)
    np.testing.assert_array_equal(true.person[matches.predicted_row], true.person[matches.true_row])
    assert matches.distance.max() < 1e-9
    behind = change(true, world_from_cam=true.world_from_cam @ np.diag([-1.0, 1, -1, 1]))
    assert len(match(behind, true, HW).true_row) == 0


@pytest.fixture(scope="module")
def truth(two_shots, body):
    return Truth(
        person=two_shots.person,
        frame=two_shots.frame,
        shot=two_shots.shot,
        pose=two_shots.pose,
        betas=two_shots.betas,
        transl=two_shots.transl,
        joints_world=two_shots.joints_world,
        visible_fraction=np.ones(len(two_shots.person)),
        visible=np.ones(len(two_shots.person), bool),
        K=two_shots.K,
        world_from_cam=two_shots.world_from_cam,
        shot_start=two_shots.shot_start,
        shot_end=two_shots.shot_end,
        shot_room=np.array([0, 0]),
        names=("Ada", "Bo"),
        fps=two_shots.fps,
        hw=HW,
        body_model=body.name,
        body_sha256=body.sha256,
    )


def test_a_result_against_its_truth(two_shots, truth, body):
    found = score(two_shots, truth, body)
    assert found.recall == 1.0
    assert found.w_mpjpe_mm < 1e-6
    assert found.cuts[0].linkable
    assert len(found.cuts) == 1


def test_only_the_processed_frames_are_demanded(two_shots, truth, body):
    rows, cameras = two_shots.frame >= 6, two_shots.camera_frame >= 6
    names = ("person", "frame", "shot", "island", "global_orient", "body_pose", "betas", "transl")
    names += ("joints_world", "observed", "confidence")
    part = {name: getattr(two_shots, name)[rows] for name in names}
    part |= {
        name: getattr(two_shots, name)[cameras]
        for name in ("camera_frame", "K", "world_from_cam", "camera_island")
    }
    part["shot_start"] = np.array([6, 12])
    found = score(dataclasses.replace(two_shots, **part), truth, body)
    assert found.recall == 1.0
    assert (found.cuts_missed, found.cuts_false) == (0, 0)


def test_another_body_is_refused(two_shots, truth, body):
    other = dataclasses.replace(two_shots, body_model="SMPL neutral")
    with pytest.raises(ConfigError, match="one and the same"):
        score(other, truth, body)
