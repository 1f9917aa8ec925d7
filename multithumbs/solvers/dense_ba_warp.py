"""The sums of dense bundle adjustment by one fused warp kernel; `dense_ba_terms` is the reference.

Warp compiles the body for CPU and CUDA; its annotations are Warp's array types, which Python's
type checkers cannot read, hence `no_type_check`.
"""
# pyright: reportInvalidTypeForm=false, reportAssignmentType=false, reportGeneralTypeIssues=false
# pyright: reportArgumentType=false, reportIndexIssue=false, reportOperatorIssue=false
# pyright: reportCallIssue=false, reportAttributeAccessIssue=false

from typing import Any, no_type_check

import warp as wp
from jaxtyping import Float, Float64
from torch import Tensor

from multithumbs.geometry.warp_runtime import launch_for_torch
from multithumbs.solvers.dense_ba_terms import MIN_DEPTH, WEIGHT_SCALE, EdgeTerms

STRIPS = {"cpu": 1, "cuda": 128}
"""Threads of an edge; each sums over every so many-th cell, so that neighbours read neighbours."""


@wp.kernel(enable_backward=False)
@no_type_check
def sum_edge(
    camj_from_cami: wp.array3d(dtype=wp.float64),
    inverse_depth: wp.array2d(dtype=wp.float64),
    rays: wp.array2d(dtype=wp.float64),
    intrinsics: wp.array(dtype=wp.float64),
    target: wp.array3d(dtype=Any),
    weight: wp.array3d(dtype=Any),
    strips: int,
    min_depth: wp.float64,
    weight_scale: wp.float64,
    pose: wp.array4d(dtype=wp.float64),
    pose_right: wp.array3d(dtype=wp.float64),
    cross: wp.array3d(dtype=wp.float64),
    depth: wp.array2d(dtype=wp.float64),
    depth_right: wp.array2d(dtype=wp.float64),
):
    """One thread per edge and strip; nothing is added from two threads, so sums are repeatable."""
    e, strip = wp.tid()
    zero = wp.float64(0.0)
    one = wp.float64(1.0)
    r00 = camj_from_cami[e, 0, 0]
    r01 = camj_from_cami[e, 0, 1]
    r02 = camj_from_cami[e, 0, 2]
    tx = camj_from_cami[e, 0, 3]
    r10 = camj_from_cami[e, 1, 0]
    r11 = camj_from_cami[e, 1, 1]
    r12 = camj_from_cami[e, 1, 2]
    ty = camj_from_cami[e, 1, 3]
    r20 = camj_from_cami[e, 2, 0]
    r21 = camj_from_cami[e, 2, 1]
    r22 = camj_from_cami[e, 2, 2]
    tz = camj_from_cami[e, 2, 3]
    fx = intrinsics[0]
    fy = intrinsics[1]
    cx = intrinsics[2]
    cy = intrinsics[3]
    H = wp.spatial_matrixd()
    v = wp.spatial_vectord()
    cells = inverse_depth.shape[1]
    for p in range(strip, cells, strips):
        ray_x = rays[0, p]
        ray_y = rays[1, p]
        ray_z = rays[2, p]
        d = inverse_depth[e, p]
        z = r20 * ray_x + r21 * ray_y + r22 * ray_z + tz * d
        J_u = wp.spatial_vectord()
        J_v = wp.spatial_vectord()
        by_depth_u = zero
        by_depth_v = zero
        residual_u = zero
        residual_v = zero
        weight_u = zero
        weight_v = zero
        if z >= min_depth:
            inverse = one / z
            x = (r00 * ray_x + r01 * ray_y + r02 * ray_z + tx * d) * inverse
            y = (r10 * ray_x + r11 * ray_y + r12 * ray_z + ty * d) * inverse
            near = d * inverse
            J_u = wp.spatial_vectord(
                fx * near, zero, -fx * x * near, -fx * x * y, fx * (one + x * x), -fx * y
            )
            J_v = wp.spatial_vectord(
                zero, fy * near, -fy * y * near, -fy * (one + y * y), fy * x * y, fy * x
            )
            by_depth_u = fx * inverse * (tx - tz * x)
            by_depth_v = fy * inverse * (ty - tz * y)
            residual_u = wp.float64(target[e, p, 0]) - (fx * x + cx)
            residual_v = wp.float64(target[e, p, 1]) - (fy * y + cy)
            weight_u = weight_scale * wp.float64(weight[e, p, 0])
            weight_v = weight_scale * wp.float64(weight[e, p, 1])
            if not wp.isfinite(residual_u * weight_u):
                residual_u = zero
                weight_u = zero
            if not wp.isfinite(residual_v * weight_v):
                residual_v = zero
                weight_v = zero
        H = H + wp.outer(weight_u * J_u, J_u) + wp.outer(weight_v * J_v, J_v)
        v = v + weight_u * residual_u * J_u + weight_v * residual_v * J_v
        mixed_u = weight_u * by_depth_u
        mixed_v = weight_v * by_depth_v
        for k in range(6):
            cross[e, k, p] = mixed_u * J_u[k] + mixed_v * J_v[k]
        depth[e, p] = mixed_u * by_depth_u + mixed_v * by_depth_v
        depth_right[e, p] = mixed_u * residual_u + mixed_v * residual_v
    for row in range(6):
        pose_right[e, strip, row] = v[row]
        for column in range(6):
            pose[e, strip, row, column] = H[row, column]


def edge_terms_by_warp(
    camj_from_cami: Float64[Tensor, "E 4 4"],
    inverse_depth: Float64[Tensor, "E hw"],
    rays: Float64[Tensor, "3 hw"],
    intrinsics: Float64[Tensor, " 4"],
    target: Float[Tensor, "E hw 2"],
    weight: Float[Tensor, "E hw 2"],
) -> EdgeTerms:
    """`dense_ba_terms.edge_terms` by warp, on the device of the tensors."""
    edges, cells = inverse_depth.shape
    strips = STRIPS[inverse_depth.device.type]
    new = inverse_depth.new_empty
    pose, pose_right = new(edges, strips, 6, 6), new(edges, strips, 6)
    cross, depth, depth_right = new(edges, 6, cells), new(edges, cells), new(edges, cells)
    if edges:
        inputs = [
            camj_from_cami.contiguous(), inverse_depth.contiguous(), rays.contiguous(),
            intrinsics.contiguous(), target.contiguous(), weight.contiguous(), strips,
            wp.float64(MIN_DEPTH), wp.float64(WEIGHT_SCALE),
        ]  # fmt: skip
        outputs = [pose, pose_right, cross, depth, depth_right]
        launch_for_torch(sum_edge, (edges, strips), inputs, outputs)
    return EdgeTerms(pose.sum(1), pose_right.sum(1), cross, depth, depth_right)
