"""Each program's own file format, written from one known scene and read back."""

import pickle
from dataclasses import replace

import joblib
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from multithumbs.body import EMBEDDED_BODY, load_body
from multithumbs.errors import ArtifactError
from multithumbs.evaluation.readers.motions import (
    CameraPath,
    Motion,
    motion_of,
    moved,
    scene_of,
)
from multithumbs.evaluation.readers.peers import PEERS, Clip, read_peer

FRAMES = 12
CLIP = Clip(hw=(360, 640), fps=30.0, num_frames=FRAMES)
RNG = np.random.default_rng(3)
FOCAL = 500.0


@pytest.fixture(scope="module")
def body():
    return load_body(EMBEDDED_BODY)


def people(hands=True):
    """Two people in the world, 22 or 24 joints."""
    found = []
    for person, frames in ((1, np.arange(FRAMES)), (4, np.arange(3, 9))):
        pose = RNG.normal(0, 0.3, (len(frames), 24, 3))
        if not hands:
            pose[:, 22:] = 0
        betas = np.tile(RNG.normal(0, 0.5, 10), (len(frames), 1))
        transl = RNG.normal(0, 0.2, (len(frames), 3)) + np.array([person - 2, 0.3, 5])
        found.append(motion_of(person, frames, pose, betas, transl))
    return found


def path():
    """A camera that moves: world_from_cam (T, 4, 4)."""
    world_from_cam = np.tile(np.eye(4), (FRAMES, 1, 1))
    turns = np.linspace(0, 0.4, FRAMES)[:, None] * [0.2, 1, 0.1]
    world_from_cam[:, :3, :3] = Rotation.from_rotvec(turns).as_matrix()
    world_from_cam[:, :3, 3] = np.linspace(0, 1, FRAMES)[:, None] * [0.5, -0.1, 0.3]
    return world_from_cam


SMPLX_PELVIS = np.array([0.0031, -0.3514, 0.0120])
"""J_regressor @ v_template of SMPLX_NEUTRAL."""


def smplx_transl(motion, body):
    """What SMPL-X's ``transl`` would be for a pelvis in this place."""
    return joints(motion, body)[:, 0] - SMPLX_PELVIS


def in_camera(motion: Motion, world_from_cam, body) -> Motion:
    return moved(motion, np.linalg.inv(world_from_cam)[motion.frame], body)


def joints(motion: Motion, body):
    values = (
        torch.as_tensor(x, dtype=body.dtype) for x in (motion.pose, motion.betas, motion.transl)
    )
    return body.posed(*values).joints.numpy()


def wobble(count):
    """Of a shape from frame to frame, about nothing."""
    values = np.zeros((count, 10))
    values[:2] = [[0.4], [-0.4]]
    return values


def matrices(pose):
    return Rotation.from_rotvec(pose.reshape(-1, 3)).as_matrix().reshape(*pose.shape[:-1], 3, 3)


