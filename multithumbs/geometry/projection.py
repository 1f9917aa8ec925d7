"""Pinhole projection with pixel centres at (0.5, 0.5)."""

import torch
from jaxtyping import Float
from torch import Tensor

MIN_DEPTH_M = 1e-3


def intrinsics(focal: Float[Tensor, "*batch"], hw: tuple[int, int]) -> Float[Tensor, "*batch 3 3"]:
    """``K`` with square pixels and the principal point at the image centre (pixels)."""
    height, width = hw
    K = torch.zeros(*focal.shape, 3, 3, dtype=focal.dtype, device=focal.device)
    K[..., 0, 0] = focal
    K[..., 1, 1] = focal
    K[..., 0, 2] = width / 2
    K[..., 1, 2] = height / 2
    K[..., 2, 2] = 1
    return K


def project(
    points_cam: Float[Tensor, "*#batch N 3"], K: Float[Tensor, "*#batch 3 3"]
) -> Float[Tensor, "*batch N 2"]:
    """Pixels of camera points; depths below `MIN_DEPTH_M` are clamped, so the caller masks them."""
    homogeneous = points_cam @ K.transpose(-1, -2)
    return homogeneous[..., :2] / homogeneous[..., 2:].clamp_min(MIN_DEPTH_M)


def unproject(
    uv: Float[Tensor, "*#batch N 2"],
    depth: Float[Tensor, "*#batch N"],
    K: Float[Tensor, "*#batch 3 3"],
) -> Float[Tensor, "*batch N 3"]:
    """Camera points at depth ``z`` (metres along the optical axis) behind pixels."""
    ones = torch.ones_like(uv[..., :1])
    rays = torch.cat([uv, ones], dim=-1) @ torch.linalg.inv(K).transpose(-1, -2)
    return rays * depth[..., None]


def projection_jacobian(
    points_cam: Float[Tensor, "*#batch N 3"], K: Float[Tensor, "*#batch 3 3"]
) -> Float[Tensor, "*batch N 2 3"]:
    """Derivative of `project` by the camera point (for K without skew)."""
    x, y, z = points_cam.unbind(-1)
    inside = z > MIN_DEPTH_M
    z = z.clamp_min(MIN_DEPTH_M)
    fx = K[..., 0, 0][..., None] / z
    fy = K[..., 1, 1][..., None] / z
    zero = torch.zeros_like(fx * x)
    du = torch.stack([fx + zero, zero, torch.where(inside, -fx * x / z, zero)], dim=-1)
    dv = torch.stack([zero, fy + zero, torch.where(inside, -fy * y / z, zero)], dim=-1)
    return torch.stack([du, dv], dim=-2)
