"""Stage `boundaries`: aligned cuts, failed cuts, the point map, colours and background."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from multithumbs.backends.boundaries.acceptance import rejection
from multithumbs.backends.boundaries.background import background_matches, match_features
from multithumbs.backends.boundaries.colours import colour_cost
from multithumbs.backends.boundaries.people import room_turns
from multithumbs.backends.boundaries.point_map import estimate_floor
from multithumbs.backends.boundaries.side import BoundarySide, boundary_rows, gather_side
from multithumbs.config.boundaries import (
    AcceptanceConfig,
    AppearanceConfig,
    BackgroundConfig,
    PeopleBoundariesConfig,
)
from multithumbs.solvers.two_view_search import TwoView
from multithumbs.stages import boundaries
from multithumbs.types import CutStatus

from . import cuts
from .drawn_room import draw_room, room_from_cam


@pytest.fixture(scope="module")
def cut(body):
    return cuts.small_cut(body, seed=1, people=3)


@pytest.fixture(scope="module")
def scene(cut):
    return boundaries.run(
        cuts.work_at_cut(PeopleBoundariesConfig(), (360, 640)), **cuts.inputs(cut)
    )


def test_the_relative_camera_and_the_pairs_are_found(cut, scene):
    assert scene.status is CutStatus.ALIGNED
    assert scene.reason == ""
    assert np.array_equal(scene.scene_from_cam[0], np.eye(4))
    found, true = scene.scene_from_cam[1], np.linalg.inv(cut.after_from_before)
    cosine = (np.trace(found[:3, :3].T @ true[:3, :3]) - 1) / 2
    assert np.degrees(np.arccos(np.clip(cosine, -1, 1))) < 5
    assert np.linalg.norm(found[:3, 3] - true[:3, 3]) < 0.8
    before, after = cut.sides
    assert [before.who[a] == after.who[b] for a, b in scene.pair] == [True] * 3


def test_the_point_map_covers_the_image_and_lies_on_bodies_in_their_masks(cut, scene):
    assert scene.points_scene.shape == (2, 45, 80, 3)
    v, u = np.indices((45, 80))
    pixels = np.stack([(u + 0.5) * 8, (v + 0.5) * 8], axis=-1)
    for side in range(2):
        cam = scene.points_scene[side] - scene.scene_from_cam[side, :3, 3]
        cam = cam @ scene.scene_from_cam[side, :3, :3]
        known = np.isfinite(cam).all(-1)
        projected = cam[known] @ scene.K[side].T
        assert np.abs(projected[:, :2] / projected[:, 2:] - pixels[known]).max() < 1e-3
        assert (scene.confidence[side][~known] == 0).all()
        person = scene.confidence[side] > 0.5
        joints = cut.sides[side].bodies.joints_cam.reshape(-1, 3)
        joints = joints @ scene.scene_from_cam[side, :3, :3].T + scene.scene_from_cam[side, :3, 3]
        apart = scene.points_scene[side][person][:, None] - joints
        nearest = np.linalg.norm(apart, axis=-1).min(1)
        assert person.sum() > 20
        assert nearest.max() < 0.5


def test_the_floor_lies_under_standing_feet_with_up_up(body, cut):
    sides = tuple(_side(side, frame) for frame, side in enumerate(cut.sides))
    keypoints = tuple(
        body.posed(*(torch.tensor(x) for x in (s.pose, s.betas, s.transl))).keypoints.numpy()
        for s in sides
    )
    truth = np.stack([np.eye(4), np.linalg.inv(cut.after_from_before)])
    point, normal = estimate_floor(truth, sides, keypoints)
    # OpenCV's y points down, and the cameras look a little downwards at most.
    assert normal[1] < -0.9
    pelvis = cut.pelvis_before
    heights = (pelvis - point) @ normal
    assert (heights > 0.4).all()
    assert (heights < 1.4).all()


def _side(side, frame):
    return gather_side(
        frame, side.detections, side.keypoints, side.bodies, side.tracks, side.masks,
        window_frames=0, min_confidence=0.3,
    )  # fmt: skip


def test_without_people_a_camera_that_only_turned_is_aligned_by_the_background(cut):
    rng = np.random.default_rng(1)
    noise = cv2.GaussianBlur(rng.integers(0, 255, (360, 640, 3), dtype=np.uint8), (0, 0), 3)
    first = cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX)
    K = cut.sides[0].bodies.K[0]
    turn = cv2.Rodrigues(np.array([0.03, 0.1, 0.02]))[0]
    shift = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    homography = np.linalg.inv(shift) @ K @ turn @ np.linalg.inv(K) @ shift
    second = cv2.warpPerspective(first, homography, (640, 360))
    inputs = cuts.inputs(cut)
    inputs["bodies"] = tuple(replace(b, confidence=np.zeros(len(b))) for b in inputs["bodies"])
    inputs["masks"] = tuple(
        replace(m, counts=m.counts[:0], offsets=m.offsets * 0) for m in inputs["masks"]
    )
    work = cuts.work_at_cut(PeopleBoundariesConfig(), (360, 640), [first, second])
    scene = boundaries.run(work, **inputs)
    assert scene.status is CutStatus.ALIGNED
    assert len(scene.pair) == 0
    np.testing.assert_allclose(scene.scene_from_cam[1, :3, :3].T, turn, atol=2e-3)
    logo = cuts.work_at_cut(PeopleBoundariesConfig(), (360, 640), [first, first])
    assert boundaries.run(logo, **inputs).status is CutStatus.FAILED


@pytest.mark.parametrize("side", [0, 1])
def test_nobody_on_one_side_fails_with_the_side_named(cut, side):
    inputs = cuts.inputs(cut)
    bodies = list(inputs["bodies"])
    bodies[side] = replace(bodies[side], confidence=np.zeros(len(bodies[side])))
    inputs["bodies"] = tuple(bodies)
    scene = boundaries.run(cuts.work_at_cut(PeopleBoundariesConfig(), (360, 640)), **inputs)
    assert scene.status is CutStatus.FAILED
    assert ("before", "after")[side] in scene.reason
    assert scene.points_scene.size == 0
    assert len(scene.pair) == 0


def test_a_change_of_place_fails(body):
    failed = []
    for seed in range(3):
        cut = cuts.small_cut(body, seed=seed, people=3, unrelated=True)
        work = cuts.work_at_cut(PeopleBoundariesConfig(), (360, 640))
        scene = boundaries.run(work, **cuts.inputs(cut))
        failed.append(scene.status is CutStatus.FAILED and scene.reason != "")
    assert sum(failed) >= 2


def test_a_row_of_a_neighbouring_frame_stands_in_for_a_missed_one(cut):
    side = cut.sides[0]
    moved = replace(side.detections, frame=np.array([0, 2, 9]))
    tracks = replace(side.tracks, track=np.array([0, 1, 2]))
    assert boundary_rows(0, moved, side.bodies, tracks, 2).tolist() == [0, 1]
    assert boundary_rows(0, moved, side.bodies, tracks, 0).tolist() == [0]
    same = replace(side.tracks, track=np.array([0, 0, -1]))
    assert boundary_rows(0, moved, side.bodies, same, 20).tolist() == [0]


def _dress(side, shirts, trousers, gain=1.0):
    """An image with everyone's torso and legs painted."""
    image = np.full((360, 640, 3), 90, dtype=np.uint8)
    for person in range(len(side.keypoints.uv)):
        uv = side.keypoints.uv[person]
        who = side.who[person]
        for bones, colour in (
            (((5, 11), (6, 12), (5, 7), (6, 8), (7, 9), (8, 10)), shirts[who]),
            (((11, 13), (12, 14), (13, 15), (14, 16)), trousers[who]),
        ):
            painted = tuple(int(min(c * gain, 255)) for c in colour)
            for a, b in bones:
                cv2.line(image, uv[a].astype(int).tolist(), uv[b].astype(int).tolist(), painted, 9)
    return image


