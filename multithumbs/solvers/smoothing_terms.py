"""What one person-frame says about itself: keypoints, the monocular pose, joint limits."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from multithumbs.geometry.projection import MIN_DEPTH_M
from multithumbs.geometry.robust import geman_mcclure
from multithumbs.geometry.rotations import axis_angle_from_matrix
from multithumbs.solvers.smoothing_chain import (
    NUM_MOTION,
    NUM_SHAPE,
    TURNED,
    Chain,
    Pose,
    by_turns,
)

NUM_COLUMNS = NUM_MOTION + NUM_SHAPE + 1
"""Of equations: by motion, by shape, residual."""


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


class Sight(NamedTuple):
    """Keypoints as the camera sees them, rows last."""

    residual: Float[Tensor, "23 2 N"]
    """In standard deviations."""
    weight: Float[Tensor, "23 N"]
    """Confidence, 0 behind the camera."""
    directions: Float[Tensor, "23 2 3 N"]
    """Derivative of the residual by the keypoint."""


class RowModel(NamedTuple):
    """Gauss-Newton model of each row by its motion (D) and by its person's shape."""

    hessian: Float[Tensor, "N D D"]
    gradient: Float[Tensor, "N D"]
    border: Float[Tensor, "N D 10"]
    shape_hessian: Float[Tensor, "N 10 10"]
    shape_gradient: Float[Tensor, "N 10"]


def sight(keypoints: Float[Tensor, "23 3 N"], frames: Frames) -> Sight:
    """Project the keypoints of all rows."""
    pixels_from_world = (frames.K @ frames.cam_from_world[:, :3]).permute(1, 2, 0).contiguous()
    std, seen = frames.uv_std.T[:, None], frames.uv.permute(1, 2, 0)
    cam = (keypoints[:, None] * pixels_from_world[:, :3]).sum(2) + pixels_from_world[:, 3]
    depth = cam[:, 2:].clamp_min(MIN_DEPTH_M)
    uv = cam[:, :2] / depth
    turned = pixels_from_world[:2, :3] - uv[:, :, None] * pixels_from_world[2, :3]
    return Sight(
        residual=(uv - seen) / std,
        weight=frames.uv_weight.T * (cam[:, 2] > MIN_DEPTH_M),
        directions=turned / (depth * std)[:, :, None],
    )


def row_costs(
    sight: Sight,
    turned: Float[Tensor, "N D_minus_3"],
    transl: Float[Tensor, "N 3"],
    frames: Frames,
    weights: Weights,
) -> Float[Tensor, " N"]:
    """Cost of each row on its own; ``turned`` is `pose_residual`."""
    loss, _ = geman_mcclure((sight.residual**2).sum(1), weights.robust_scale)
    off = transl - frames.transl
    place = (off * (frames.transl_precision @ off[..., None])[..., 0]).sum(-1)
    return (sight.weight * loss).sum(0) + frames.pose_weight * (turned**2).sum(-1) + place


def pose_residual(
    rotmats: Float[Tensor, "N 24 3 3"], frames: Frames, weights: Weights
) -> Float[Tensor, "N D_minus_3"]:
    """Turn from the monocular rotation, in standard deviations; its derivative is taken as 1."""
    turn = frames.rotmats[:, TURNED].transpose(-1, -2) @ rotmats[:, TURNED]
    flat = axis_angle_from_matrix(turn).flatten(1)
    return flat / _pose_std(flat, weights)


def keypoint_equations(
    out: Float[Tensor, "46 E N"],
    chain: Chain,
    pose: Pose,
    levers: Float[Tensor, "L 3 N"],
    sight: Sight,
    weights: Weights,
) -> None:
    """Fill in weighted rows ``[by motion | by shape | residual]`` of the reprojection."""
    _, robust = geman_mcclure((sight.residual**2).sum(1), weights.robust_scale)
    root = (sight.weight * robust).sqrt()[:, None]
    directions = sight.directions * root[:, :, None]
    turns = by_turns(pose.axes[chain.pair_joint], levers, directions[chain.pair_point])
    fill_turns(out, turns, chain.pair_point, chain.pair_column)
    rows = out.view(*directions.shape[:2], *out.shape[1:])
    rows[:, :, :3] = directions
    shape = rows[:, :, NUM_MOTION : NUM_MOTION + NUM_SHAPE]
    for axis in range(3):
        shape.addcmul_(directions[:, :, None, axis], pose.by_betas[:, None, :, axis])
    rows[:, :, -1] = sight.residual * root


def fill_turns(
    out: Float[Tensor, "M E N"],
    turns: Float[Tensor, "L R 3 N"],
    point: Int64[Tensor, " L"],
    column: Int64[Tensor, " L"],
) -> None:
    """Write derivatives of (point, joint) pairs; ``R`` rows belong to one point."""
    rows, three = (torch.arange(n, device=out.device) for n in turns.shape[1:3])
    row = point[:, None] * len(rows) + rows
    entry = row[..., None] * out.shape[1] + column[:, None, None] + three
    out.view(-1, out.shape[-1]).index_copy_(0, entry.flatten(), turns.flatten(0, 2))


def normal_equations(
    equations: Float[Tensor, "N M E"],
    turned: Float[Tensor, "N D_minus_3"],
    transl: Float[Tensor, "N 3"],
    frames: Frames,
    weights: Weights,
) -> RowModel:
    """One product gives all blocks; the priors on pose and place are added to it."""
    product = equations.transpose(-1, -2) @ equations
    motion, shape = slice(NUM_MOTION), slice(NUM_MOTION, NUM_MOTION + NUM_SHAPE)
    hessian, gradient = product[:, motion, motion], product[:, motion, -1]
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


def _pose_std(like: Tensor, weights: Weights) -> Float[Tensor, " D_minus_3"]:
    std = like.new_full((NUM_MOTION - 3,), weights.pose_std_rad)
    std[:3] = weights.root_std_rad
    return std
