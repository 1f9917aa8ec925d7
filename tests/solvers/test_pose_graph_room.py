"""Rooms from straight edges, and cameras placed by people of unknown size."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from multithumbs.solvers.pose_graph_people import place_by_people
from multithumbs.solvers.pose_graph_room import find_room, nearest_turn, segments_of

K = np.array([[1000.0, 0, 640], [0, 1000, 360], [0, 0, 1]])
ROOM_FROM_CAM = Rotation.from_matrix(np.diag([1.0, -1.0, -1.0]))  # level, looking along -z


def edges(
    cam_from_room: Rotation, count: int, clutter: int, noise_px: float, seed: int
) -> np.ndarray:
    """Image segments of ``count`` room edges in view and of ``clutter`` in any direction."""
    rng = np.random.default_rng(seed)
    out: list[np.ndarray] = []
    while len(out) < count + clutter:
        middle = rng.uniform([-4, -2, 3], [4, 2, 9])
        direction = np.eye(3)[rng.integers(3)] if len(out) < count else rng.normal(size=3)
        direction = cam_from_room.apply(direction / np.linalg.norm(direction))
        ends = np.stack([middle - 0.5 * direction, middle + 0.5 * direction])
        if ends[:, 2].min() < 0.5:
            continue
        uv = (ends @ K.T)[:, :2] / ends[:, 2:]
        if (uv < -300).any() or (uv > [1580, 1020]).any() or np.ptp(uv, axis=0).max() < 30:
            continue
        out.append((uv + rng.normal(0, noise_px, (2, 2))).ravel())
    return np.array(out)


def quarter_error_deg(found: np.ndarray, truth: Rotation) -> float:
    quarter = Rotation.from_rotvec(np.arange(4)[:, None] * np.pi / 2 * np.array([0, 1, 0]))
    off = truth.inv() * Rotation.from_matrix(found) * quarter
    return float(np.degrees(off.magnitude().min()))


@pytest.mark.parametrize("seed", range(5))
def test_straight_edges_show_how_a_camera_is_turned(seed: int) -> None:
    rng = np.random.default_rng(seed)
    small = Rotation.from_euler("yxz", rng.uniform([-40, -12, -4], [40, 12, 4]), degrees=True)
    cam_from_room = ROOM_FROM_CAM.inv() * small
    segments = segments_of(edges(cam_from_room, 120, 40, 0.7, seed), K)
    lean = Rotation.from_rotvec(np.radians(6) * np.array([1, 0, 0.5]))
    up = lean.apply(cam_from_room.apply([0.0, 1.0, 0.0]))
    room = find_room(segments, up, max_tilt=np.radians(20), tolerance=np.radians(0.8))
    assert room is not None
    assert quarter_error_deg(room.cam_from_room, cam_from_room) < 0.5
    assert room.support > 0.6 and room.contrast > 5


def test_clutter_is_no_room() -> None:
    segments = segments_of(edges(ROOM_FROM_CAM.inv(), 0, 200, 0.7, 0), K)
    up = np.array([0.0, -1.0, 0.0])
    room = find_room(segments, up, max_tilt=np.radians(20), tolerance=np.radians(0.8))
    assert room is None or room.support < 0.6 or room.contrast < 5


def test_too_few_edges_are_no_room() -> None:
    segments = segments_of(np.zeros((0, 4)), K)
    up = np.array([0.0, -1.0, 0.0])
    assert find_room(segments, up, max_tilt=0.3, tolerance=0.01) is None


def test_of_four_quarter_turns_the_nearest_to_the_people_is_taken() -> None:
    first = ROOM_FROM_CAM.inv() * Rotation.from_euler("y", 20, degrees=True)
    second = ROOM_FROM_CAM.inv() * Rotation.from_euler("y", 175, degrees=True)
    up = np.array([0.0, -1.0, 0.0])
    rooms = [
        find_room(
            segments_of(edges(turn, 150, 0, 0.2, seed), K), up,
            max_tilt=np.radians(20), tolerance=np.radians(0.8),
        )
        for seed, turn in enumerate((first, second))
    ]  # fmt: skip
    truth = first * second.inv()
    guess = Rotation.from_euler("y", 11, degrees=True) * truth
    assert rooms[0] is not None and rooms[1] is not None
    found, angle = nearest_turn(rooms[0], rooms[1], guess.as_matrix())
    assert np.degrees((truth.inv() * Rotation.from_matrix(found)).magnitude()) < 0.3
    assert 10 < np.degrees(angle) < 12


def test_people_seen_from_two_sides_tell_their_sizes_and_the_camera() -> None:
    """Opposite cameras 8 m apart; one is taken for 10 % smaller than they are, one for larger."""
    sizes = np.array([1.1, 0.93, 1.0])
    people = np.array([[-0.8, 0, 3.0], [0.7, 0, 4.5], [0.1, 0, 5.0]])
    camera = np.array([0.3, 0.1, 8.0])
    first, second = people / sizes[:, None], (people - camera) / sizes[:, None]
    cut, person = np.zeros(3, np.int64), np.arange(3)
    place, found = place_by_people(
        cut, person, first, second, depth_std=0.01, lateral_std=0.02, size_std=0.06
    )
    assert np.allclose(found / found.mean(), sizes / sizes.mean(), atol=0.02)
    assert np.linalg.norm(place[0] - camera * found.mean() / sizes.mean()) < 0.1


def test_a_size_holds_in_all_cuts() -> None:
    sizes = np.array([1.08, 0.95])
    people = np.array([[-0.8, 0, 3.0], [0.7, 0, 4.5]])
    cameras = np.array([[0.3, 0, 8.0], [-3.0, 0.1, 4.0]])
    first = np.tile(people / sizes[:, None], (2, 1))
    second = np.concatenate([(people - camera) / sizes[:, None] for camera in cameras])
    cut, person = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    place, found = place_by_people(
        cut, person, first, second, depth_std=0.01, lateral_std=0.02, size_std=0.06
    )
    assert np.isclose(found[0] / found[1], sizes[0] / sizes[1], atol=0.01)
    scale = found.mean() / sizes.mean()
    assert np.allclose(place, scale * cameras, atol=0.08)
