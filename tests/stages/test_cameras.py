"""The cameras stage on hand-made odometry and cuts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from multithumbs.config.cameras import (
    CamerasConfig,
    LiteralCamerasConfig,
    PoseGraphCamerasConfig,
)
from multithumbs.stages import cameras
from multithumbs.types import (
    Alignment,
    Bodies,
    Cameras,
    CutStatus,
    Detections,
    Intrinsics,
    Keypoints,
    Masks,
    Odometry,
    Shots,
    Tracks,
)
from multithumbs.types.work import Runtime, Work

from .room import TEXTURES, TILES, RoomVideo

HW = (180, 320)
K = np.array([[350.0, 0, 160], [0, 350, 90], [0, 0, 1]])
LENGTH = 6


def looking(yaw_deg: float, at: tuple[float, float, float]) -> np.ndarray:
    out = np.eye(4)
    out[:3, :3] = Rotation.from_euler("y", yaw_deg, degrees=True).as_matrix()
    out[:3, 3] = at
    return out


CAMERA_A = looking(0, (0, 0, -4))
CAMERA_B = looking(150, (2, 0.2, 3))


def odometry(shot: int, motion: str = "static") -> Odometry:
    frame = np.arange(shot * LENGTH, (shot + 1) * LENGTH)
    moved = np.tile(np.eye(4), (LENGTH, 1, 1))
    if motion == "free":
        moved[:, 0, 3] = np.linspace(0, 0.5, LENGTH)
    return Odometry(
        frame=frame,
        shot_from_cam=moved,
        motion=motion,
        tracked=np.ones(LENGTH, bool),
        zoom=np.ones(LENGTH),
        warning="",
    )


def cut(index: int, first: np.ndarray, second: np.ndarray, error_m: float = 0.0) -> Alignment:
    relative = np.linalg.inv(first) @ second
    relative[0, 3] += error_m
    at = (index + 1) * LENGTH
    return Alignment(
        status=CutStatus.ALIGNED,
        reason="",
        frame=np.array([at - 1, at]),
        K=np.stack([K, K]),
        scene_from_cam=np.stack([np.eye(4), relative]),
        side=np.zeros(0, np.int64),
        row=np.zeros(0, np.int64),
        global_orient=np.zeros((0, 3)),
        transl=np.zeros((0, 3)),
        joints_scene=np.zeros((0, 24, 3)),
        residual_px=np.zeros(0),
        pair=np.zeros((0, 2), np.int64),
        loss=0.0,
    )


def solve(
    truth: list[np.ndarray],
    alignment: list[Alignment],
    config: CamerasConfig | None = None,
    motion: dict[int, str] | None = None,
    textures: list[np.ndarray] = TEXTURES,
    lens_source: str = "given",
) -> Cameras:
    count = len(truth)
    start = np.arange(count) * LENGTH
    shots = Shots(
        start=start,
        end=start + LENGTH,
        clean_start=start,
        clean_end=start + LENGTH,
        transition=np.zeros(count, np.int64),
    )
    work = Work(
        video=RoomVideo(K, np.repeat(truth, LENGTH, axis=0), HW, textures=textures),
        config=config or PoseGraphCamerasConfig(),
        runtime=Runtime(),
        shot=None,
        cut=None,
        body_npz=Path(),
        checkpoints={},
        progress=lambda done, total: None,
    )
    none = np.zeros((0, 4))
    nobody = Detections(frame=np.zeros(0, np.int64), box_xyxy=none, score=np.zeros(0), roi=none)
    joints = np.zeros((0, 24, 3))
    return cameras.run(
        work,
        shots=shots,
        detections=(nobody,) * count,
        keypoints=(
            Keypoints(
                uv=np.zeros((0, 23, 2)),
                confidence=np.zeros((0, 23)),
                xyz=np.zeros((0, 23, 3)),
                xyz_confidence=np.zeros((0, 23)),
            ),
        )
        * count,
        intrinsics=(Intrinsics(K=K, source=lens_source, log_focal_std=0.0),) * count,
        masks=(Masks.from_dense([], HW),) * count,
        bodies=(
            Bodies(
                pose=joints,
                betas=np.zeros((0, 10)),
                transl=np.zeros((0, 3)),
                joints_cam=joints,
                K=np.zeros((0, 3, 3)),
                confidence=np.zeros(0),
                residual_px=np.zeros(0),
            ),
        )
        * count,
        tracks=(Tracks(track=np.zeros(0, np.int64)),) * count,
        alignment=tuple(alignment),
        odometry=tuple(odometry(s, (motion or {}).get(s, "static")) for s in range(count)),
    )


def test_static_shots_follow_their_cuts() -> None:
    out = solve([CAMERA_A, CAMERA_B], [cut(0, CAMERA_A, CAMERA_B)])
    assert out.frame.tolist() == list(range(2 * LENGTH))
    expected = np.linalg.inv(CAMERA_A) @ CAMERA_B
    assert np.allclose(out.world_from_cam[:LENGTH], np.eye(4))
    assert np.allclose(out.world_from_cam[LENGTH:], expected, atol=1e-9)
    assert out.scale_source == ("none", "none")
    assert out.cut_residual_m.tolist() == [0.0]


def test_a_failed_cut_starts_an_island() -> None:
    other = looking(90, (100, 0, 0))  # outside of the room: nothing to recognise
    failed = replace(cut(1, CAMERA_B, other), status=CutStatus.FAILED)
    out = solve([CAMERA_A, CAMERA_B, other], [cut(0, CAMERA_A, CAMERA_B), failed])
    assert out.island_of_shot.tolist() == [0, 0, 1]
    assert np.allclose(out.world_from_cam[-1], np.eye(4))
    assert np.isnan(out.cut_residual_m[1])


@pytest.mark.parametrize("seen_again", [True, False])
def test_returning_to_a_camera_undoes_the_drift_of_the_cuts(seen_again: bool) -> None:
    cuts = [cut(0, CAMERA_A, CAMERA_B, 0.4), cut(1, CAMERA_B, CAMERA_A, 0.4)]
    config = PoseGraphCamerasConfig()
    if not seen_again:
        config = config.model_copy(
            update={"revisits": config.revisits.model_copy(update={"enabled": False})}
        )
    out = solve([CAMERA_A, CAMERA_B, CAMERA_A], cuts, config)
    drift = np.linalg.norm(out.world_from_cam[-1, :3, 3])
    assert (drift < 0.1) == seen_again


def test_a_moving_shot_without_people_says_that_its_scale_is_assumed() -> None:
    cuts = [cut(0, CAMERA_A, CAMERA_B)]
    out = solve([CAMERA_A, CAMERA_B], cuts, motion={1: "free"})
    assert out.scale_source == ("none", "assumed")


def test_the_papers_form_takes_odometry_units_for_metres() -> None:
    cuts = [cut(0, CAMERA_A, CAMERA_B)]
    out = solve([CAMERA_A, CAMERA_B], cuts, LiteralCamerasConfig(), {0: "free"})
    assert out.metres_per_unit.tolist() == [1.0, 1.0]
    assert np.allclose(out.world_from_cam[LENGTH - 1, :3, 3], [0.5, 0, 0])
    expected = out.world_from_cam[LENGTH - 1] @ np.linalg.inv(CAMERA_A) @ CAMERA_B
    assert np.allclose(out.world_from_cam[LENGTH], expected)


def test_a_room_turns_a_cut_that_people_turned_wrongly() -> None:
    first, second = looking(5, (0, 0, -4)), looking(165, (1.5, 0.2, 4))
    wrong = cut(0, first, second)
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("y", 8, degrees=True).as_matrix()
    scene = wrong.scene_from_cam.copy()
    scene[1] = scene[1] @ turn
    out = solve([first, second], [replace(wrong, scene_from_cam=scene)], textures=TILES)
    relative = np.linalg.inv(out.world_from_cam[LENGTH - 1]) @ out.world_from_cam[LENGTH]
    truth = np.linalg.inv(first) @ second
    error = relative[:3, :3] @ truth[:3, :3].T
    assert np.degrees(Rotation.from_matrix(error).magnitude()) < 1.0


@pytest.mark.parametrize("config", [PoseGraphCamerasConfig(), LiteralCamerasConfig()])
@pytest.mark.parametrize("source", ["assumed", "given"])
def test_an_assumed_lens_gives_way_to_the_one_that_a_cut_measured(
    source: str, config: CamerasConfig
) -> None:
    """As `boundaries=vggt` measures it; a lens that the user gave stays."""
    longer = K * np.array([[1.25, 1.25, 1], [1.25, 1.25, 1], [1, 1, 1]])
    measured = [replace(cut(0, CAMERA_A, CAMERA_B), K=np.stack([longer, K]))]
    out = solve([CAMERA_A, CAMERA_B], measured, config, lens_source=source)
    expected = 1.25 if source == "assumed" else 1.0
    assert np.allclose(out.K[:LENGTH, 0, 0], expected * K[0, 0])
    assert np.allclose(out.K[LENGTH:, 0, 0], K[0, 0]), "that side took its shot's lens over"
    assert np.allclose(out.K[:, :2, 2], K[:2, 2])
