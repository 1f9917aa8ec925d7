"""The 24-joint chain: forward kinematics and its analytic derivatives.

Everything is batched over people; the only loops are over the nine levels of the chain.

Derivatives are taken by *right* perturbations of the local rotations,
``R_i(delta) = R_i @ exp(skew(delta_i))`` with ``delta`` (24, 3) radians: the tangent that a
solver adds with ``R_i @ matrix_from_axis_angle(delta_i)``. Turning joint ``i`` in that way
turns everything behind it about ``x_i`` by ``R_i_world @ delta_i``; hence, for a point that is
``sum_j (rotation_j @ q_j + m_j x_j)`` over joints ``j`` with masses ``m``,

    d point / d delta_i = -skew(S_i - M_i x_i) @ R_i_world,

where ``S_i`` and ``M_i`` sum those terms and masses over ``i`` and the joints behind it.
"""

from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from multithumbs.geometry.rotations import skew


@dataclass(frozen=True, slots=True)
class JointFrames:
    """``body_from_joint`` of every joint, as rotation and origin (metres)."""

    rotations: Float[Tensor, "*batch J 3 3"]
    positions: Float[Tensor, "*batch J 3"]


@cache
def chain_levels(parents: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Joints by their distance from the root; parents come before children."""
    depth: list[int] = []
    for parent in parents:
        depth.append(0 if parent < 0 else depth[parent] + 1)
    return tuple(
        tuple(joint for joint, d in enumerate(depth) if d == level)
        for level in range(max(depth) + 1)
    )


@cache
def _ancestry(parents: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """(J, J): 1 where the column's joint is the row's joint or stands before it."""
    rows = torch.eye(len(parents), dtype=dtype)
    for joint, parent in enumerate(parents):
        if parent >= 0:
            rows[joint] += rows[parent]
    return rows.to(device)


def ancestry(parents: tuple[int, ...], like: Tensor) -> Float[Tensor, "J J"]:
    """``A[j, i]`` is 1 where turning joint ``i`` moves what hangs on joint ``j``, else 0."""
    return _ancestry(parents, like.dtype, like.device)


def bone_offsets(
    rest_joints: Float[Tensor, "*batch J 3"], parents: tuple[int, ...]
) -> Float[Tensor, "*batch J 3"]:
    """Each joint relative to its parent at rest; the root's row is its own place."""
    parent = torch.tensor([max(p, 0) for p in parents], device=rest_joints.device)
    offsets = rest_joints - rest_joints[..., parent, :]
    offsets[..., 0, :] = rest_joints[..., 0, :]
    return offsets


def forward_kinematics(
    rotmats: Float[Tensor, "*batch J 3 3"],
    rest_joints: Float[Tensor, "*#batch J 3"],
    parents: tuple[int, ...],
) -> JointFrames:
    """Frames of all joints from local rotations and the joints of the T-pose (no ``transl``)."""
    levels = chain_levels(parents)
    rotations = [rotmats[..., :1, :, :]]
    row = {0: 0}  # the place of a joint in the running concatenation
    world = rotations[0]
    for level in levels[1:]:
        parent_rows = [row[parents[joint]] for joint in level]
        world = torch.cat([world, world[..., parent_rows, :, :] @ rotmats[..., list(level), :, :]], -3)
        for joint in level:
            row[joint] = len(row)
    world = world[..., [row[joint] for joint in range(len(parents))], :, :]
    steps = _steps(world, bone_offsets(rest_joints, parents)[..., None], parents).squeeze(-1)
    return JointFrames(world, ancestry(parents, rotmats) @ steps)


def _steps(
    rotations: Float[Tensor, "*batch J 3 3"],
    offsets: Float[Tensor, "*#batch J 3 C"],
    parents: tuple[int, ...],
) -> Float[Tensor, "*batch J 3 C"]:
    """Bone offsets turned by the rotation of the parent (the root's is not turned)."""
    turned = rotations[..., list(parents[1:]), :, :] @ offsets[..., 1:, :, :]
    root = offsets[..., :1, :, :].expand(*turned.shape[:-3], 1, *turned.shape[-2:])
    return torch.cat([root, turned], -3)


def joints_by_betas(
    rotations: Float[Tensor, "*batch J 3 3"],
    rest_by_betas: Float[Tensor, "J 3 B"],
    parents: tuple[int, ...],
) -> Float[Tensor, "*batch J 3 B"]:
    """Derivative of the posed joints by betas; ``rest_by_betas`` is that of the rest joints."""
    offsets = bone_offsets(rest_by_betas.movedim(-1, 0), parents).movedim(0, -1)
    steps = _steps(rotations, offsets, parents)
    return (ancestry(parents, rotations) @ steps.flatten(-2)).unflatten(-1, steps.shape[-2:])


def points_by_rotation(
    frames: JointFrames,
    terms: Float[Tensor, "*batch P J 3"],
    masses: Float[Tensor, "P J"],
    parents: tuple[int, ...],
) -> Float[Tensor, "*batch P 3 J 3"]:
    """Derivative of points by the right perturbation of every local rotation.

    ``terms[p, j]`` is what joint ``j`` contributes to point ``p`` (``rotation_j @ q + m x_j``),
    ``masses[p, j]`` its share ``m``; the joints themselves are points with one term of mass 1.
    """
    reach = ancestry(parents, terms)
    sums = terms.transpose(-1, -2) @ reach  # (P, 3, J): over the joint and those behind it
    levers = sums.transpose(-1, -2) - (masses @ reach)[..., None] * frames.positions[..., None, :, :]
    turned = -skew(levers) @ frames.rotations[..., None, :, :, :]
    return turned.movedim(-3, -2)


def joints_by_rotation(
    frames: JointFrames, parents: tuple[int, ...]
) -> Float[Tensor, "*batch J 3 J 3"]:
    """Derivative of the posed joints by the right perturbation of every local rotation."""
    reach = ancestry(parents, frames.positions)
    positions = frames.positions
    levers = (positions[..., :, None, :] - positions[..., None, :, :]) * reach[..., None]
    turned = -skew(levers) @ frames.rotations[..., None, :, :, :]
    return turned.movedim(-3, -2)
