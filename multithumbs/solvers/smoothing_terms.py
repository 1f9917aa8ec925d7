"""What one person-frame says about itself: keypoints, the monocular pose, joint limits."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from multithumbs.body import PosedLinear
from multithumbs.geometry.projection import MIN_DEPTH_M, project, projection_jacobian
from multithumbs.geometry.robust import geman_mcclure
from multithumbs.geometry.rotations import axis_angle_from_matrix
from multithumbs.solvers.priors import FREE_JOINTS

ACTIVE = list(FREE_JOINTS)
"""Joints besides the root that move; toes, wrists and hands stay as the fit left them."""
NUM_MOTION = 6 + 3 * len(ACTIVE)
"""Unknowns of a row: translation, root turn, turns of the active joints (right perturbations)."""
_COLUMNS = [3 * joint + axis for joint in (0, *ACTIVE) for axis in range(3)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """``N`` person-frames; rows that bridge a gap have zero weights."""

    cam_from_world: Float[Tensor, "N 4 4"]
    K: Float[Tensor, "N 3 3"]
    uv: Float[Tensor, "N 23 2"]
    uv_weight: Float[Tensor, "N 23"]
    """Confidence; 0 where nothing was seen."""
    uv_std: Float[Tensor, "N 23"]
    """Pixels."""
    rotmats: Float[Tensor, "N 24 3 3"]
    """The monocular pose, root in the world."""
    transl: Float[Tensor, "N 3"]
    transl_precision: Float[Tensor, "N 3 3"]
    """Inverse covariance of the monocular place, 1/m^2: weak along the ray."""
    pose_weight: Float[Tensor, " N"]
    """1 for a row with a body, 0 for one without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Standard deviations of all terms, and where they turn robust."""

    robust_scale: float
    """Geman-McClure's scale of a keypoint, in its standard deviations."""
    root_std_rad: float
    """Of the monocular orientation."""
    pose_std_rad: float
    """Of a monocular joint rotation."""
    transl_std_m_s2: float
    root_std_rad_s2: float
    pose_std_rad_s2: float
    transl_huber: float
    """Acceleration, in its standard deviations, beyond which it counts linearly."""


class RowModel(NamedTuple):
    """Gauss-Newton model of each row by its motion (D) and by its person's shape."""

    hessian: Float[Tensor, "N D D"]
    gradient: Float[Tensor, "N D"]
    border: Float[Tensor, "N D 10"]
    shape_hessian: Float[Tensor, "N 10 10"]
    shape_gradient: Float[Tensor, "N 10"]


def motion_columns(by_rotation: Float[Tensor, "N M 24 3"]) -> Float[Tensor, "N M R"]:
    """The columns of the joints that move, from derivatives by all 24 rotations."""
    return by_rotation.flatten(-2)[..., _COLUMNS]


def row_costs(
    keypoints: Float[Tensor, "N 23 3"],
    frames: Frames,
    weights: Weights,
    rotmats: Float[Tensor, "N 24 3 3"],
    transl: Float[Tensor, "N 3"],
) -> Float[Tensor, " N"]:
    """Cost of each row on its own, given its posed keypoints."""
    residual, in_front = _reprojection(keypoints, frames)
    squared = (residual**2).sum(-1)
    loss, _ = geman_mcclure(squared, weights.robust_scale)
    cost = (frames.uv_weight * in_front * loss).sum(-1)
    turned = _pose_residual(rotmats, frames, weights)
    off = transl - frames.transl
    place = torch.einsum("ni,nij,nj->n", off, frames.transl_precision, off)
    return cost + frames.pose_weight * (turned**2).sum(-1) + place


def keypoint_equations(
    linear: PosedLinear, frames: Frames, weights: Weights
) -> Float[Tensor, "N 46 E"]:
    """Weighted rows ``[by motion | by shape | residual]`` of the reprojection."""
    residual, in_front = _reprojection(linear.keypoints, frames)
    _, robust = geman_mcclure((residual**2).sum(-1), weights.robust_scale)
    root = (frames.uv_weight * in_front * robust).sqrt()[..., None]
    cam = _in_camera(linear.keypoints, frames)
    by_world = projection_jacobian(cam, frames.K) @ frames.cam_from_world[:, None, :3, :3]
    by_world = by_world * (root / frames.uv_std[..., None])[..., None]
    by_rotation = (by_world @ linear.keypoints_by_rotation.flatten(-2))[..., _COLUMNS]
    by_shape = by_world @ linear.keypoints_by_betas
    off = (residual * root)[..., None]
    return torch.cat([by_world, by_rotation, by_shape, off], -1).flatten(1, 2)


def normal_equations(
    equations: Float[Tensor, "N M E"],
    frames: Frames,
    weights: Weights,
    rotmats: Float[Tensor, "N 24 3 3"],
    transl: Float[Tensor, "N 3"],
) -> RowModel:
    """One product gives all blocks; the priors on pose and place are added to it."""
    product = equations.transpose(-1, -2) @ equations
    motion, shape = slice(NUM_MOTION), slice(NUM_MOTION, NUM_MOTION + 10)
    hessian, gradient = product[:, motion, motion], product[:, motion, -1]
    turned = _pose_residual(rotmats, frames, weights)
    std = _pose_std(turned, weights)
    hessian.diagonal(dim1=-2, dim2=-1)[:, 3:] += frames.pose_weight[:, None] / std**2
    gradient[:, 3:] += frames.pose_weight[:, None] * turned / std
    hessian[:, :3, :3] += frames.transl_precision
    off = (transl - frames.transl)[..., None]
    gradient[:, :3] += (frames.transl_precision @ off).squeeze(-1)
    return RowModel(
        hessian=hessian,
        gradient=gradient,
        border=product[:, motion, shape],
        shape_hessian=product[:, shape, shape],
        shape_gradient=product[:, shape, -1],
    )


def _in_camera(points: Float[Tensor, "N K 3"], frames: Frames) -> Float[Tensor, "N K 3"]:
    rotation, shift = frames.cam_from_world[:, :3, :3], frames.cam_from_world[:, None, :3, 3]
    return points @ rotation.transpose(-1, -2) + shift


def _reprojection(
    keypoints: Float[Tensor, "N 23 3"], frames: Frames
) -> tuple[Float[Tensor, "N 23 2"], Float[Tensor, "N 23"]]:
    """Residuals in standard deviations, and 1 where the point is in front of the camera."""
    cam = _in_camera(keypoints, frames)
    off = project(cam, frames.K) - frames.uv
    return off / frames.uv_std[..., None], (cam[..., 2] > MIN_DEPTH_M).to(off)


def _pose_std(like: Tensor, weights: Weights) -> Float[Tensor, " D_minus_3"]:
    std = like.new_full((3 + 3 * len(ACTIVE),), weights.pose_std_rad)
    std[:3] = weights.root_std_rad
    return std


def _pose_residual(
    rotmats: Float[Tensor, "N 24 3 3"], frames: Frames, weights: Weights
) -> Float[Tensor, "N D_minus_3"]:
    """Turn from the monocular rotation, in standard deviations; its derivative is taken as 1."""
    chosen = [0, *ACTIVE]
    turn = frames.rotmats[:, chosen].transpose(-1, -2) @ rotmats[:, chosen]
    flat = axis_angle_from_matrix(turn).flatten(1)
    return flat / _pose_std(flat, weights)