def test_colours_tell_people_apart_in_another_light(body):
    cut = cuts.small_cut(body, seed=6, people=2, room_m=1.2)
    shirts, trousers = ((200, 40, 40), (40, 60, 200)), ((40, 40, 60), (190, 180, 150))
    images = (
        _dress(cut.sides[0], shirts, trousers),
        _dress(cut.sides[1], shirts, trousers, gain=0.7),
    )
    sides = tuple(_side(side, frame) for frame, side in enumerate(cut.sides))
    cost = colour_cost(images, sides, AppearanceConfig())
    same = cut.sides[0].who[:, None] == cut.sides[1].who[None]
    assert cost[same].max() < cost[~same].min()


def test_colours_veto_strangers(cut):
    images = [
        _dress(cut.sides[0], [(160, 110, 80)] * 3, [(80, 85, 115)] * 3),
        _dress(cut.sides[1], [(105, 110, 115)] * 3, [(175, 160, 95)] * 3),
    ]
    work = cuts.work_at_cut(PeopleBoundariesConfig(), (360, 640), images)
    scene = boundaries.run(work, **cuts.inputs(cut))
    assert scene.status is CutStatus.FAILED
    assert "dressed" in scene.reason


def test_textures_veto_strangers_whose_limbs_look_much_alike(cut):
    worn = [(200, 60, 60), (60, 60, 200), (60, 180, 60)]
    tracks = [[int(t) for t in side.tracks.track] for side in cut.sides]
    looks = [
        cuts.textures(track, [worn[who] for who in side.who.tolist()])
        for track, side in zip(tracks, cut.sides, strict=True)
    ]
    images = [
        _dress(cut.sides[0], [(150, 120, 100)] * 3, [(110, 110, 120)] * 3),
        _dress(cut.sides[1], [(110, 110, 110)] * 3, [(140, 140, 110)] * 3),
    ]
    work = cuts.work_at_cut(PeopleBoundariesConfig(), (360, 640), images)
    inputs = cuts.inputs(cut)
    scene = boundaries.run(work, **inputs | {"textures": tuple(looks)})
    assert scene.status is CutStatus.ALIGNED
    others = cuts.textures(tracks[1], [(30, 120, 240)] * len(tracks[1]))
    scene = boundaries.run(work, **inputs | {"textures": (looks[0], others)})
    assert scene.status is CutStatus.FAILED
    assert "dressed" in scene.reason


