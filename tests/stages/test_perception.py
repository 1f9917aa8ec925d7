"""Detections, keypoints and masks with the real networks, on a drawn scene and on footage."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from multithumbs.backends.checkpoints import State, default_root, inspect
from multithumbs.config.detections import BlazePoseDetectionsConfig
from multithumbs.config.keypoints import BlazePoseKeypointsConfig
from multithumbs.config.masks import BlazePoseMasksConfig
from multithumbs.stages import detections, keypoints, masks
from multithumbs.types import KEYPOINT_NAMES, Detections

from .frames import FrameList, work_on

REAL = Path(__file__).resolve().parents[3] / "shared" / "real"


@pytest.fixture(scope="module")
def checkpoints() -> dict[str, Path]:
    found = {
        name: inspect(name, default_root())
        for name in ("blazepose-detector", "blazepose-landmarks", "face-landmarks")
    }
    if any(status.state is not State.PRESENT for status in found.values()):
        pytest.skip("BlazePose is not installed: `multithumbs checkpoints fetch`")
    return {name: status.path for name, status in found.items()}


def perceive(video: FrameList, checkpoints: dict[str, Path]):
    span = (0, video.info.num_frames)
    people = detections.run(work_on(video, BlazePoseDetectionsConfig(), checkpoints, shot=span))
    joints = keypoints.run(
        work_on(video, BlazePoseKeypointsConfig(), checkpoints, shot=span), detections=people
    )
    shapes = masks.run(
        work_on(video, BlazePoseMasksConfig(), checkpoints, shot=span), detections=people
    )
    assert len(people) == len(joints) == len(shapes)
    return people, joints, shapes


def test_an_empty_scene_has_nobody(checkpoints):
    rng = np.random.default_rng(0)
    wall = cv2.resize(rng.uniform(90, 160, (6, 8, 3)).astype(np.float32), (320, 180))
    people, joints, shapes = perceive(FrameList([wall] * 5), checkpoints)
    assert len(people) == 0
    assert joints.uv.shape == (0, 23, 2)
    assert shapes.hw == (180, 320)


@pytest.mark.parametrize("hw", [(7, 9), (16, 400), (300, 20)])
def test_odd_sizes_do_no_harm(checkpoints, hw):
    picture = np.random.default_rng(0).integers(0, 255, (*hw, 3))
    people, _, shapes = perceive(FrameList([picture]), checkpoints)
    assert all(shapes.dense(row).shape == hw for row in range(len(people)))


def test_rows_without_detections_are_empty(checkpoints):
    nobody = Detections(
        frame=np.zeros(0, np.int64),
        box_xyxy=np.zeros((0, 4)),
        score=np.zeros(0),
        roi=np.zeros((0, 4)),
    )
    video = FrameList([np.zeros((40, 40, 3))])
    work = work_on(video, BlazePoseKeypointsConfig(), checkpoints, shot=(0, 1))
    assert len(keypoints.run(work, detections=nobody)) == 0


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "hips_uv"),
    [
        ("people_jumping_00001.jpg", [(172, 363), (353, 545), (678, 560)]),
        ("people_jumping_00002.jpg", [(149, 381), (393, 465), (584, 540)]),
    ],
)
def test_the_three_people_of_a_photograph(checkpoints, name, hips_uv):
    path = REAL / name
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    picture = np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])
    people, joints, shapes = perceive(FrameList([picture]), checkpoints)
    index = {name: k for k, name in enumerate(KEYPOINT_NAMES)}
    hips = joints.uv[:, [index["left_hip"], index["right_hip"]]].mean(1)
    rows = []
    for hip in hips_uv:
        distance = np.hypot(*(hips - hip).T)
        assert distance.min() < 40
        rows.append(int(distance.argmin()))
    assert len(set(rows)) == 3
    for row in rows:
        mask = shapes.dense(row)
        u = np.flatnonzero(mask.any(axis=0))
        box = people.box_xyxy[row]
        assert mask.sum() > 0.2 * (box[2] - box[0]) * (box[3] - box[1])
        assert box[0] - 20 < u.min() and u.max() < box[2] + 20
        sure = joints.uv[row][joints.confidence[row] > 0.9]
        inside = mask[sure[:, 1].astype(int), sure[:, 0].astype(int)]
        assert inside.mean() > 0.85
        assert joints.uv[row, index["nose"], 1] < joints.uv[row, index["left_hip"], 1]
        assert joints.xyz[row, index["nose"], 1] < -0.3  # metres above the hips
    everyone = np.sum([shapes.dense(row) for row in range(len(people))], axis=0)
    assert everyone.max() == 1


@pytest.mark.real
def test_depth_grows_away_from_the_camera(checkpoints):
    """The man on the left of the second photograph faces us: his nose is nearer than his ears."""
    path = REAL / "people_jumping_00002.jpg"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    picture = np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])
    _, joints, _ = perceive(FrameList([picture]), checkpoints)
    index = {name: k for k, name in enumerate(KEYPOINT_NAMES)}
    man = int(joints.uv[:, index["nose"], 0].argmin())
    z = joints.xyz[man, :, 2]
    assert z[index["nose"]] < min(z[index["left_ear"]], z[index["right_ear"]]) - 0.03
    x = joints.xyz[man, :, 0]
    assert x[index["left_shoulder"]] > x[index["right_shoulder"]] + 0.15  # he faces us