def write(program, folder, world, world_from_cam, body):
    """The file (or folder) of a program, and whether it knows a world."""
    cam = [in_camera(m, world_from_cam, body) for m in world]
    match program:
        case "gvhmr":
            parts = {}
            for name, m in (("global", world[0]), ("incam", cam[0])):
                parts[f"smpl_params_{name}"] = {
                    "body_pose": torch.tensor(m.pose[:, 1:22].reshape(-1, 63)),
                    "betas": torch.tensor(m.betas),
                    "global_orient": torch.tensor(m.pose[:, 0]),
                    "transl": torch.tensor(smplx_transl(m, body)),
                }
            K = torch.tensor([[FOCAL, 0, 320], [0, FOCAL, 180], [0, 0, 1]])
            torch.save(parts | {"K_fullimg": K.repeat(FRAMES, 1, 1)}, folder / "hmr4d_results.pt")
            return folder / "hmr4d_results.pt"
        case "wham":
            # Everybody's world is their own: the second one's is turned and shifted.
            own = np.eye(4)
            own[:3, :3] = Rotation.from_rotvec([0, 1.0, 0]).as_matrix()
            own[:3, 3] = [3, 0, -2]
            worlds = [world[0], moved(world[1], np.tile(own, (len(world[1].frame), 1, 1)), body)]
            content = {
                m.person: {
                    "pose": c.pose.reshape(-1, 72),
                    "trans": c.transl,
                    "pose_world": m.pose.reshape(-1, 72),
                    "trans_world": joints(m, body)[:, 1:3].mean(1),
                    "betas": m.betas,
                    "frame_ids": m.frame,
                }
                for m, c in zip(worlds, cam, strict=True)
            }
            joblib.dump(content, folder / "wham_output.pkl")
            return folder / "wham_output.pkl"
        case "phalp":
            content = {}
            for frame in range(FRAMES):
                seen = [(m, list(m.frame).index(frame)) for m in cam if frame in m.frame]
                content[f"img/{frame:06d}.jpg"] = {
                    "time": frame,
                    "shot": int(frame == 6),
                    "tid": [m.person for m, _ in seen],
                    "tracked_time": [int(m.person == 4 and i > 3) for m, i in seen],
                    "camera": [m.transl[i] for m, i in seen],
                    "smpl": [
                        {
                            "global_orient": matrices(m.pose[i, :1]),
                            "body_pose": matrices(m.pose[i, 1:]),
                            "betas": m.betas[i],
                        }
                        for m, i in seen
                    ],
                }
            joblib.dump(content, folder / "demo.pkl", compress=3)
            return folder / "demo.pkl"
        case "prompthmr":
            whole = [
                np.concatenate([m.pose[:, :22], np.ones((len(m.frame), 33, 3))], 1) for m in world
            ]
            content = {
                "people": {
                    str(m.person): {
                        "frames": m.frame,
                        "smplx_world": {
                            "pose": p.reshape(-1, 165), "shape": m.betas,
                            "trans": smplx_transl(m, body),
                        },
                    }
                    for m, p in zip(world, whole, strict=True)
                },
                "camera_world": {
                    "Rwc": world_from_cam[:, :3, :3], "Twc": world_from_cam[:, :3, 3],
                    "img_focal": np.float32(FOCAL), "img_center": np.array([320.0, 180.0]),
                },
            }  # fmt: skip
            joblib.dump(content, folder / "results.pkl")
            return folder / "results.pkl"
        case "tram":
            camera = {
                "world_cam_R": torch.tensor(world_from_cam[:, :3, :3]),
                "world_cam_T": torch.tensor(world_from_cam[:, :3, 3]),
                "img_focal": FOCAL,
                "img_center": np.array([320.0, 180.0]),
            }
            np.save(folder / "camera.npy", camera, allow_pickle=True)
            (folder / "hps").mkdir()
            for m in cam:
                track = {
                    "pred_rotmat": torch.tensor(matrices(m.pose)),
                    "pred_shape": torch.tensor(m.betas + wobble(len(m.betas))),
                    "pred_trans": torch.tensor(m.transl[:, None]),
                    "frame": m.frame,
                }
                np.save(folder / "hps" / f"hps_track_{m.person}.npy", track, allow_pickle=True)
            return folder
        case "slahmr":
            cam_from_world = np.linalg.inv(world_from_cam)
            run = folder / "clip-all-shot-0-0-12" / "motion_chunks"
            run.mkdir(parents=True)
            np.savez(
                run / "clip_000_world_results.npz",
                trans=world[0].transl[None],
                root_orient=world[0].pose[None, :, 0],
                pose_body=world[0].pose[None, :, 1:22].reshape(1, FRAMES, 63),
                betas=np.concatenate([world[0].betas[0], np.ones(6)])[None],
                cam_R=cam_from_world[None, :, :3, :3],
                cam_t=cam_from_world[None, :, :3, 3],
                intrins=np.array([FOCAL, FOCAL, 320, 180]),
            )
            return run / "clip_000_world_results.npz"
        case "comotion":
            content = {
                "id": torch.tensor(np.concatenate([np.full(len(m.frame), m.person) for m in cam])),
                "frame_idx": torch.tensor(np.concatenate([m.frame for m in cam])),
                "pose": torch.tensor(np.concatenate([m.pose.reshape(-1, 72) for m in cam])),
                "betas": torch.tensor(np.concatenate([m.betas for m in cam])),
                "trans": torch.tensor(np.concatenate([m.transl for m in cam])),
            }
            torch.save(content, folder / "clip.pt")
            return folder / "clip.pt"


