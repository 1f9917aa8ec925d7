"""Stage `bodies`: two people of known bodies walk past; noise as a keypoint network's."""

import math
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import torch

from multithumbs.body import EMBEDDED_BODY, load_body
from multithumbs.config.bodies import FitConfig
from multithumbs.geometry.rotations import axis_angle_from_matrix, matrix_from_axis_angle
from multithumbs.stages import bodies
from multithumbs.types import Bodies, Detections, Frame, Intrinsics, Keypoints, VideoInfo
from multithumbs.types.work import Runtime, Work

HW = (720, 1280)
FOCAL = math.hypot(*HW)
K = np.array([[FOCAL, 0, HW[1] / 2], [0, FOCAL, HW[0] / 2], [0, 0, 1]])
FRAMES = 20
BODY = load_body(EMBEDDED_BODY)


def walkers(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Frame, true joints (N, 24, 3), keypoints (N, 23, 3) and person of each row."""
    frame = np.repeat(np.arange(FRAMES), 2)
    person = np.tile([0, 1], FRAMES)
    phase = frame / 4 + person
    pose = np.zeros((len(frame), 24, 3))
    heading = np.where(person == 0, 1.2, -1.8)
    upright = torch.tensor([math.pi, 0.0, 0.0], dtype=torch.float64)
    turn = np.stack([0 * heading, heading, 0 * heading], -1)
    root = matrix_from_axis_angle(upright) @ matrix_from_axis_angle(torch.from_numpy(turn))
    pose[:, 0] = axis_angle_from_matrix(root).numpy()
    pose[:, 1, 0], pose[:, 2, 0] = 0.4 * np.sin(phase), -0.4 * np.sin(phase)
    pose[:, 4, 0] = pose[:, 5, 0] = 0.5
    pose[:, 16, 2], pose[:, 17, 2] = -1.2, 1.2
    transl = np.stack(
        [np.where(person == 0, -1, 1) + 0.04 * frame, 0.1 + 0 * frame, 4.5 + 0.5 * person], -1
    )
    posed = BODY.posed(
        torch.from_numpy(pose),
        torch.zeros(len(frame), 10, dtype=torch.float64),
        torch.from_numpy(transl),
    )
    return frame, posed.joints.numpy(), posed.keypoints.numpy(), person


def seen(points: np.ndarray, seed: int = 0) -> Keypoints:
    rng = np.random.default_rng(seed)
    image = points @ K.T
    uv = image[..., :2] / image[..., 2:] + rng.normal(0, 3, (*points.shape[:2], 2))
    xyz = points - points[:, 11:13].mean(1, keepdims=True) + rng.normal(0, 0.03, points.shape)
    sure = np.full(points.shape[:2], 0.9)
    return Keypoints(uv=uv, confidence=sure, xyz=xyz, xyz_confidence=sure)


class Unread:
    """A video whose pixels nobody may ask for."""

    def __init__(self, info: VideoInfo) -> None:
        self.info = info

    def frames(self, start: int, end: int, step: int = 1) -> Iterator[Frame]:
        raise AssertionError("this back-end needs no pixels")

    def frame(self, index: int) -> np.ndarray:
        raise AssertionError("this back-end needs no pixels")


def run(frame: np.ndarray, keypoints: Keypoints, **fields: object) -> Bodies:
    info = VideoInfo(sha256="", hw=HW, frame_rate=Fraction(25), timestamps_s=np.arange(FRAMES) / 25)
    done: list[int] = []
    work = Work(
        video=Unread(info),
        config=FitConfig(landmarks_face_ray=False, **fields),  # type: ignore[arg-type]
        runtime=Runtime(),
        shot=None,
        cut=None,
        body_npz=EMBEDDED_BODY,
        checkpoints={},
        progress=lambda now, total: done.append(now),
    )
    low, high = keypoints.uv.min(1, initial=0), keypoints.uv.max(1, initial=0)
    detections = Detections(
        frame=frame.astype(np.int64),
        box_xyxy=np.concatenate([low, high], 1),
        score=np.ones(len(frame)),
        roi=np.zeros((len(frame), 4)),
    )
    result = bodies.run(
        work,
        detections=detections,
        keypoints=keypoints,
        intrinsics=Intrinsics(K=K, source="given", log_focal_std=0.0),
    )
    assert done == sorted(done)
    return result


def test_walkers_are_found_in_metres() -> None:
    frame, joints, points, person = walkers()
    found = run(frame, seen(points))
    error = np.linalg.norm(
        found.joints_cam - found.joints_cam[:, :1] - joints + joints[:, :1], axis=-1
    )
    depth = found.joints_cam[:, 0, 2] / joints[:, 0, 2] - 1
    assert error.mean() < 0.045
    assert np.abs(np.median(depth)) < 0.02
    assert found.confidence.min() > 0.5
    assert found.residual_px.max() < 12
    for p in (0, 1):  # one shape per tracklet
        assert np.ptp(found.betas[person == p], axis=0).max() == 0


def test_rows_mean_what_smplx_means() -> None:
    frame, _, points, _ = walkers()
    found = run(frame, seen(points), smooth_iterations=0)
    posed = BODY.posed(*(torch.from_numpy(x) for x in (found.pose, found.betas, found.transl)))
    np.testing.assert_allclose(posed.joints.numpy(), found.joints_cam, atol=1e-9)


def test_a_row_of_nothing_fails_alone() -> None:
    frame, _, points, _ = walkers()
    keypoints = seen(points)
    confidence = keypoints.confidence.copy()
    confidence[7] = 0
    keypoints = Keypoints(
        uv=keypoints.uv,
        confidence=confidence,
        xyz=keypoints.xyz,
        xyz_confidence=np.where(confidence > 0, keypoints.xyz_confidence, 0),
    )
    found = run(frame, keypoints)
    assert found.confidence[7] == 0
    assert (np.delete(found.confidence, 7) > 0.5).all()
    assert all(np.isfinite(getattr(found, name)).all() for name in Bodies.__slots__)


def test_without_3d_landmarks() -> None:
    frame, joints, points, _ = walkers()
    keypoints = seen(points)
    keypoints = Keypoints(
        uv=keypoints.uv,
        confidence=keypoints.confidence,
        xyz=np.zeros_like(keypoints.xyz),
        xyz_confidence=np.zeros_like(keypoints.xyz_confidence),
    )
    found = run(frame, keypoints)
    depth = found.joints_cam[:, 0, 2] / joints[:, 0, 2] - 1
    assert np.abs(np.median(depth)) < 0.06


def test_no_rows() -> None:
    found = run(
        np.zeros(0, np.int64),
        Keypoints(
            uv=np.zeros((0, 23, 2)),
            confidence=np.zeros((0, 23)),
            xyz=np.zeros((0, 23, 3)),
            xyz_confidence=np.zeros((0, 23)),
        ),
    )
    assert len(found) == 0


def test_the_same_input_gives_the_same_bodies() -> None:
    frame, _, points, _ = walkers()
    first, second = run(frame, seen(points)), run(frame, seen(points))
    for name in Bodies.__slots__:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
