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
        world = torch.cat(
            [world, world[..., parent_rows, :, :] @ rotmats[..., list(level), :, :]], -3
        )
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


@cache
def moving_pairs(
    touches: tuple[tuple[int, ...], ...], parents: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """All (point, joint) where turning the joint moves the point, given the joints that each
    point hangs on. Most of the dense Jacobian is zero: only these entries are computed."""
    points, joints = [], []
    for point, hung in enumerate(touches):
        reached: set[int] = set()
        for joint in hung:
            while joint >= 0 and joint not in reached:
                reached.add(joint)
                joint = parents[joint]
        points += [point] * len(reached)
        joints += sorted(reached)
    return tuple(points), tuple(joints)


def points_by_rotation(
    frames: JointFrames,
    levers: Float[Tensor, "*batch N 3"],
    pairs: tuple[tuple[int, ...], tuple[int, ...]],
    num_points: int,
) -> Float[Tensor, "*batch P 3 J 3"]:
    """Derivative of points by the right perturbation of every local rotation.

    ``levers[n]`` is ``S_i - M_i x_i`` of the n-th of the `moving_pairs` (point, joint ``i``).
    """
    points, joints = (list(index) for index in pairs)
    columns = frames.rotations[..., joints, :, :]
    r0, r1, r2 = columns.unbind(-2)  # each row of the rotation: (N, axis)
    l0, l1, l2 = levers[..., None].unbind(-2)
    cross = torch.stack([r1 * l2 - r2 * l1, r2 * l0 - r0 * l2, r0 * l1 - r1 * l0], -2)
    num_joints = frames.rotations.shape[-3]
    jacobian = levers.new_zeros(*levers.shape[:-2], num_points, 3, num_joints, 3)
    jacobian.transpose(-2, -3)[..., points, joints, :, :] = cross
    return jacobian


def keypoint_levers(
    frames: JointFrames,
    terms: Float[Tensor, "*batch J P 3"],
    masses: Float[Tensor, "P J"],
    pairs: tuple[tuple[int, ...], tuple[int, ...]],
    parents: tuple[int, ...],
) -> Float[Tensor, "*batch N 3"]:
    """Levers of points to which joint ``j`` contributes ``terms[j, p]`` with share ``masses``."""
    points, joints = (list(index) for index in pairs)
    reach = ancestry(parents, terms)
    sums = (reach.T @ terms.flatten(-2)).unflatten(
        -1, terms.shape[-2:]
    )  # of a joint and those behind
    moved = (masses @ reach)[points, joints]
    return sums[..., joints, points, :] - moved[:, None] * frames.positions[..., joints, :]


def joint_levers(
    frames: JointFrames, pairs: tuple[tuple[int, ...], tuple[int, ...]]
) -> Float[Tensor, "*batch N 3"]:
    """Levers of the joints themselves."""
    points, joints = (list(index) for index in pairs)
    return frames.positions[..., points, :] - frames.positions[..., joints, :]
