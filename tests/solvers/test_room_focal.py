"""The focal length from a room's edges: exact and noisy boxes, and what says nothing."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from multithumbs.solvers.room_focal import find_room_focal

HW = (720, 1280)
DIAGONAL = float(np.hypot(*HW))
TRIED = np.log(DIAGONAL) + np.linspace(-0.9, 0.9, 19)


def edges(
    focal: float,
    yaw_deg: float,
    rng: np.random.Generator,
    *,
    pitch_deg: float = 8.0,
    directions: tuple[int, ...] = (0, 1, 2),
    count: int = 60,
    noise_px: float = 0.0,
) -> np.ndarray:
    """Pictures of pieces of straight edges that run along some directions of a room."""
    K = np.array([[focal, 0, HW[1] / 2], [0, focal, HW[0] / 2], [0, 0, 1]])
    turn = Rotation.from_euler("xy", [pitch_deg, yaw_deg], degrees=True).as_matrix()
    found = []
    while len(found) < count:
        middle = np.array([rng.uniform(-3, 3), rng.uniform(-2, 2), rng.uniform(3, 7)])
        along = turn[:, rng.choice(directions)] * rng.uniform(0.2, 0.6)
        ends = np.stack([middle - along, middle + along]) @ K.T
        uv = ends[:, :2] / ends[:, 2:] + noise_px * rng.normal(size=(2, 2))
        if (ends[:, 2] > 0.5).all() and (uv > 0).all() and (uv < HW[::-1]).all():
            found.append(uv.ravel())
    return np.array(found)


def find(frames: list[np.ndarray]):
    return find_room_focal(
        frames, HW, log_focal=TRIED, max_tilt=np.radians(25), tolerance=np.radians(0.8),
        min_edges=12, apart=0.15,
    )  # fmt: skip


@pytest.mark.parametrize("factor", [0.6, 0.93, 1.4])
@pytest.mark.parametrize("yaw_deg", [25.0, 60.0])
def test_exact_edges_give_the_exact_focal_length(factor: float, yaw_deg: float) -> None:
    found = find([edges(factor * DIAGONAL, yaw_deg, np.random.default_rng(3))])
    assert found is not None and found.inside
    assert found.focal_px == pytest.approx(factor * DIAGONAL, rel=1e-3)
    assert found.support > 0.99


def test_noisy_edges_among_others_give_it_within_what_it_says() -> None:
    rng = np.random.default_rng(5)
    frames = []
    for yaw in (20.0, 30.0, 40.0):
        clutter = rng.uniform(0, 1, (25, 2)) * HW[::-1]
        clutter = np.concatenate([clutter, clutter + rng.normal(scale=40, size=(25, 2))], axis=1)
        room = edges(1.2 * DIAGONAL, yaw, rng, noise_px=0.6)
        frames.append(np.concatenate([room, clutter]))
    found = find(frames)
    assert found is not None and found.inside
    off = abs(np.log(found.focal_px / DIAGONAL / 1.2))
    assert off < 0.03
    assert off < 4 * found.log_std
    assert found.margin > 25
    assert found.support < 0.95  # the clutter is not the room's


def test_a_wall_that_is_faced_squarely_says_nothing() -> None:
    """Two directions lie in the image plane: their vanishing points are at infinity under every
    focal length."""
    rng = np.random.default_rng(7)
    frames = [edges(DIAGONAL, 0.0, rng, pitch_deg=0.0, directions=(0, 1), noise_px=0.6)]
    found = find(frames)
    assert found is None or not found.inside or found.margin < 25


def test_too_few_edges_are_no_room() -> None:
    assert find([edges(DIAGONAL, 30.0, np.random.default_rng(1), count=11)]) is None
    assert find([]) is None
