"""Floors from feet."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from multithumbs.solvers.ground import fit_floor, ground_from_world, mean_direction


def walk(
    seed: int, tilt_deg: float, height: float, spread_m: float
) -> tuple[np.ndarray, np.ndarray]:
    """Soles that stand 60 % of the time on a tilted floor, and that floor's normal."""
    rng = np.random.default_rng(seed)
    soles = np.zeros((600, 3))
    soles[:, [0, 2]] = rng.uniform(-spread_m, spread_m, (600, 2))
    soles[:, 1] = rng.normal(0, 0.02, 600)
    lifted = rng.random(600) < 0.4
    soles[lifted, 1] += rng.uniform(0.05, 0.4, lifted.sum())
    soles[:, 1] += height
    turn = Rotation.from_euler("z", tilt_deg, degrees=True)
    return turn.apply(soles), turn.apply([0.0, 1.0, 0.0])


def angle_deg(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(a @ b, -1, 1))))


@pytest.mark.parametrize("tilt_deg", [0.0, 6.0, -10.0])
def test_people_who_walk_about_show_the_floor(tilt_deg: float) -> None:
    soles, normal = walk(0, tilt_deg, -0.7, 2.0)
    floor = fit_floor(
        soles, np.ones(600), np.array([0.0, 1.0, 0.0]),
        tilt_std=np.radians(8), floor_std=0.03, max_raise=0.1,
    )  # fmt: skip
    assert angle_deg(floor.up, normal) < 0.5
    assert abs(floor.height + 0.7) < 0.02


def test_people_who_stand_in_one_place_leave_the_tilt_to_their_trunks() -> None:
    soles, _ = walk(1, 0.0, 0.3, 0.02)
    up = Rotation.from_euler("x", 3, degrees=True).apply([0.0, 1.0, 0.0])
    floor = fit_floor(
        soles, np.ones(600), up, tilt_std=np.radians(8), floor_std=0.03, max_raise=0.1
    )
    assert angle_deg(floor.up, up) < 2.0
    assert abs(floor.height - 0.3) < 0.03


def test_one_who_bows_does_not_tilt_the_mean() -> None:
    upright = np.tile([0.0, 1.0, 0.0], (70, 1))
    bowed = np.tile([1.0, 0.2, 0.0], (30, 1)) / np.hypot(1, 0.2)
    mean = mean_direction(np.concatenate([upright, bowed]), np.ones(100))
    assert angle_deg(mean, np.array([0.0, 1.0, 0.0])) < 1.0


def test_ground_has_its_floor_at_zero_and_its_origin_under_the_camera() -> None:
    soles, normal = walk(2, 5.0, -1.4, 2.0)
    floor = fit_floor(
        soles, np.ones(600), normal, tilt_std=np.radians(8), floor_std=0.03, max_raise=0.1
    )
    camera = np.eye(4)
    camera[:3, :3] = np.diag([1.0, -1.0, -1.0])
    camera[:3, 3] = [0.5, 0.2, 3]
    ground = ground_from_world(floor, camera)
    assert np.allclose(ground[:3, :3] @ ground[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.isclose(np.linalg.det(ground[:3, :3]), 1)
    heights = (soles @ ground[:3, :3].T + ground[:3, 3])[:, 1]
    assert abs(np.quantile(heights, 0.3)) < 0.02
    eye = ground[:3, :3] @ camera[:3, 3] + ground[:3, 3]
    assert np.allclose(eye[[0, 2]], 0, atol=1e-9) and eye[1] > 1
    forward = ground[:3, :3] @ camera[:3, 2]
    assert forward[2] < -0.9
