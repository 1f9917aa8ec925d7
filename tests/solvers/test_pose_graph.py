"""Shots placed by edges: trees exactly, loops by distributing what disagrees."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from multithumbs.solvers.contact_scale import Displacements, vote
from multithumbs.solvers.pose_graph import Edges, islands_of, place, scaled
from multithumbs.solvers.pose_graph_revisit import rotation_only


def random_rigid(rng: np.random.Generator, count: int, size: float = 2.0) -> np.ndarray:
    out = np.tile(np.eye(4), (count, 1, 1))
    out[:, :3, :3] = Rotation.random(count, rng=rng).as_matrix()
    out[:, :3, 3] = rng.normal(0, size, (count, 3))
    return out


class Truth:
    """Shots with known worlds, scales and two cameras each (first and last)."""

    def __init__(self, shots: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.world = random_rigid(rng, shots)
        self.world[0] = np.eye(4)
        self.scale = np.exp(rng.normal(0, 0.5, shots))
        self.first_cam = np.tile(np.eye(4), (shots, 1, 1))
        self.last_cam = random_rigid(rng, shots, 1.0)

    def edge(self, a: int, b: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        last = self.world[a] @ scaled(self.last_cam[a], self.scale[a])
        first = self.world[b] @ scaled(self.first_cam[b], self.scale[b])
        return self.last_cam[a], self.first_cam[b], np.linalg.inv(last) @ first

    def edges(self, pairs: list[tuple[int, int]], std: float = 0.1) -> Edges:
        parts = [self.edge(a, b) for a, b in pairs]
        first, second, relative = (np.array(p).reshape(-1, 4, 4) for p in zip(*parts, strict=True))
        ends = np.array(pairs, dtype=np.int64)
        return Edges(
            first=ends[:, 0],
            second=ends[:, 1],
            first_shot_from_cam=first,
            second_shot_from_cam=second,
            first_from_second=relative,
            rotation_std=np.full(len(pairs), std / 10),
            translation_std=np.full(len(pairs), std),
        )


def test_a_chain_is_followed_exactly() -> None:
    truth = Truth(5)
    edges = truth.edges([(0, 1), (1, 2), (2, 3), (3, 4)])
    out = place(5, edges, truth.scale, np.zeros(5))
    assert np.allclose(out.world_from_shot, truth.world, atol=1e-9)
    assert np.array_equal(out.metres_per_unit, truth.scale)
    assert np.all(out.residual_m < 1e-9) and np.array_equal(out.island, np.zeros(5))


def test_a_missing_cut_starts_an_island_with_its_own_world() -> None:
    truth = Truth(4)
    out = place(4, truth.edges([(0, 1), (2, 3)]), truth.scale, np.zeros(4))
    assert out.island.tolist() == [0, 0, 1, 1]
    assert np.array_equal(out.world_from_shot[2], np.eye(4))
    relative = np.linalg.inv(truth.world[2]) @ truth.world[3]
    assert np.allclose(out.world_from_shot[3], relative, atol=1e-9)


def test_islands_are_numbered_by_their_first_shot() -> None:
    edges = Truth(5).edges([(3, 4), (0, 2)])
    assert islands_of(5, edges).tolist() == [0, 1, 0, 2, 2]


def test_a_loop_finds_the_scale_of_a_moving_shot() -> None:
    truth = Truth(3)
    edges = truth.edges([(0, 1), (1, 2), (0, 2)])
    guess = truth.scale.copy()
    guess[1] *= 1.5
    out = place(3, edges, guess, np.array([0.0, 0.8, 0.0]))
    assert np.allclose(out.metres_per_unit, truth.scale, rtol=0.02)
    assert np.allclose(out.world_from_shot, truth.world, atol=0.05)


def test_disagreement_round_a_loop_is_shared() -> None:
    truth = Truth(3)
    edges = truth.edges([(0, 1), (1, 2), (0, 2)])
    edges.first_from_second[2, :3, 3] += [0.3, 0, 0]
    out = place(3, edges, truth.scale, np.zeros(3))
    assert np.all(out.residual_m > 0.05) and np.all(out.residual_m < 0.16)


@pytest.mark.parametrize("factor", [1.0, 1.4, 0.7, 1.025])
def test_matches_from_one_place_give_rotation_and_lens_despite_wrong_ones(factor: float) -> None:
    rng = np.random.default_rng(0)
    ahead = np.c_[rng.uniform(-0.3, 0.3, (200, 2)), np.ones(200)]
    turn = Rotation.from_rotvec([0.05, -0.2, 0.05])
    turned = turn.apply(ahead)
    first = turned[:, :2] / turned[:, 2:] + rng.normal(0, 3e-4, (200, 2))
    first[:60] = rng.permutation(first[:60])
    second = factor * ahead[:, :2]  # what a camera with the true lens sees, in units of the given
    found = rotation_only(first, second, 2e-3)
    error = (turn.inv() * Rotation.from_matrix(found.first_from_second)).magnitude()
    assert error < 5e-4 and 130 <= found.inliers <= 150
    assert found.focal_factor == 1 if factor == 1 else abs(found.focal_factor / factor - 1) < 5e-3


def walking_feet(scale: float, noise: float) -> Displacements:
    """Two feet that stand 60 % of the time, of a person whom the camera follows."""
    rng = np.random.default_rng(1)
    frames, later = 120, 8
    t = np.arange(frames) / 25
    centre = np.stack([1.3 * t, 0.1 * np.sin(t), 0.2 * t], axis=1)
    body, camera, ray, depth = [], [], [], []
    for phase in (0.0, 0.5):
        cycle = t * 0.9 + phase
        into = cycle % 1
        stride = 1.3 / 0.9
        x = stride * (np.floor(cycle) + np.clip((into - 0.6) / 0.4, 0, 1))
        foot = np.stack([x, 0 * t + 1.5, 0 * t + 4.5], axis=1)
        seen = foot - centre
        direction = seen / np.linalg.norm(seen, axis=1, keepdims=True)
        seen = seen + direction * rng.normal(0, noise, (frames, 1)) * 4.5
        body.append(seen[later:] - seen[:-later])
        camera.append((centre[later:] - centre[:-later]) / scale)
        ray.append(direction[later:])
        depth.append(np.linalg.norm(seen[later:], axis=1))
    stacked = [np.concatenate(part) for part in (body, camera, ray, depth)]
    return Displacements(body=stacked[0], camera=stacked[1], ray=stacked[2], depth=stacked[3])


def test_standing_feet_tell_the_scale_although_the_camera_follows_the_person() -> None:
    for noise in (0.0, 0.02):
        moves = walking_feet(scale=3.0, noise=noise)
        out = vote(moves, still_m=0.06, depth_noise=0.02, prior=6.0, prior_log_std=0.8)
        assert abs(out.metres_per_unit / 3.0 - 1) < 0.05
        assert out.still > 0.2 and out.contrast > 1.2


def test_a_camera_that_hardly_moves_says_nothing_about_its_scale() -> None:
    moves = walking_feet(scale=3000.0, noise=0.02)
    out = vote(moves, still_m=0.06, depth_noise=0.02, prior=6.0, prior_log_std=0.8)
    assert out.contrast < 1.05
