"""Reprojection through inverse depths, the distance of frames, and the group of rigid motions."""

import pytest
import torch

from multithumbs.geometry import inverse_depth as grid
from multithumbs.geometry import se3

INTRINSICS = torch.tensor([7.0, 7.5, 4.1, 2.9], dtype=torch.float64)


def random_scene(frames: int, h: int, w: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Cameras a little apart that look at points at depths 1 to 4."""
    generator = torch.Generator().manual_seed(seed)
    twist = 0.15 * torch.randn(frames, 6, generator=generator, dtype=torch.float64)
    depth = 1 + 3 * torch.rand(frames, h, w, generator=generator, dtype=torch.float64)
    return se3.exponential(twist), 1 / depth


def test_grid_intrinsics_put_a_cell_on_the_pixel_that_its_convolutions_centre_on() -> None:
    K = torch.tensor([[400.0, 0.0, 256.0], [0.0, 410.0, 190.0], [0.0, 0.0, 1.0]]).double()
    point = torch.tensor([[0.3, -0.2, 2.0]], dtype=torch.float64)
    u, v = ((K @ point[0]) / 2)[:2]
    fx, fy, cx, cy = grid.grid_intrinsics(K)
    assert fx * 0.15 + cx == pytest.approx((float(u) - 0.5) / 8)
    assert fy * -0.1 + cy == pytest.approx((float(v) - 0.5) / 8)


def test_reprojection_is_a_point_carried_by_the_cameras() -> None:
    poses, inverse_depth = random_scene(3, 4, 5)
    ii, jj = torch.tensor([0, 2, 1]), torch.tensor([1, 0, 1])
    coords, valid = grid.reproject(poses, inverse_depth, INTRINSICS, ii, jj)
    assert valid.all()
    fx, fy, cx, cy = INTRINSICS
    for e, (i, j) in enumerate([(0, 1), (2, 0), (1, 1)]):
        for y, x in [(0, 0), (3, 4), (2, 1)]:
            z = 1 / inverse_depth[i, y, x]
            point = torch.stack([(x - cx) / fx * z, (y - cy) / fy * z, z, torch.ones_like(z)])
            seen = poses[j] @ torch.linalg.inv(poses[i]) @ point
            expected = torch.stack([fx * seen[0] / seen[2] + cx, fy * seen[1] / seen[2] + cy])
            torch.testing.assert_close(coords[e, y, x], expected, rtol=0, atol=1e-12)
    own = grid.grid_coordinates(4, 5, inverse_depth)
    torch.testing.assert_close(coords[2], own, rtol=0, atol=1e-12)


def test_points_behind_the_target_are_not_valid_but_finite() -> None:
    poses = torch.eye(4, dtype=torch.float64).repeat(2, 1, 1)
    poses[1, 2, 3] = -1.0
    inverse_depth = torch.tensor([0.5, 0.9, 1.0, 1.2], dtype=torch.float64).view(1, 2, 2)
    inverse_depth = inverse_depth.repeat(2, 1, 1)
    edge = torch.tensor([0]), torch.tensor([1])
    coords, valid = grid.reproject(poses, inverse_depth, INTRINSICS, *edge)
    assert valid.flatten().tolist() == [True, False, False, False]
    assert coords.isfinite().all()


def test_frame_distance_mixes_full_and_sliding_motion() -> None:
    poses, inverse_depth = random_scene(3, 6, 8)
    inverse_depth = inverse_depth * 0.5
    ii, jj = torch.tensor([0, 1]), torch.tensor([1, 2])
    own = grid.grid_coordinates(6, 8, inverse_depth)
    expected = torch.zeros(2, dtype=torch.float64)
    for sources, targets in ((ii, jj), (jj, ii)):
        full, _ = grid.reproject(poses, inverse_depth, INTRINSICS, sources, targets)
        for e in range(2):
            one = grid.relative_poses(poses, sources, targets)[e]
            sliding = torch.eye(4, dtype=torch.float64).repeat(3, 1, 1)
            sliding[targets[e], :3, 3] = one[:3, 3]
            pair = sources[e : e + 1], targets[e : e + 1]
            slid, _ = grid.reproject(sliding, inverse_depth, INTRINSICS, *pair)
            lengths = 0.3 * (full[e] - own).norm(dim=-1) + 0.7 * (slid[0] - own).norm(dim=-1)
            expected[e] += 0.5 * lengths.mean()
    found = grid.frame_distance(poses, inverse_depth, INTRINSICS, ii, jj, 0.3)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_frames_that_see_too_little_of_each_other_are_far_apart() -> None:
    poses = torch.eye(4, dtype=torch.float64).repeat(2, 1, 1)
    poses[1, 2, 3] = -0.9
    near = torch.ones(2, 4, 4, dtype=torch.float64)
    edge = torch.tensor([0]), torch.tensor([1])
    forth = grid.frame_distance(poses, near, INTRINSICS, *edge, bidirectional=False)
    assert forth.tolist() == [1000.0]
    near[0].view(-1)[:13] = 0.1  # of 16
    forth = grid.frame_distance(poses, near, INTRINSICS, *edge, bidirectional=False)
    assert 0 < float(forth) < 10


def test_steps_of_poses_by_the_matrix_exponential() -> None:
    twist = torch.tensor([0.3, -0.2, 0.5, 0.7, -1.1, 0.4], dtype=torch.float64)
    generator = torch.zeros(4, 4, dtype=torch.float64)
    generator[:3, 3] = twist[:3]
    a, b, c = twist[3:]
    generator[:3, :3] = torch.tensor([[0, -c, b], [c, 0, -a], [-b, a, 0]])
    expected = torch.linalg.matrix_exp(generator)
    torch.testing.assert_close(se3.exponential(twist), expected, rtol=0, atol=1e-14)
    pose = se3.exponential(torch.tensor([1.0, 2.0, -0.5, 0.2, 0.3, -0.9], dtype=torch.float64))
    carried = se3.exponential(se3.adjoint(pose) @ twist) @ pose
    torch.testing.assert_close(pose @ expected, carried, rtol=0, atol=1e-14)
    torch.testing.assert_close(se3.retract(pose, twist), expected @ pose, rtol=0, atol=1e-14)


def test_rotations_stay_rotations_over_many_steps() -> None:
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] += 1e-7
    for _ in range(3):
        pose = se3.retract(pose, torch.full((6,), 0.1, dtype=torch.float64))
    rotation = pose[:3, :3]
    torch.testing.assert_close(
        rotation @ rotation.T, torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-15
    )
