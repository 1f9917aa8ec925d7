"""Dense bundle adjustment: derivatives, elimination, the golden steps, and recovery of a scene."""

import numpy as np
import pytest
import torch

from multithumbs.geometry import inverse_depth as grid
from multithumbs.geometry import rigid, se3
from multithumbs.geometry.rotations import matrix_from_quaternion, quaternion_from_matrix
from multithumbs.solvers.dense_ba import BundleAdjustment, dense_ba, depth_damping
from multithumbs.solvers.dense_ba_solve import solve_poses
from multithumbs.solvers.dense_ba_terms import WEIGHT_SCALE, edge_terms, projection_derivatives
from multithumbs.solvers.dense_ba_warp import edge_terms_by_warp
from tests.golden.fixture import load_fixture

INTRINSICS = torch.tensor([7.0, 7.5, 4.1, 2.9], dtype=torch.float64)
KERNELS = ["torch", "warp"]


def poses_from_rows(rows: np.ndarray) -> torch.Tensor:
    """DROID's [t, q(xyzw)] as 4 x 4."""
    quaternion = torch.from_numpy(rows[:, [6, 3, 4, 5]])
    return rigid.compose(matrix_from_quaternion(quaternion), torch.from_numpy(rows[:, :3]))


def rows_from_poses(poses: torch.Tensor) -> np.ndarray:
    quaternion = quaternion_from_matrix(poses[:, :3, :3])[:, [1, 2, 3, 0]]
    return torch.cat([poses[:, :3, 3], quaternion], dim=1).numpy()