@pytest.mark.parametrize("program", PEERS)
def test_what_a_program_wrote_is_read_back(tmp_path, body, program):
    whole = program in ("wham", "phalp", "tram", "comotion")
    world, world_from_cam = people(hands=whole), path()
    scene = read_peer(program, write(program, tmp_path, world, world_from_cam, body), CLIP, body)
    shared = program not in ("phalp", "comotion")
    expected = world[:1] if program in ("gvhmr", "slahmr") else world
    persons = [m.person for m in expected] if program not in ("gvhmr", "slahmr") else [0]
    assert sorted(set(scene.person.tolist())) == persons
    for person, motion in zip(persons, expected, strict=True):
        mine = scene.person == person
        assert scene.frame[mine].tolist() == motion.frame.tolist()
        placed = motion if shared else in_camera(motion, world_from_cam, body)
        np.testing.assert_allclose(scene.joints_world[mine], joints(placed, body), atol=2e-5)
    if shared:
        np.testing.assert_allclose(scene.world_from_cam, world_from_cam, atol=1e-5)
        f = scene.K[0, 0, 0]
        assert f == pytest.approx(np.hypot(360, 640) if program == "wham" else FOCAL)
    if program == "phalp":
        assert scene.shot_start.tolist() == [0, 6]
        assert (~scene.seen).sum() == 2
        assert scene.K[0, 0, 0] == pytest.approx(5000 / 256 * 640)


def test_gvhmr_has_a_row_per_picture_whatever_the_rate(tmp_path, body):
    file = write("gvhmr", tmp_path, people(hands=False), path(), body)
    clip = Clip(hw=(360, 640), fps=20.0, num_frames=FRAMES - 2)
    assert read_peer("gvhmr", file, clip, body).frame.tolist() == list(range(FRAMES - 2))


def test_prompthmr_sees_small_pictures_and_not_all_of_a_fast_video(tmp_path, body):
    file = write("prompthmr", tmp_path, people(hands=False), path(), body)
    # 1500x2001 has the sides 1500x2002, and is shrunk to 896x1194.
    clip = Clip(hw=(1500, 2001), fps=119.88, num_frames=2 * FRAMES)
    scene = read_peer("prompthmr", file, clip, body)
    assert scene.camera_frame.tolist() == list(range(1, 2 * FRAMES, 2))
    assert scene.frame[scene.person == 4].tolist() == [7, 9, 11, 13, 15, 17]
    sx, sy = 2001 / 1194, 1500 / 896
    np.testing.assert_allclose(scene.K[0, 0], [sx * FOCAL, 0, sx * 320])
    np.testing.assert_allclose(scene.K[0, 1], [0, sy * FOCAL, sy * 180])


def test_trams_older_cameras_are_read(tmp_path, body):
    folder = write("tram", tmp_path, people(), path(), body)
    camera = np.load(folder / "camera.npy", allow_pickle=True).item()
    older = {name.replace("world_cam", "pred_cam"): value for name, value in camera.items()}
    np.save(folder / "camera.npy", older, allow_pickle=True)
    np.testing.assert_allclose(read_peer("tram", folder, CLIP, body).world_from_cam, path())


@pytest.mark.parametrize("program", PEERS)
def test_another_files_content_is_one_clear_line(tmp_path, body, program):
    other = tmp_path / "other"
    other.write_bytes(pickle.dumps({"unrelated": [1, 2, 3]}))
    with pytest.raises(ArtifactError) as raised:
        read_peer(program, other, CLIP, body)
    assert "\n" not in str(raised.value)


def test_rows_that_are_nowhere_are_left_out_and_cameras_that_are_refused(body):
    [motion, _], world_from_cam = people(), path()
    K = np.tile(np.eye(3), (FRAMES, 1, 1))
    cameras = CameraPath(frame=np.arange(FRAMES), K=K, world_from_cam=world_from_cam)
    broken = motion.pose.copy()
    broken[3, 5] = np.nan
    scene = scene_of([replace(motion, pose=broken)], cameras, body)
    assert scene.frame.tolist() == [frame for frame in range(FRAMES) if frame != 3]
    with pytest.raises(ArtifactError, match="person 1 stands twice in frame 0"):
        scene_of([motion, motion], cameras, body)
    world_from_cam = world_from_cam.copy()
    world_from_cam[2, 0, 3] = np.inf
    with pytest.raises(ArtifactError, match="a camera is not finite"):
        scene_of([motion], replace(cameras, world_from_cam=world_from_cam), body)


def test_an_unknown_program_lists_the_known_ones(tmp_path, body):
    with pytest.raises(ArtifactError, match=r"unknown program 'vibe'.*gvhmr"):
        read_peer("vibe", tmp_path, CLIP, body)
