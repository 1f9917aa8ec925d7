"""One known scene, written in each dataset's own format."""

import csv
import json
import pickle
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from scipy.spatial.transform import Rotation

from multithumbs.evaluation.datasets.sequence import Bodies
from multithumbs.evaluation.readers.motions import motion_of

FRAMES = 10
HW = (90, 160)
K = np.array([[183.0, 0, 80], [0, 185.0, 45], [0, 0, 1]])
FISHEYE = (0.02, -0.01, 0.004, 0.001)
ACTIVITY = "01_tagging/001_tagging"


@dataclass(frozen=True)
class Known:
    """Two people and the cameras around them, +y up."""

    motions: tuple
    genders: tuple[str, ...]
    cameras: dict[str, np.ndarray]
    """``world_from_cam`` by view; static."""


def known(genders=("neutral", "neutral")) -> Known:
    rng = np.random.default_rng(5)
    motions = []
    for person in (0, 1):
        pose = rng.normal(0, 0.2, (FRAMES, 24, 3))
        pose[:, 0] += [0, person, 0]
        transl = np.linspace(0, 0.3, FRAMES)[:, None] * [1, 0, 0.5] + [person - 0.5, 0.9, 0]
        betas = np.tile(rng.normal(0, 0.5, 10), (FRAMES, 1))
        motions.append(motion_of(person + 1, np.arange(FRAMES), pose, betas, transl))
    cameras = {
        name: camera(turn, distance)
        for name, turn, distance in (("cam01", 0.0, 5.0), ("cam02", 1.2, 6.0), ("cam03", 2.6, 5.5))
    }
    return Known(tuple(motions), genders, cameras)


def camera(turn, distance):
    """Looks at the middle from around it."""
    matrix = np.eye(4)
    about = Rotation.from_rotvec([0, turn, 0]).as_matrix()
    matrix[:3, :3] = about @ np.diag([1.0, -1, -1])
    matrix[:3, 3] = about @ [0, 0, distance] + [0, 0.9, 0]
    return matrix


def bodies(body) -> Bodies:
    """Three bodies that differ."""
    male, female = (
        replace(
            body, name=name, v_template=body.v_template * size, J_template=body.J_template * size
        )
        for name, size in (("male", 1.1), ("female", 0.95))
    )
    return Bodies(neutral=body, male=male, female=female)


def joints(motion, body):
    values = (
        torch.as_tensor(x, dtype=body.dtype) for x in (motion.pose, motion.betas, motion.transl)
    )
    return body.posed(*values).joints.double().numpy()


def picture(path, shade, hw=HW):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((*hw, 3), shade, np.uint8))


def exo_colmap(folder, scene: Known, body, *, model="OPENCV_FISHEYE"):
    """EgoHumans and Harmony4D: a sequence at ``folder``; people are aria02 and aria03."""
    scale, s = 1.06, np.array([0.3, -2.0, 1.0])
    Q = Rotation.from_rotvec([0.4, -0.2, 0.9]).as_matrix()
    colmap_from_world = np.eye(4)
    colmap_from_world[:3, :3], colmap_from_world[:3, 3] = scale * Q, s
    work = folder / "colmap/workplace"
    work.mkdir(parents=True)
    with (work / "colmap_from_aria_transforms.pkl").open("wb") as file:
        pickle.dump({"aria01": colmap_from_world, "aria02": np.eye(4)}, file)
    lines = ["# Camera list with one line of data per camera:", "#   CAMERA_ID, MODEL", "# 4"]
    images = ["# Image list", "# IMAGE_ID, QW, QX", "# POINTS2D[]", "# Number of images"]
    images += ["1 1 0 0 0 0 0 0 1 aria01/00001.jpg", "1.0 2.0 -1"]
    for number, (name, world_from_cam) in enumerate(scene.cameras.items(), start=3):
        lines.append(
            f"{number} {model} {HW[1]} {HW[0]} {K[0, 0]} {K[1, 1]} {K[0, 2]} {K[1, 2]} "
            + " ".join(map(str, FISHEYE))
        )
        cam_from_world = np.linalg.inv(world_from_cam)
        rotation = cam_from_world[:3, :3] @ Q.T
        shift = scale * cam_from_world[:3, 3] - rotation @ s
        x, y, z, w = Rotation.from_matrix(rotation).as_quat()
        pose = " ".join(repr(float(v)) for v in (w, x, y, z, *shift))
        far = " ".join(repr(float(v)) for v in (w, x, y, z, *(shift + 9)))
        images += [f"{number} {pose} {number} {name}/00001.jpg", ""]
        images += [f"9{number} {far} {number} {name}/00900.jpg", "3.0 4.0 -1"]
        for time in range(1, FRAMES + 1):
            picture(folder / "exo" / name / "images" / f"{time:05d}.jpg", 20 * number)
    (work / "cameras.txt").write_text("\n".join(lines) + "\n")
    (work / "images.txt").write_text("\n".join(images) + "\n")
    fits = folder / "processed_data/smpl"
    fits.mkdir(parents=True)
    for frame in range(FRAMES):
        content = {}
        for m in scene.motions:
            row = tuple(
                torch.as_tensor(x[frame : frame + 1], dtype=body.dtype)
                for x in (m.pose, m.betas, m.transl)
            )
            content[f"aria{m.person + 1:02d}"] = {
                "global_orient": m.pose[frame, 0],
                "body_pose": m.pose[frame, 1:].reshape(69),
                "betas": m.betas[frame],
                "transl": m.transl[frame],
                "vertices": body.vertices(*row)[0].numpy().astype(np.float32),
                "epoch_loss": 0.5,
            }
        np.save(fits / f"{frame + 1:05d}.npy", np.array(content, object), allow_pickle=True)