def random_scene(frames: int, h: int, w: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Cameras a little apart that look at points at depths 1 to 4."""
    generator = torch.Generator().manual_seed(seed)
    twist = 0.15 * torch.randn(frames, 6, generator=generator, dtype=torch.float64)
    depth = 1 + 3 * torch.rand(frames, h, w, generator=generator, dtype=torch.float64)
    return se3.exponential(twist), 1 / depth


def chain(frames: int, reach: int) -> tuple[torch.Tensor, torch.Tensor]:
    """All pairs at most ``reach`` apart, both ways."""
    pairs = [(i, j) for i in range(frames) for j in range(frames) if 0 < abs(i - j) <= reach]
    ii, jj = torch.tensor(pairs).T
    return ii, jj


def rays_of(h: int, w: int, intrinsics: torch.Tensor = INTRINSICS) -> torch.Tensor:
    return grid.grid_rays(h, w, intrinsics, intrinsics)


# ---------------------------------------------------------------- derivatives


def test_derivatives_by_finite_differences() -> None:
    """Of both poses of an edge and of the inverse depth, central differences."""
    poses, inverse_depth = random_scene(2, 4, 5, seed=3)
    ii, jj = torch.tensor([0]), torch.tensor([1])
    step = 1e-6

    def seen(poses: torch.Tensor, inverse_depth: torch.Tensor) -> torch.Tensor:
        coords, valid = grid.reproject(poses, inverse_depth, INTRINSICS, ii, jj)
        assert valid.all()
        return coords[0].flatten(0, 1).T  # (2, hw)

    relative = grid.relative_poses(poses, ii, jj)
    flat = inverse_depth.flatten(1)
    found = projection_derivatives(relative, flat[ii], rays_of(4, 5), INTRINSICS)
    torch.testing.assert_close(found.coords[0], seen(poses, inverse_depth), rtol=0, atol=1e-12)
    by_pose = {1: found.twist[0], 0: -torch.einsum("kcp,kl->lcp", found.twist[0],
               se3.adjoint(relative)[0])}  # fmt: skip
    for frame, analytic in by_pose.items():
        for k in range(6):
            twist = torch.zeros(2, 6, dtype=torch.float64)
            twist[frame, k] = step
            ahead = seen(se3.retract(poses, twist), inverse_depth)
            behind = seen(se3.retract(poses, -twist), inverse_depth)
            numeric = (ahead - behind) / (2 * step)
            torch.testing.assert_close(analytic[k], numeric, rtol=0, atol=1e-8)
    numeric = (seen(poses, inverse_depth + step) - seen(poses, inverse_depth - step)) / (2 * step)
    torch.testing.assert_close(found.inverse_depth[0], numeric, rtol=0, atol=1e-8)


# ---------------------------------------------------------------- golden


VARIANTS = {
    "frontend": {"lm": 1e-4, "ep": 0.1},
    "frontend_skip_first": {"lm": 1e-4, "ep": 0.1, "first_pose_moves_depths": False},
    "backend": {"lm": 1e-5, "ep": 0.01},
    "motion_only": {"lm": 1e-4, "ep": 0.1, "motion_only": True},
    "sensor": {"lm": 1e-4, "ep": 0.1},
    "small_damping_8it": {"lm": 1e-5, "ep": 1e-6, "iterations": 8},
}


@pytest.fixture(scope="module")
def golden():
    return load_fixture("droid_ba")


def run_golden(golden, name: str, device: str = "cpu", **options) -> BundleAdjustment:
    arrays = {
        k: torch.from_numpy(v).to(device) for k, v in golden.arrays.items() if k.startswith("in_")
    }
    sensor = arrays["in_disps_sens"] if name == "sensor" else None
    return dense_ba(
        poses_from_rows(golden.arrays["in_poses"]).to(device), arrays["in_disps"],
        INTRINSICS.to(device), arrays["in_targets"].permute(0, 2, 3, 1),
        arrays["in_weights"].permute(0, 2, 3, 1), arrays["in_eta"],
        arrays["in_ii"], arrays["in_jj"],
        first_free=1, last=5, sensor=sensor, **(VARIANTS[name] | options),
    )  # fmt: skip


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_as_the_dense_reference(golden, name: str, kernels: str) -> None:
    assert golden.sidecar["configuration"]["intrinsics_fx_fy_cx_cy"] == INTRINSICS.tolist()
    done = run_golden(golden, name, kernels=kernels)
    assert done.failed == 0
    golden.check(f"{name}__poses", rows_from_poses(done.cam_from_world))
    if name != "motion_only":
        golden.check(f"{name}__disps", done.inverse_depth.numpy())
    else:
        kept = torch.from_numpy(golden.arrays["in_disps"]).clamp_min(1e-3)
        torch.testing.assert_close(done.inverse_depth, kept)


@pytest.mark.parametrize("name", [name for name in VARIANTS if name != "motion_only"])
def test_the_first_step_as_the_dense_reference(golden, name: str) -> None:
    done = run_golden(golden, name, iterations=1)
    stepped = se3.retract(
        poses_from_rows(golden.arrays["in_poses"])[1:],
        torch.from_numpy(golden.arrays[f"{name}__dx_first"]),
    )
    torch.testing.assert_close(done.cam_from_world[1:], stepped, rtol=0, atol=1e-8)
    depths = golden.arrays["in_disps"] + golden.arrays[f"{name}__dz_first"]
    np.testing.assert_allclose(
        done.inverse_depth.numpy(), np.maximum(depths, 1e-3), rtol=0, atol=1e-8
    )


# ---------------------------------------------------------------- against a dense solve


def dense_step(poses, inverse_depth, target, weight, damping, ii, jj, first_free, last, lm, ep):
    """One step with all unknowns in one matrix: automatic Jacobian, no elimination."""
    frames, h, w = inverse_depth.shape
    count = last - first_free

    def residual(unknown: torch.Tensor) -> torch.Tensor:
        twist = torch.zeros(frames, 6, dtype=torch.float64)
        twist = torch.cat([twist[:first_free], unknown[: 6 * count].view(-1, 6), twist[last:]])
        moved = se3.exponential(twist) @ poses
        depths = inverse_depth + unknown[6 * count :].view(frames, h, w)
        coords, _ = grid.reproject(moved, depths, INTRINSICS, ii, jj)
        return (target - coords).flatten()

    start = torch.zeros(6 * count + frames * h * w, dtype=torch.float64)
    J = -torch.func.jacfwd(residual)(start)
    r = residual(start)
    W = WEIGHT_SCALE * weight.flatten()
    N = J.T @ (W[:, None] * J)
    g = J.T @ (W * r)
    depth_part = slice(6 * count, None)
    pose_part = slice(0, 6 * count)
    N[depth_part, depth_part] += torch.diag(damping.flatten())
    reduced = N[pose_part, pose_part] - N[pose_part, depth_part] @ torch.linalg.solve(
        N[depth_part, depth_part], N[depth_part, pose_part]
    )
    N[pose_part, pose_part] += torch.diag(ep + lm * reduced.diagonal())
    step = torch.linalg.solve(N, g)
    return step[pose_part].view(count, 6), step[depth_part].view(frames, h, w)


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("window", [(1, 6), (2, 4), (0, 6)])
def test_one_step_is_that_of_the_whole_dense_system(window, kernels: str) -> None:
    """An uneven graph: sources with one, many and no edges, fixed poses, masked cells, i = j."""
    frames, h, w = 6, 4, 5
    poses, inverse_depth = random_scene(frames, h, w, seed=5)
    ii = torch.tensor([0, 0, 0, 1, 1, 2, 3, 3, 3, 3, 4, 4, 2])
    jj = torch.tensor([1, 2, 3, 0, 2, 3, 0, 1, 4, 2, 3, 5, 2])
    generator = torch.Generator().manual_seed(7)
    coords, _ = grid.reproject(poses, inverse_depth, INTRINSICS, ii, jj)
    target = coords + torch.randn(coords.shape, generator=generator, dtype=torch.float64)
    weight = torch.rand(coords.shape, generator=generator, dtype=torch.float64)
    weight[:, 0, :3] = 0
    damping = 1e-4 + 1e-2 * torch.rand(frames, h, w, generator=generator, dtype=torch.float64)
    lm, ep = 1e-4, 0.1
    twist, depth_step = dense_step(
        poses, inverse_depth, target, weight, damping, ii, jj, *window, lm, ep
    )
    done = dense_ba(
        poses, inverse_depth, INTRINSICS, target, weight, damping, ii, jj,
        first_free=window[0], last=window[1], iterations=1, lm=lm, ep=ep, kernels=kernels,
    )  # fmt: skip
    expected = poses.clone()
    expected[slice(*window)] = se3.exponential(twist) @ poses[slice(*window)]
    assert twist.abs().max() > 1e-3 and depth_step.abs().max() > 1e-2
    torch.testing.assert_close(done.cam_from_world, expected, rtol=0, atol=1e-10)
    depths = (inverse_depth + depth_step).clamp_min(1e-3)
    torch.testing.assert_close(done.inverse_depth, depths, rtol=0, atol=1e-10)


def test_the_kernel_sums_what_the_reference_sums() -> None:
    """With points behind the camera, missing targets and infinitely far points among them."""
    poses, inverse_depth = random_scene(5, 6, 7, seed=11)
    inverse_depth[0, 0] = 0.0
    poses[4, 2, 3] -= 2.5
    ii, jj = chain(5, 4)
    generator = torch.Generator().manual_seed(2)
    target = 6 * torch.rand(len(ii), 42, 2, generator=generator, dtype=torch.float64)
    target[0, 3, 0], target[1, 5, 1] = torch.nan, torch.inf
    weight = torch.rand(target.shape, generator=generator, dtype=torch.float64)
    weight[2, 7, 0] = torch.nan
    arguments = (
        grid.relative_poses(poses, ii, jj), inverse_depth.flatten(1)[ii], rays_of(6, 7),
        INTRINSICS, target, weight,
    )  # fmt: skip
    expected = edge_terms(*arguments)
    assert (expected.depth == 0).any() and expected.pose.isfinite().all()
    for found, wanted in zip(edge_terms_by_warp(*arguments), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", VARIANTS)
def test_cuda_gives_the_same_adjustment(golden, name: str) -> None:
    done, expected = run_golden(golden, name, device="cuda"), run_golden(golden, name)
    assert done.cam_from_world.is_cuda and done.failed == 0
    for found, wanted in (
        (done.cam_from_world, expected.cam_from_world),
        (done.inverse_depth, expected.inverse_depth),
    ):
        torch.testing.assert_close(found.cpu(), wanted, rtol=0, atol=1e-10)


def test_masked_cells_do_not_matter() -> None:
    """People have weight 0: whatever their flow says, nothing else changes."""
    poses, inverse_depth = random_scene(4, 6, 8)
    ii, jj = chain(4, 2)
    coords, _ = grid.reproject(poses, inverse_depth, INTRINSICS, ii, jj)
    weight = torch.ones_like(coords)
    weight[:, 2:4, 3:6] = 0
    wrong = coords.clone()
    wrong[:, 2:4, 3:6] += 30.0
    start = se3.retract(poses, 0.01 * torch.ones(4, 6, dtype=torch.float64))
    start[0] = poses[0]
    damping = torch.full_like(inverse_depth, 1e-6)
    results = [
        dense_ba(start, inverse_depth, INTRINSICS, target, weight, damping, ii, jj,
                 first_free=1, last=4)
        for target in (coords, wrong)
    ]  # fmt: skip
    assert torch.equal(results[0].cam_from_world, results[1].cam_from_world)
    assert torch.equal(results[0].inverse_depth, results[1].inverse_depth)


@pytest.mark.parametrize("kernels", KERNELS)
def test_exact_targets_bring_back_the_scene(kernels: str) -> None:
    """Slanted planes; pose 0 is the gauge and pose 1 the scale."""
    frames, h, w = 6, 8, 10
    intrinsics = torch.tensor([9.0, 9.0, 4.5, 3.5], dtype=torch.float64)
    twist = torch.zeros(frames, 6, dtype=torch.float64)
    twist[:, 0] = 0.12 * torch.arange(frames)
    twist[:, 1] = 0.03 * torch.arange(frames) ** 1.5
    twist[:, 4] = -0.02 * torch.arange(frames)
    truth = se3.exponential(twist)
    x, y, _ = rays_of(h, w, intrinsics).view(3, h, w)
    # The plane n.X = 2 of the world, seen by each camera: d = (n R' ray) / (2 - n c).
    normal = torch.tensor([0.2, -0.1, 1.0], dtype=torch.float64)
    rays = torch.stack([x, y, torch.ones_like(x)], -1)
    world_from_cam = rigid.inverse(truth)
    slope = torch.einsum("i,fij,hwj->fhw", normal, world_from_cam[:, :3, :3], rays)
    depths = slope / (2 - world_from_cam[:, :3, 3] @ normal)[:, None, None]
    ii, jj = chain(frames, 2)
    target, valid = grid.reproject(truth, depths, intrinsics, ii, jj)
    assert valid.all()
    generator = torch.Generator().manual_seed(0)
    noise = 0.02 * torch.randn(frames, 6, generator=generator, dtype=torch.float64)
    noise[:2] = 0
    start = se3.retract(truth, noise)
    done = dense_ba(
        start, torch.full_like(depths, 0.6), intrinsics, target, torch.ones_like(target),
        torch.full_like(depths, 1e-9), ii, jj,
        first_free=2, last=frames, iterations=15, lm=1e-6, ep=1e-9, kernels=kernels,
    )  # fmt: skip
    assert done.failed == 0
    torch.testing.assert_close(done.cam_from_world, truth, rtol=0, atol=1e-6)
    torch.testing.assert_close(done.inverse_depth, depths, rtol=0, atol=1e-6)


# ---------------------------------------------------------------- behaviour


def test_frames_and_depths_outside_the_graph_stay(golden) -> None:
    poses, inverse_depth = random_scene(5, 4, 5)
    ii, jj = torch.tensor([1, 2]), torch.tensor([2, 1])
    target = grid.reproject(poses, inverse_depth, INTRINSICS, ii, jj)[0] + 0.5
    done = dense_ba(
        poses, inverse_depth, INTRINSICS, target, torch.ones_like(target),
        torch.full_like(inverse_depth, 1e-3), ii, jj, first_free=2, last=3,
    )  # fmt: skip
    outside = [0, 1, 3, 4]
    assert torch.equal(done.cam_from_world[outside], poses[outside])
    assert torch.equal(done.inverse_depth[[0, 3, 4]], inverse_depth[[0, 3, 4]])
    assert not torch.equal(done.cam_from_world[2], poses[2])
    assert not torch.equal(done.inverse_depth[1], inverse_depth[1])


def test_a_graph_without_edges_moves_nothing() -> None:
    poses, inverse_depth = random_scene(3, 4, 5)
    none = torch.zeros(0, dtype=torch.int64)
    flow = torch.zeros(0, 4, 5, 2, dtype=torch.float64)
    done = dense_ba(
        poses, inverse_depth, INTRINSICS, flow, flow, inverse_depth, none, none,
        first_free=1, last=3,
    )  # fmt: skip
    assert done.failed == 0
    torch.testing.assert_close(done.cam_from_world, poses, rtol=0, atol=1e-15)
    assert torch.equal(done.inverse_depth, inverse_depth)


def test_dtypes_come_back_and_inputs_stay() -> None:
    poses, inverse_depth = random_scene(3, 4, 5)
    single = inverse_depth.float()
    before = single.clone(), poses.clone()
    ii, jj = chain(3, 1)
    target = grid.reproject(poses, single, INTRINSICS.float(), ii, jj)[0] + 0.1
    assert target.dtype == torch.float32
    done = dense_ba(
        poses, single, INTRINSICS.float(), target, torch.ones_like(target),
        depth_damping(torch.zeros_like(single)), ii, jj, first_free=1, last=3,
    )  # fmt: skip
    assert done.cam_from_world.dtype == torch.float64
    assert done.inverse_depth.dtype == torch.float32
    assert torch.equal(single, before[0]) and torch.equal(poses, before[1])


def test_a_system_without_a_solution_is_counted_and_poses_stay() -> None:
    poses, inverse_depth = random_scene(3, 4, 5)
    ii, jj = chain(3, 1)
    target = grid.reproject(poses, inverse_depth, INTRINSICS, ii, jj)[0]
    done = dense_ba(
        poses, inverse_depth, INTRINSICS, target, torch.full_like(target, -100.0),
        torch.full_like(inverse_depth, 1e-3), ii, jj, first_free=1, last=3, motion_only=True,
    )  # fmt: skip
    assert done.failed == 2
    assert torch.equal(done.cam_from_world, poses)


@pytest.mark.parametrize("window", [(2, 2), (-1, 2), (1, 4)])
def test_an_impossible_window_is_refused(window) -> None:
    poses, inverse_depth = random_scene(3, 4, 5)
    ii, jj = chain(3, 1)
    target = grid.reproject(poses, inverse_depth, INTRINSICS, ii, jj)[0]
    with pytest.raises(ValueError, match="cannot be adjusted"):
        dense_ba(
            poses, inverse_depth, INTRINSICS, target, torch.ones_like(target), inverse_depth,
            ii, jj, first_free=window[0], last=window[1],
        )  # fmt: skip


@pytest.mark.parametrize("loop", [False, True])
def test_long_chains_are_solved_as_a_band(loop: bool) -> None:
    """More poses than go into a dense matrix, shuffled, with and without a closed loop."""
    count, generator = 90, torch.Generator().manual_seed(1)
    shuffled = torch.randperm(count, generator=generator)
    matrix = torch.zeros(count, 6, count, 6, dtype=torch.float64)
    for i in range(count):
        for j in range(max(i - 4, 0), i + 1):
            block = torch.randn(6, 6, generator=generator, dtype=torch.float64)
            matrix[shuffled[i], :, shuffled[j], :] += block
            matrix[shuffled[j], :, shuffled[i], :] += block.T
    if loop:
        matrix[shuffled[0], :, shuffled[-1], :] += 1.0
        matrix[shuffled[-1], :, shuffled[0], :] += 1.0
    flat = matrix.view(6 * count, 6 * count)
    flat.diagonal().add_(200.0)
    right = torch.randn(count, 6, generator=generator, dtype=torch.float64)
    lm, ep = 1e-2, 0.3
    damped = flat + torch.diag(ep + lm * flat.diagonal())
    expected = torch.linalg.solve(damped, right.flatten()).view(count, 6)
    blocks = matrix.permute(0, 2, 1, 3)
    found = solve_poses(blocks, right, lm, ep)
    assert found is not None
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert solve_poses(-blocks, right, lm, ep) is None
    assert solve_poses(blocks * torch.nan, right, lm, ep) is None
