"""Scenes, their truth and their pictures agree with one another."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from multithumbs.body import EMBEDDED_BODY, BodyModel, load_body
from multithumbs.errors import ArtifactError
from multithumbs.io.video import Video
from multithumbs.render.raycast import Mesh, cast
from multithumbs.render.texture import Texels
from multithumbs.synth.appearance import Outfit, dressed_offsets, paint
from multithumbs.synth.cameras import CameraKey, CameraScript, look_at, trajectory
from multithumbs.synth.clip import Stage, person_ids, render_clip
from multithumbs.synth.demo import demo_scene
from multithumbs.synth.room import RoomStyle, build_room
from multithumbs.synth.scene import Scene
from multithumbs.synth.small_scenes import tiny_scene, two_places_scene
from multithumbs.synth.textures import TexturePack
from multithumbs.synth.truth import Truth, truth_of, vertices_of

HW = (120, 160)


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body(EMBEDDED_BODY)


@pytest.fixture(scope="module")
def tiny() -> Scene:
    scene = tiny_scene(hw=HW)
    return replace(scene, rooms=(RoomStyle(seed=3, texture_scale=0.1),), texture_size=128)


@pytest.fixture(scope="module")
def truth(tiny, body) -> Truth:
    return truth_of(tiny, body)


@pytest.fixture(scope="module")
def stage(tiny, truth, body) -> Stage:
    return Stage(tiny, truth, body, threads=1)


def test_cameras_are_opencv_in_a_world_with_y_up():
    eye, target = np.array([[1.0, 1.6, 4.0]]), np.array([[0.2, 1.0, 0.0]])
    world_from_cam = look_at(eye, target)[0]
    rotation = world_from_cam[:3, :3]
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)
    in_cam = rotation.T @ (target[0] - eye[0])
    np.testing.assert_allclose(in_cam, [0, 0, np.linalg.norm(target - eye)], atol=1e-12)
    assert rotation[1, 1] < -0.9 and rotation[1, 0] == pytest.approx(0)  # +y of the camera is down


def test_lenses_default_to_the_diagonal_and_zoom_by_keys():
    static = CameraKey(time_s=0.0, eye=(0.0, 1.5, 4.0), target=(0.0, 1.0, 0.0))
    times = np.arange(30) / 30
    K, world_from_cam = trajectory(CameraScript(keys=(static,)), times, (720, 1280))
    np.testing.assert_allclose(K[:, 0, 0], np.hypot(720, 1280))
    np.testing.assert_allclose(K[0, :2, 2], [640, 360])
    assert np.ptp(world_from_cam, axis=0).max() < 1e-12
    longer = replace(static, time_s=0.9, focal_px=3000.0)
    zoom, _ = trajectory(CameraScript(keys=(static, longer)), times, (720, 1280))
    assert (np.diff(zoom[:, 0, 0]) > 0).all() and zoom[-1, 0, 0] > 2600
    _, shaken = trajectory(CameraScript(keys=(static,), handheld=1.0), times, (720, 1280))
    assert 1e-4 < np.linalg.norm(shaken[:, :3, 3] - [0, 1.5, 4], axis=1).max() < 0.05


def test_shots_must_follow_one_another(tiny):
    with pytest.raises(ValueError, match="follow one another"):
        replace(tiny, shots=(tiny.shots[1],))


def test_textures_carry_their_mip_levels():
    image = np.zeros((4, 4, 3), np.uint8)
    image[:2] = 200
    pack = TexturePack.of([image, image[1:3, 1:3]])
    assert pack.start.tolist() == [0, 21] and pack.size.tolist() == [4, 2]
    assert len(pack.texels) == 21 + 5
    assert pack.texels[20].tolist() == [100, 100, 100]
    with pytest.raises(ValueError, match="power of two"):
        TexturePack.of([np.zeros((4, 3, 3), np.uint8)])


def test_a_room_is_the_same_whatever_it_is_painted_with():
    style = RoomStyle(seed=5, texture_scale=0.1, seats=((0.0, 0.0, 0.46),))
    painted, bare = build_room(style), build_room(style, painted=False)
    np.testing.assert_array_equal(painted.furniture.vertices, bare.furniture.vertices)
    np.testing.assert_array_equal(painted.shell.vertices, bare.shell.vertices)
    assert painted.shell.vertices[:, 1].min() == pytest.approx(0.0, abs=1e-9)
    other = build_room(replace(style, seed=6), painted=False)
    assert not np.array_equal(other.furniture.vertices, bare.furniture.vertices)


def test_clothes_are_painted_where_they_are_worn(body):
    texels = Texels.of(body.face_uv.numpy(), 128)
    outfit = Outfit(shirt=(0.0, 1.0, 0.8), trousers=(0.33, 1.0, 0.6), sleeves=0.4)
    texture = paint(body, outfit, texels).astype(float)
    points, _ = texels.points(body.v_template.numpy(), body.faces.numpy())
    colour = texture[texels.row, texels.column]
    pelvis, joints = body.J_template[0].numpy(), body.J_template.numpy()
    chest = (np.abs(points[:, 0]) < 0.1) & (np.abs(points[:, 1] - joints[6, 1] - 0.05) < 0.05)
    knee = np.abs(points[:, 1] - joints[4, 1]) < 0.05
    hand = points[:, 0] > joints[20, 0] + 0.02
    red, green = colour[:, 0] - colour[:, 1], colour[:, 1] - colour[:, 0]
    assert (red[chest] > 60).mean() > 0.95
    assert (green[knee] > 40).mean() > 0.95
    assert (colour[hand].min(1) > 40).mean() > 0.95 and pelvis[1] < 0
    np.testing.assert_array_equal(paint(body, outfit, texels), texture.astype(np.uint8))
    assert np.abs(paint(body, replace(outfit, seed=1), texels) - texture).max() > 0
    with pytest.raises(ValueError, match="no UV layout"):
        paint(replace(body, face_uv=None), outfit, texels)


def test_clothes_stand_off_the_skin_but_never_through_the_floor(body):
    offsets = dressed_offsets(body, Outfit())
    thickness = np.linalg.norm(offsets, axis=1)
    assert 0.008 < thickness.max() < 0.03
    soles = body.v_template[:, 1] < body.v_template[:, 1].min() + 0.01
    assert offsets[soles.numpy(), 1].min() >= 0


def test_truth_is_consistent_with_the_body(truth, body, tiny):
    assert truth.names == ("Ada", "Bo") and truth.num_frames == 24
    assert truth.shot_start.tolist() == [0, 12] and truth.shot_end.tolist() == [12, 24]
    row = truth.row(1, 15)
    assert row is not None and truth.shot[row] == 1 and truth.row(0, 99) is None
    arguments = (torch.tensor(values[row]) for values in (truth.pose, truth.betas, truth.transl))
    np.testing.assert_allclose(
        truth.joints_world[row], body.posed(*arguments).joints.numpy(), atol=1e-9
    )
    assert truth.visible.all() and truth.visible_fraction.min() > 0.9
    np.testing.assert_allclose(
        truth.betas[truth.person == 0], np.array([tiny.actors[0].betas] * 24)
    )


def test_truth_survives_the_disk(truth, tmp_path):
    path = tmp_path / "truth.npz"
    truth.save(path)
    loaded = Truth.load(path)
    for name in ("pose", "transl", "visible", "K", "world_from_cam", "shot_start"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(truth, name))
    assert (loaded.fps, loaded.hw, loaded.names) == (Fraction(30), HW, ("Ada", "Bo"))
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ArtifactError, match="damaged"):
        Truth.load(path)
    with pytest.raises(ArtifactError, match="cannot write"):
        truth.save(tmp_path / "nowhere" / "truth.npz")


def test_time_goes_on_across_cuts(truth):
    for person in range(2):
        joints = truth.joints_world[truth.person == person]
        speed = np.linalg.norm(np.diff(joints[:, 0], axis=0), axis=1) * 30
        assert speed.max() < 1.0
    jump = np.linalg.norm(truth.world_from_cam[12, :3, 3] - truth.world_from_cam[11, :3, 3])
    assert jump > 2


def test_pictures_show_the_true_silhouettes(stage, truth, body):
    for frame in (0, 20):
        picture = stage.picture(frame)
        ids = person_ids(picture, 2)
        meshes = [
            Mesh(vertices_of(truth, body, truth.row(person, frame)), body.faces.numpy())
            for person in range(2)
        ]
        cam_from_world = np.linalg.inv(truth.world_from_cam[frame])
        hits = cast(meshes, truth.K[frame], HW, cam_from_world=cam_from_world)
        for person in range(2):
            drawn, true = ids == person, hits.mesh == person
            # Clothes and hair only add a rim.
            assert (drawn & true).sum() / true.sum() > 0.99
            assert (drawn & true).sum() / (drawn | true).sum() > 0.80
        both = (ids >= 0) & (ids == hits.mesh)
        assert np.median(np.abs(picture.depth - hits.depth)[both]) < 0.03
        assert np.isfinite(picture.depth).all() and picture.rgb.std() > 20


def test_pictures_are_deterministic_whatever_the_threads(tiny, truth, body, stage):
    again = Stage(tiny, truth, body, threads=3).picture(5)
    np.testing.assert_array_equal(again.rgb, stage.picture(5).rgb)


def test_shadows_darken_the_floor(tiny, stage, truth, body):
    ankle = truth.joints_world[truth.row(1, 0), 7]
    cam = np.linalg.inv(truth.world_from_cam[0]) @ np.array([ankle[0] + 0.10, 0, ankle[2], 1])
    u, v = ((truth.K[0] @ cam[:3])[:2] / cam[2]).astype(int)
    away = replace(
        truth,
        transl=truth.transl + np.array([0, 0, 30.0]),
        joints_world=truth.joints_world + np.array([0, 0, 30.0]),
    )
    empty = Stage(tiny, away, body, threads=1).picture(0)
    crowded = stage.picture(0)
    floor = (slice(v - 1, v + 2), slice(u - 1, u + 2))
    assert (empty.mesh >= 2).all() and (crowded.mesh[floor] >= 2).any()
    seen = crowded.mesh[floor] >= 2
    assert crowded.rgb[floor][seen].mean() < 0.95 * empty.rgb[floor][seen].mean()


def test_a_clip_has_every_frame_and_its_cut(tiny, truth, body, tmp_path):
    path = tmp_path / "clip.mp4"
    seen = []
    render_clip(
        tiny, truth, body, path, threads=1, progress=lambda done, total: seen.append((done, total))
    )
    video = Video(path)
    assert video.info.hw == HW and video.info.num_frames == 24
    assert video.info.frame_rate == Fraction(30) and seen[-1] == (24, 24)
    frames = np.stack([frame.rgb for frame in video.frames(0, 24)]).astype(float)
    change = np.abs(np.diff(frames, axis=0)).mean((1, 2, 3))
    assert change.argmax() == 11 and change[11] > 4 * np.delete(change, 11).max()


def test_another_room_is_another_place_with_its_own_cast(body):
    scene = two_places_scene(hw=(90, 160))
    truth = truth_of(scene, body)
    assert truth.shot_room.tolist() == [0, 1]
    assert truth.row(0, 20) is None and truth.row(1, 20) is not None
    assert truth.K[11, 0, 0] > 1.1 * truth.K[0, 0, 0]


def test_the_demo_is_what_it_says(body):
    truth = truth_of(demo_scene(), body)
    assert truth.num_frames == 120 and truth.hw == (720, 1280) and len(truth.shot_start) == 3
    np.testing.assert_allclose(truth.K[:, 0, 0], np.hypot(720, 1280))
    shown = {
        (person, shot): truth.visible_fraction[(truth.person == person) & (truth.shot == shot)]
        for person in range(3)
        for shot in range(3)
    }
    for person, shot in ((2, 0), (0, 2)):  # Cem has not come yet; Ada is gone
        assert shown[person, shot].max() == 0
    for person, shot in ((0, 0), (1, 0), (0, 1), (1, 1), (2, 1)):
        assert shown[person, shot].min() > 0.9
    for person in (1, 2):
        assert shown[person, 2].min() > 0.5 and shown[person, 2].max() < 0.9  # truncated
    eyes = truth.world_from_cam[:, :3, 3]
    travel = [np.ptp(eyes[truth.shot_start[s] : truth.shot_end[s]], axis=0).max() for s in range(3)]
    assert travel[0] == travel[2] == 0 and travel[1] > 0.5
