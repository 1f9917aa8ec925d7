"""Dense bundle adjustment: poses of key frames and an inverse depth per cell from flow targets.

Facts droid.md, section 7 (Teed and Deng 2021, section 3.2). Each cell's inverse depth occurs in
the edges of its own frame only, so the depths are eliminated cell by cell (Schur complement)
and a small system over the poses is left, solved in float64.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from multithumbs.geometry import se3
from multithumbs.geometry.inverse_depth import grid_rays, relative_poses
from multithumbs.solvers.dense_ba_schur import (
    CELLS_AT_ONCE,
    Eliminated,
    PoseSystem,
    group_by_source,
)
from multithumbs.solvers.dense_ba_solve import solve_poses
from multithumbs.solvers.dense_ba_terms import EdgeTerms, edge_terms

MIN_INVERSE_DEPTH = 1e-3
SENSOR_WEIGHT = 0.05
Kernels = Literal["torch", "warp"]
"""Who sums over the cells; ``torch`` is the reference, ``warp`` is `dense_ba_warp`."""


@dataclass(frozen=True)
class BundleAdjustment:
    """The adjusted state, in the dtypes that came in."""

    cam_from_world: Float[Tensor, "F 4 4"]
    inverse_depth: Float[Tensor, "F h w"]
    failed: int
    """Gauss-Newton steps whose pose system had no solution; poses stayed there."""


def depth_damping(eta: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """``damping`` of `dense_ba` from the update operator's."""
    return 0.2 * eta + 1e-7


def dense_ba(
    cam_from_world: Float[Tensor, "F 4 4"],
    inverse_depth: Float[Tensor, "F h w"],
    intrinsics: Float[Tensor, " 4"],
    target: Float[Tensor, "E h w 2"],
    weight: Float[Tensor, "E h w 2"],
    damping: Float[Tensor, "F h w"],
    ii: Int[Tensor, " E"],
    jj: Int[Tensor, " E"],
    *,
    first_free: int,
    last: int,
    iterations: int = 2,
    motion_only: bool = False,
    lm: float = 1e-4,
    ep: float = 0.1,
    sensor: Float[Tensor, "F h w"] | None = None,
    first_pose_moves_depths: bool = True,
    kernels: Kernels = "warp",
) -> BundleAdjustment:
    """Gauss-Newton steps on the weighted distances between targets and projections.

    Args:
        cam_from_world: all poses; those of frames ``first_free .. last - 1`` move.
        inverse_depth: of all frames; those move that are the source of an edge.
        intrinsics: (fx, fy, cx, cy) of the grid.
        target: where the cells of ``ii`` lie in ``jj``, in cells. No weight where not a number.
        weight: the network's confidences; 0 on masked people.
        damping: added to a depth's own curvature (`depth_damping`).
        ii, jj: source and target frame of each edge.
        iterations: steps.
        motion_only: keep the depths.
        lm, ep: damping of the pose system's diagonal, relative and absolute, after the depths
            were eliminated. 1e-4 and 0.1 in DROID's frontend, 1e-5 and 1e-2 in its backend.
        sensor: measured inverse depths, 0 where there is none. They take the damping's place.
        first_pose_moves_depths: False leaves the step of pose ``first_free`` out of the depths'
            step, as the published kernel does.
        kernels: warp is about twice as fast on a CPU as well.

    Raises ValueError for a window that is empty or outside the frames.
    """
    frames, h, w = inverse_depth.shape
    if not 0 <= first_free < last <= frames:
        raise ValueError(f"poses {first_free} .. {last - 1} of {frames} cannot be adjusted")
    device = inverse_depth.device
    sums = _sums_by(kernels)
    poses = cam_from_world.double()
    depths = inverse_depth.double().flatten(1)
    camera = intrinsics.to(depths)
    rays = grid_rays(h, w, camera, depths)
    extra = _depth_priors(depths, damping, sensor)
    order, groups = group_by_source(ii, h * w, CELLS_AT_ONCE[device.type])
    ii, jj = ii[order], jj[order]
    target, weight = (x[order].flatten(1, 2) for x in (target, weight))
    failed = 0
    for _ in range(iterations):
        relative = relative_poses(poses, ii, jj)
        system = PoseSystem(first_free, last, device)
        eliminated: list[Eliminated] = []
        for group in groups:
            edges = group.edges
            source, to = ii[edges], jj[edges]
            terms = sums(
                relative[edges], depths[source], rays, camera, target[edges], weight[edges]
            )  # fmt: skip
            if motion_only:
                system.add_motion(terms, relative[edges], source, to)
                continue
            curvature, pull = (x[group.frames] for x in extra(depths))
            eliminated.append(
                system.add_eliminated(group, terms, curvature, pull, relative[edges], to)
            )
        step = solve_poses(system.blocks, system.right, lm, ep)
        failed += step is None
        twist = poses.new_zeros(frames, 6)
        poses = poses.clone()
        if step is not None:
            twist[first_free:last] = step
            poses[first_free:last] = se3.retract(poses[first_free:last], step)
        if not first_pose_moves_depths:
            twist[first_free] = 0
        of_edge = twist[jj] - (se3.adjoint(relative) @ twist[ii, :, None])[..., 0]
        depths = depths.clone()
        for part in eliminated:
            depths[part.group.frames] += part.step(of_edge)
    depths = depths.clamp_min(MIN_INVERSE_DEPTH).view(frames, h, w)
    return BundleAdjustment(poses.to(cam_from_world), depths.to(inverse_depth), failed)


def _depth_priors(
    depths: Float64[Tensor, "F hw"],
    damping: Float[Tensor, "F h w"],
    sensor: Float[Tensor, "F h w"] | None,
) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """What acts on the depths besides the edges: ``(curvature, pull)`` at given depths."""
    damped = damping.to(depths).flatten(1)
    if sensor is None:
        nothing = torch.zeros_like(damped)
        return lambda _: (damped, nothing)
    measured = sensor.to(depths).flatten(1)
    known = measured > 0
    curvature = torch.where(known, SENSOR_WEIGHT, damped)
    return lambda now: (curvature, torch.where(known, SENSOR_WEIGHT * (measured - now), 0.0))


def _sums_by(kernels: Kernels) -> Callable[..., EdgeTerms]:
    if kernels == "torch":
        return edge_terms
    from multithumbs.solvers.dense_ba_warp import edge_terms_by_warp

    return edge_terms_by_warp