RECORDING = "recording_20210907_S02_S01_01"
VIEWS = {"master": "cam01", "sub_1": "cam02", "sub_2": "cam03"}


def egobody(root, scene: Known):
    """The world is the master camera: everything is moved there by the caller's truth."""
    master = scene.cameras["cam01"]
    matrix = {"camera_mtx": K.tolist(), "k": [0.01, -0.02, 0, 0, 0.003, 0, 0, 0]}
    for view, camera_name in VIEWS.items():
        folder = root / "kinect_cam_params" / f"kinect_{view}"
        folder.mkdir(parents=True)
        (folder / "Color.json").write_text(json.dumps(matrix))
        for frame in range(FRAMES):
            path = root / "kinect_color" / RECORDING / view / f"frame_{frame + 700:05d}.jpg"
            picture(path, 60)
        if view != "master":
            trans = np.linalg.inv(master) @ scene.cameras[camera_name]
            folder = root / "calibrations" / RECORDING / "cal_trans"
            folder.mkdir(parents=True, exist_ok=True)
            number = {"sub_1": 11, "sub_2": 13}[view]
            file = folder / f"kinect_{number}to12_color.json"
            file.write_text(json.dumps({"trans": trans.tolist()}))
    for index, motion in enumerate(scene.motions):
        kind = ("smpl_interactee_test", "smpl_camera_wearer_test")[index]
        for frame in range(FRAMES):
            folder = root / kind / RECORDING / f"body_idx_{index}" / "results"
            path = folder / f"frame_{frame + 700:05d}" / "000.pkl"
            path.parent.mkdir(parents=True)
            content = {
                "global_orient": motion.pose[frame, :1],
                "body_pose": motion.pose[frame, 1:].reshape(1, 69),
                "betas": motion.betas[frame : frame + 1],
                "transl": motion.transl[frame : frame + 1],
                "gender": "male",
            }
            path.write_bytes(pickle.dumps(content))
    with (root / "data_info_release.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["recording_name", "body_idx_0", "body_idx_1", "body_idx_fpv"])
        writer.writerow([RECORDING, *(f"{i} {g}" for i, g in enumerate(scene.genders)), "0 male"])


def moving(scene: Known):
    """``world_from_cam`` (T, 4, 4) of a hand-held camera."""
    path = np.repeat(scene.cameras["cam01"][None], FRAMES, 0)
    path[:, :3, 3] += np.linspace(0, 0.5, FRAMES)[:, None] * [1, 0.1, 0]
    return path


def threedpw(root, scene: Known, bodies_, *, name="downtown_walk_00", stored=True):
    cam_from_world = np.linalg.inv(moving(scene))
    valid = np.ones((2, FRAMES), int)
    valid[:, 3], valid[1, 5] = 0, 0
    content = {
        "sequence": name,
        "poses": [m.pose.reshape(FRAMES, 72) for m in scene.motions],
        "trans": [m.transl for m in scene.motions],
        "betas": [np.concatenate([m.betas[0], np.ones(290)]) for m in scene.motions],
        "genders": [g[0] for g in scene.genders],
        "campose_valid": list(valid),
        "cam_poses": cam_from_world,
        "cam_intrinsics": K,
        "img_frame_ids": np.arange(FRAMES) * 2,
    }
    if stored:
        content["jointPositions"] = [
            joints(m, bodies_.of(g)).reshape(FRAMES, 72)
            for m, g in zip(scene.motions, scene.genders, strict=True)
        ]
    path = root / "sequenceFiles/test" / f"{name}.pkl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=2))
    for frame in range(FRAMES):
        picture(root / "imageFiles" / name / f"image_{frame:05d}.jpg", 100)


def emdb(root, scene: Known):
    motion = scene.motions[0]
    folder = root / "P2/19_indoor_walk"
    good = np.ones(FRAMES, bool)
    good[4] = False
    content = {
        "name": "P2_19_indoor_walk",
        "n_frames": FRAMES,
        "gender": scene.genders[0],
        "emdb1": False,
        "good_frames_mask": good,
        "camera": {
            "intrinsics": K,
            "extrinsics": np.linalg.inv(moving(scene)),
            "width": HW[1],
            "height": HW[0],
        },
        "smpl": {
            "poses_root": motion.pose[:, 0],
            "poses_body": motion.pose[:, 1:].reshape(FRAMES, 69),
            "trans": motion.transl,
            "betas": motion.betas[0],
        },
    }
    for frame in range(FRAMES):
        picture(folder / "images" / f"{frame:05d}.jpg", 90)
    (folder / "P2_19_indoor_walk_data.pkl").write_bytes(pickle.dumps(content))
