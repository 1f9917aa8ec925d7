"""The benchmark's scenes and their simulated perception."""

import numpy as np
import pytest

from multithumbs.synth.clip_noise import ClipOracleNoise, PerceptionNoise
from multithumbs.synth.clip_oracle import make_clip_oracle
from multithumbs.synth.suite_scenes import SUITE_SCENES, suite_scene


@pytest.mark.parametrize("name", SUITE_SCENES)
def test_scenes_follow_from_their_seed(name):
    assert suite_scene(name, 3) == suite_scene(name, 3)
    assert suite_scene(name, 3) != suite_scene(name, 4)


def test_the_situations_are_what_their_names_say():
    for seed in range(4):
        assert 6 <= len(suite_scene("crowd", seed).actors) <= 8
        long = suite_scene("long", seed)
        assert (len(long.shots), long.num_frames) == (12, 1500)
        rooms = [shot.room for shot in suite_scene("change-of-place", seed).shots]
        assert rooms == [0, 0, 1]
        away = suite_scene("broll", seed)
        assert away.shots[0].camera == away.shots[2].camera != away.shots[1].camera
        a, b, c, d = (shot.camera for shot in suite_scene("dialogue", seed).shots)
        assert (a, b) == (c, d)


@pytest.fixture(scope="module")
def clip(body):
    return make_clip_oracle(body, suite_scene("dialogue", 5), 5)


def test_artifacts_follow_from_the_seed(body, clip):
    again = make_clip_oracle(body, suite_scene("dialogue", 5), 5)
    other = make_clip_oracle(body, suite_scene("dialogue", 5), 6)
    for s, shot in enumerate(clip.perceived):
        np.testing.assert_array_equal(shot.keypoints.uv, again.perceived[s].keypoints.uv)
        np.testing.assert_array_equal(shot.bodies.transl, again.perceived[s].bodies.transl)
    np.testing.assert_array_equal(clip.reconstructions[0].depth, again.reconstructions[0].depth)
    assert not np.array_equal(clip.perceived[0].bodies.betas, other.perceived[0].bodies.betas)


def test_bodies_explain_their_own_keypoints(clip):
    for shot in clip.perceived:
        # Some 80 mm on a body of 1.5 m: the order of a monocular fit's MPJPE.
        assert np.median(shot.bodies.residual_px / shot.detections.roi[:, 2]) < 0.08


def test_sizes_err_by_shot_and_not_by_frame(clip):
    truth = clip.truth
    for shot in clip.perceived:
        ratio = shot.bodies.joints_cam[:, 0, 2]
        cam = np.linalg.inv(truth.world_from_cam[shot.detections.frame])
        pelvis = truth.joints_world[shot.truth_row, 0]
        depth = np.einsum("nj,nj->n", cam[:, 2, :3], pelvis) + cam[:, 2, 3]
        log = np.log(ratio / depth)
        person = truth.person[shot.truth_row]
        within = np.mean([log[person == p].std() for p in np.unique(person)])
        assert within < 0.04


def test_without_noise_the_keypoints_are_the_truths(body):
    still = PerceptionNoise(
        keypoint_of_size=0.0,
        keypoint_slow_of_size=0.0,
        dropout=0.0,
        outlier=0.0,
        missed=0.0,
        log_focal=0.0,
    )
    scene = suite_scene("dialogue", 5)
    exact = make_clip_oracle(body, scene, 5, ClipOracleNoise(perception=still))
    shot = exact.perceived[0]
    truth = exact.truth
    cam = np.linalg.inv(truth.world_from_cam[0])
    row = shot.truth_row[0]
    pelvis = cam[:3, :3] @ truth.joints_world[row, 0] + cam[:3, 3]
    uv = (truth.K[0] @ pelvis)[:2] / pelvis[2]
    hips = shot.keypoints.uv[0, 11:13].mean(0)
    assert np.linalg.norm(hips - uv) < 60  # hips lie beside the pelvis joint
    np.testing.assert_array_equal(shot.K, truth.K[0])
    again = make_clip_oracle(body, scene, 9, ClipOracleNoise(perception=still))
    np.testing.assert_array_equal(shot.keypoints.uv, again.perceived[0].keypoints.uv)


def test_a_reconstruction_knows_no_scale_and_two_places_get_a_relation_too(body):
    clip = make_clip_oracle(body, suite_scene("change-of-place", 0), 0)
    for found in clip.reconstructions:
        assert np.isfinite(found.scene_from_cam).all()
        assert (found.trust >= 1).all()
    sizes = [np.nanmean(found.depth[0]) for found in clip.reconstructions]
    assert abs(np.log(sizes[0] / sizes[1])) > 1e-3


def test_rooms_are_rendered_when_asked_for(clip):
    picture = clip.video.frame(0)
    assert picture.shape == (720, 1280, 3)
    assert picture.std() > 20
    np.testing.assert_array_equal(picture, clip.video.frame(0))
