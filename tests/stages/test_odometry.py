"""Visual odometry on rendered rooms whose cameras are known."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from multithumbs.backends.odometry.motion import believable
from multithumbs.config.odometry import OdometryConfig, StaticOdometryConfig, VoOdometryConfig
from multithumbs.geometry.rigid import apply, fit_similarity
from multithumbs.solvers.odometry_rotation import RotationFit
from multithumbs.solvers.odometry_sfm import FreeFit
from multithumbs.stages import odometry
from multithumbs.types import Detections, Intrinsics, Masks, Odometry
from multithumbs.types.work import Runtime, ShotItem, Work

from .room import RoomVideo

HW = (270, 480)
K = np.array([[520.0, 0, 240], [0, 520, 135], [0, 0, 1]])
FRAMES = 36


def camera_path(kind: str) -> tuple[np.ndarray, np.ndarray | None]:
    """``world_from_cam`` and zoom of a named camera motion."""
    s = np.linspace(0, 1, FRAMES)
    zero = np.zeros(FRAMES)
    path = np.tile(np.eye(4), (FRAMES, 1, 1))
    path[:, 2, 3] = -3
    turn, zoom = np.stack([zero, zero, zero], axis=1), None
    match kind:
        case "pan":
            turn = np.stack([0.05 * np.sin(6 * s), 0.5 * s, zero], axis=1)
        case "zoom":
            zoom, turn = 1 + 0.3 * s, np.stack([zero, 0.1 * s, zero], axis=1)
        case "dolly":
            path[:, 0, 3], turn = s - 0.5, np.stack([zero, -0.1 * s, zero], axis=1)
        case "forward":
            path[:, 2, 3] += 1.2 * s
            path[:, 0, 3] = 0.3 * np.sin(3 * s)
        case "ahead":
            path[:, 2, 3] += 0.5 * s
    path[:, :3, :3] = Rotation.from_rotvec(turn).as_matrix()
    return path, zoom


def no_people() -> tuple[Detections, Masks]:
    empty = np.zeros((0, 4))
    detections = Detections(
        frame=np.zeros(0, np.int64), box_xyxy=empty, score=np.zeros(0), roi=empty
    )
    return detections, Masks.from_dense([], HW)


def measure(
    video: RoomVideo,
    config: OdometryConfig | None = None,
    people: tuple[Detections, Masks] | None = None,
    clean: tuple[int, int] | None = None,
) -> Odometry:
    total = len(video.world_from_cam)
    clean_start, clean_end = clean or (0, total)
    shot = ShotItem(index=0, start=0, end=total, clean_start=clean_start, clean_end=clean_end)
    work = Work(
        video=video,
        config=config or VoOdometryConfig(),
        runtime=Runtime(),
        shot=shot,
        cut=None,
        body_npz=Path(),
        checkpoints={},
        progress=lambda done, total: None,
    )
    detections, masks = people or no_people()
    given = Intrinsics(K=K, source="given", log_focal_std=0.0)
    return odometry.run(work, detections=detections, masks=masks, intrinsics=given)


def rotation_error_deg(result: Odometry, truth: np.ndarray) -> float:
    shot = np.linalg.inv(truth[0]) @ truth
    found = Rotation.from_matrix(result.shot_from_cam[:, :3, :3])
    return float(
        np.degrees((found.inv() * Rotation.from_matrix(shot[:, :3, :3])).magnitude().max())
    )


def test_a_camera_that_stands_still_is_exactly_still() -> None:
    truth, _ = camera_path("static")
    result = measure(RoomVideo(K, truth, HW, noise=6.0))
    assert result.motion == "static"
    assert np.array_equal(result.shot_from_cam, np.tile(np.eye(4), (FRAMES, 1, 1)))
    assert result.tracked.all() and result.warning == ""


def test_a_pan_is_a_rotation() -> None:
    truth, _ = camera_path("pan")
    result = measure(RoomVideo(K, truth, HW))
    assert result.motion == "rotation"
    assert rotation_error_deg(result, truth) < 0.1
    assert np.array_equal(result.shot_from_cam[:, :3, 3], np.zeros((FRAMES, 3)))
    assert np.array_equal(result.zoom, np.ones(FRAMES))


def test_a_zoom_is_told_from_a_move() -> None:
    truth, zoom = camera_path("zoom")
    result = measure(RoomVideo(K, truth, HW, zoom))
    assert result.motion == "rotation" and "zoom" in result.warning
    assert np.abs(result.zoom / zoom - 1).max() < 0.01
    assert rotation_error_deg(result, truth) < 0.1


@pytest.mark.parametrize("kind", ["dolly", "forward"])
def test_a_free_camera_is_found_up_to_scale(kind: str) -> None:
    truth, _ = camera_path(kind)
    result = measure(RoomVideo(K, truth, HW))
    assert result.motion == "free"
    assert rotation_error_deg(result, truth) < 0.3
    found, wanted = (torch.from_numpy(m[:, :3, 3].copy()) for m in (result.shot_from_cam, truth))
    weights = torch.ones(FRAMES, dtype=torch.float64)
    fit = fit_similarity(wanted, found, weights, with_scale=True)
    error = (apply(fit, found) - wanted).norm(dim=-1).square().mean().sqrt()
    assert error < 0.02 * (wanted[1:] - wanted[:-1]).norm(dim=-1).sum()


def test_straight_ahead_is_no_zoom() -> None:
    truth, _ = camera_path("ahead")
    result = measure(RoomVideo(K, truth, HW))
    assert result.motion == "free"
    assert np.array_equal(result.zoom, np.ones(FRAMES))


@pytest.mark.parametrize(
    ("lens", "gain", "travels"),
    [(1.0, 0.7, False), (1.0, 0.55, True), (1.45, 0.55, False), (1.45, 0.3, True)],
)
def test_a_move_must_win_clearly_and_against_a_zoom_more(
    lens: float, gain: float, travels: bool
) -> None:
    everywhere = np.ones(FRAMES, dtype=bool)
    turning = RotationFit(
        shot_from_cam=np.tile(np.eye(3), (FRAMES, 1, 1)), zoom=np.linspace(1, lens, FRAMES),
        tracked=everywhere, residual_px=np.full(100, 0.3),
    )  # fmt: skip
    free = FreeFit(
        shot_from_cam=np.tile(np.eye(4), (FRAMES, 1, 1)), tracked=everywhere,
        residual=np.full(100, gain * 0.3 / K[0, 0]), parallax=np.radians(2.0),
    )  # fmt: skip
    assert believable(free, turning, K, VoOdometryConfig()) == travels


@pytest.mark.parametrize("longer", [1.0, 1.1, 1.3])
def test_a_zoom_of_a_camera_that_travels_is_warned_about(longer: float) -> None:
    truth, _ = camera_path("dolly")
    zoom = np.linspace(1, longer, FRAMES)
    result = measure(RoomVideo(K, truth, HW, zoom))
    assert result.motion == "free"
    assert ("zooms" in result.warning) == (longer > 1)


def test_a_person_who_moves_does_not_move_the_camera() -> None:
    """A big textured square crosses the picture; its detections tell the odometry to look away."""
    truth, _ = camera_path("static")
    patch = np.random.default_rng(3).integers(0, 255, (200, 180, 3)).astype(np.uint8)

    def decorate(index: int, rgb: np.ndarray) -> np.ndarray:
        left = 10 + 7 * index
        rgb[40:240, left : left + 180] = patch
        return rgb

    frames = np.arange(FRAMES)
    left = 10.0 + 7 * frames
    box = np.stack([left, 0 * left + 40, left + 180, 0 * left + 240], axis=1)
    detections = Detections(
        frame=frames, box_xyxy=box, score=np.ones(FRAMES), roi=np.zeros((FRAMES, 4))
    )
    masks = Masks.from_runs([np.zeros(0, np.int64)] * FRAMES, HW)
    video = RoomVideo(K, truth, HW, decorate=decorate)
    assert measure(video, people=(detections, masks)).motion == "static"


def test_a_flash_does_not_break_the_track() -> None:
    truth, _ = camera_path("pan")

    def decorate(index: int, rgb: np.ndarray) -> np.ndarray:
        return np.full_like(rgb, 255) if index in (12, 13) else rgb

    result = measure(RoomVideo(K, truth, HW, decorate=decorate))
    assert not result.tracked[12:14].any() and result.tracked.sum() == FRAMES - 2
    assert "2 of 36" in result.warning
    truth[12:14] = truth[11]
    assert rotation_error_deg(result, truth) < 0.3


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_nothing_to_track_is_held_and_said(frames: int) -> None:
    path = np.tile(np.eye(4), (frames, 1, 1))
    video = RoomVideo(K, path, HW, noise=0.0, decorate=lambda _, rgb: np.full_like(rgb, 90))
    result = measure(video)
    assert result.motion == "static" and not result.tracked.any()
    assert len(result.frame) == frames
    assert (result.warning != "") == (frames > 1)


def test_faded_frames_are_held() -> None:
    truth, _ = camera_path("pan")
    result = measure(RoomVideo(K, truth, HW), clean=(4, FRAMES - 3))
    assert not result.tracked[:4].any() and not result.tracked[-3:].any()
    assert np.allclose(result.shot_from_cam[0], np.eye(4), atol=1e-12)
    assert np.allclose(result.shot_from_cam[-1], result.shot_from_cam[-4], atol=1e-12)


def test_same_video_same_result() -> None:
    truth, _ = camera_path("dolly")
    first, second = (measure(RoomVideo(K, truth[:12], HW)) for _ in range(2))
    assert np.array_equal(first.shot_from_cam, second.shot_from_cam)


def test_told_to_stand_still() -> None:
    truth, _ = camera_path("pan")
    result = measure(RoomVideo(K, truth, HW), StaticOdometryConfig())
    assert result.motion == "static" and result.tracked.all()