def two_view(*, pairs, runner_up=0.5):
    """So many pairs that fit well."""
    return TwoView(
        b_from_a=torch.eye(4),
        pairs=torch.arange(pairs)[:, None].repeat(1, 2),
        pair_cost=torch.full((pairs,), 0.5),
        inliers=torch.ones(pairs),
        residual_px=torch.ones(pairs, 2),
        residual_of_height=torch.full((pairs, 2), 0.01),
        log_size=torch.zeros(pairs, 2),
        points_a=torch.zeros(pairs, 23, 3),
        runner_up=runner_up,
        background_used=False,
    )


def test_one_more_may_be_missing_where_those_who_fit_look_alike():
    two = two_view(pairs=2)
    config = AcceptanceConfig()
    assert rejection(two, 1, config) == ""
    assert "2 people should be seen" in rejection(two, 2, config)
    assert rejection(two, 2, config, config.alike_cost - 0.1) == ""
    assert rejection(two, 2, config, config.alike_cost) != ""
    assert rejection(two, 3, config, 0.0) != ""
    one = two_view(pairs=1)
    assert rejection(one, 1, config, 0.0) != "", "one standing figure looks much like another"


def test_a_lone_pair_that_could_as_well_be_another_is_refused():
    config = AcceptanceConfig()
    one = two_view(pairs=1, runner_up=0.9)
    assert rejection(one, 0, config) == ""
    doubtful = one._replace(runner_up=config.max_single_runner_up + 0.01)
    assert "could as well be another" in rejection(doubtful, 0, config)
    assert rejection(two_view(pairs=2, runner_up=1.0), 0, config) == ""


def test_background_matches_follow_a_turn_of_the_camera():
    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.integers(0, 255, (480, 640, 3), dtype=np.uint8), (0, 0), 3)
    first = cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX)
    K = np.array([[700.0, 0, 320], [0, 700, 240], [0, 0, 1]])
    turn = cv2.Rodrigues(np.array([0.02, 0.08, 0.0]))[0]
    homography = K @ turn @ np.linalg.inv(K)
    # OpenCV warps between integer centres; ours lie at one half.
    shift = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    second = cv2.warpPerspective(first, np.linalg.inv(shift) @ homography @ shift, (640, 480))
    nobody = np.zeros((480, 640), dtype=bool)
    people = nobody.copy()
    people[:, :200] = True
    config = BackgroundConfig()
    uv = match_features((first, second), (people, nobody), config)
    assert (uv[0, :, 0] > 200).all()
    matches = background_matches((first, second), (people, nobody), np.stack([K, K]), config)
    assert matches is not None
    ones = np.ones((matches.uv.shape[1], 1))
    moved = np.c_[matches.uv[0].numpy(), ones] @ homography.T
    error = np.linalg.norm(moved[:, :2] / moved[:, 2:] - matches.uv[1].numpy(), axis=1)
    assert np.median(error) < 0.5
    unrelated = cv2.GaussianBlur(rng.integers(0, 255, (480, 640, 3), dtype=np.uint8), (0, 0), 3)
    assert (
        background_matches((first, unrelated), (nobody, nobody), np.stack([K, K]), config) is None
    )


def upright_side(focal: float) -> BoundarySide:
    """One person who stands upright before a camera."""
    joints = np.tile([0.0, 0.0, 4.0], (1, 24, 1))
    joints[0, 12, 1] = -0.5  # the neck, above the pelvis
    return BoundarySide(
        frame=0, hw=(720, 1280), K=np.array([[focal, 0, 640.0], [0, focal, 360.0], [0, 0, 1.0]]),
        row=np.zeros(1, np.int64), uv=np.zeros((1, 23, 2)), confidence=np.ones((1, 23)),
        pose=np.zeros((1, 24, 3)), betas=np.zeros((1, 10)), transl=np.zeros((1, 3)),
        size=np.ones(1), joints_cam=joints, body_confidence=np.ones(1),
        mask=np.zeros((1, 720, 1280), bool),
    )  # fmt: skip


@pytest.mark.parametrize("assumed", [1.0, 0.9])
def test_two_views_of_a_room_leave_four_rotations_and_the_true_one_is_among_them(assumed):
    """The lens need not be known exactly."""
    focal, yaws = 1400.0, (25.0, 130.0)
    sides = (upright_side(assumed * focal), upright_side(assumed * focal))
    images = (draw_room(focal, yaw_deg=yaws[0]), draw_room(focal, yaw_deg=yaws[1]))
    nobody = np.zeros((720, 1280), bool)
    turns = room_turns(sides, images, (nobody, nobody), PeopleBoundariesConfig())
    true = room_from_cam(yaws[1]).T @ room_from_cam(yaws[0])
    traces = np.einsum("tij,ij->t", turns.b_from_a.numpy(), true)
    off_deg = np.degrees(np.arccos(((traces - 1) / 2).clip(-1, 1)))
    assert len(off_deg) == 4
    assert off_deg.min() < (0.5 if assumed == 1 else 4.0)
    assert (np.sort(off_deg)[1:] > 80).all()


def test_where_one_side_shows_no_room_nothing_is_known_of_the_rotation():
    sides = (upright_side(1400.0), upright_side(1400.0))
    plain = np.full((720, 1280, 3), 128, np.uint8)
    nobody, images = np.zeros((720, 1280), bool), (draw_room(1400.0), plain)
    assert room_turns(sides, images, (nobody, nobody), PeopleBoundariesConfig()) is None
    everybody = np.ones((720, 1280), bool)
    images = (images[0], images[0])
    assert room_turns(sides, images, (nobody, everybody), PeopleBoundariesConfig()) is None
