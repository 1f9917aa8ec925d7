"""Keypoints of a posed body without its vertices.

A keypoint is a fixed convex combination of vertices (and joints). Linear blend skinning is
linear in the vertices, so the combination can be taken once, before posing:

    sum_v r_v sum_j w_vj (R_j (v - J_j) + x_j)  =  sum_j (R_j q_j + m_j x_j)

with ``q_j = sum_v r_v w_vj (v - J_j)``, linear in betas, and ``m_j = sum_v r_v w_vj``. That is
exact, and some hundred times cheaper than skinning the mesh. Pose blend shapes, where a body
has them, add a term to ``q_j`` that is linear in ``R - I`` of the 23 local rotations.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from multithumbs.body.kinematics import (
    JointFrames,
    keypoint_levers,
    moving_pairs,
    points_by_rotation,
)
from multithumbs.geometry.rotations import skew


@dataclass(frozen=True, slots=True, kw_only=True)
class KeypointRig:
    """Keypoints as masses and offsets on the joints."""

    masses: Float[Tensor, "P J"]
    """``m``; rows sum to one."""
    offsets: Float[Tensor, "P J 3"]
    """``q`` at betas 0, metres times mass, in the T-pose's axes."""
    offsets_by_betas: Float[Tensor, "P J 3 B"]
    offsets_by_pose: Float[Tensor, "P J 3 D"] | None
    """By the entries of ``R - I`` of joints 1..23, row by row; None without pose blend shapes."""
    touches: tuple[tuple[int, ...], ...]
    """The joints that each keypoint hangs on: where ``masses`` or offsets are not zero."""

    def pose_offsets(
        self, rotmats: Float[Tensor, "*batch J 3 3"], betas: Float[Tensor, "*batch B"]
    ) -> Float[Tensor, "*batch P J 3"]:
        """``q`` of bodies of these shapes in these poses."""
        num_betas = betas.shape[-1]
        linear = self.offsets_by_betas.reshape(-1, num_betas)
        offsets = self.offsets.reshape(-1) + betas @ linear.T
        if self.offsets_by_pose is not None:
            eye = torch.eye(3, dtype=rotmats.dtype, device=rotmats.device)
            feature = (rotmats[..., 1:, :, :] - eye).flatten(-3)
            offsets = offsets + feature @ self.offsets_by_pose.reshape(-1, feature.shape[-1]).T
        return offsets.unflatten(-1, self.offsets.shape)

    def terms(
        self, frames: JointFrames, offsets: Float[Tensor, "*batch P J 3"]
    ) -> Float[Tensor, "*batch J P 3"]:
        """What each joint contributes to each keypoint; their sum over joints is the keypoint."""
        turned = offsets.transpose(-2, -3) @ frames.rotations.transpose(-1, -2)
        return turned + self.masses.T[..., None] * frames.positions[..., None, :]

    def points(
        self, frames: JointFrames, offsets: Float[Tensor, "*batch P J 3"]
    ) -> Float[Tensor, "*batch P 3"]:
        """The keypoints: the sum of `terms` over joints, as one product."""
        turned = offsets.flatten(-2) @ frames.rotations.transpose(-1, -2).flatten(-3, -2)
        return turned + self.masses @ frames.positions

    def by_betas(
        self, frames: JointFrames, joints_by_betas: Float[Tensor, "*batch J 3 B"]
    ) -> Float[Tensor, "*batch P 3 B"]:
        """Derivative of the keypoints by betas, given that of the posed joints."""
        own = _sum_turned(frames.rotations, self.offsets_by_betas)
        carried = self.masses @ joints_by_betas.flatten(-2)
        return own + carried.unflatten(-1, own.shape[-2:])

    def by_rotation(
        self,
        frames: JointFrames,
        terms: Float[Tensor, "*batch J P 3"],
        rotmats: Float[Tensor, "*batch J 3 3"],
        parents: tuple[int, ...],
    ) -> Float[Tensor, "*batch P 3 J 3"]:
        """Derivative by the right perturbation of the local rotations."""
        pairs = moving_pairs(self.touches, parents)
        levers = keypoint_levers(frames, terms, self.masses, pairs, parents)
        jacobian = points_by_rotation(frames, levers, pairs, len(self.masses))
        if self.offsets_by_pose is None:
            return jacobian
        by_entry = _sum_turned(frames.rotations, self.offsets_by_pose).unflatten(-1, (-1, 9))
        axes = skew(torch.eye(3, dtype=rotmats.dtype, device=rotmats.device))
        entry_by_delta = rotmats[..., 1:, None, :, :] @ axes  # (23, delta, 3, 3)
        blend = torch.einsum("...pcjm,...jdm->...pcjd", by_entry, entry_by_delta.flatten(-2))
        jacobian[..., 1:, :] += blend
        return jacobian


def _sum_turned(
    rotations: Float[Tensor, "*batch J 3 3"], offsets: Float[Tensor, "P J 3 C"]
) -> Float[Tensor, "*batch P 3 C"]:
    """``sum_j rotation_j @ offsets_j`` as one matrix product."""
    points, joints, _, columns = offsets.shape
    stacked = offsets.permute(1, 2, 0, 3).reshape(joints * 3, points * columns)
    summed = rotations.transpose(-2, -3).flatten(-2) @ stacked  # (*batch, 3, P C)
    return summed.unflatten(-1, (points, columns)).transpose(-2, -3)


def collapse_keypoints(
    *,
    keypoint_vertices: Float[Tensor, "P V"],
    keypoint_joints: Float[Tensor, "P J"],
    lbs_weights: Float[Tensor, "V J"],
    v_template: Float[Tensor, "V 3"],
    shapedirs: Float[Tensor, "V 3 B"],
    posedirs: Float[Tensor, "V 3 D"] | None,
    J_regressor: Float[Tensor, "J V"],
) -> KeypointRig:
    """Take the combination before posing."""
    used = keypoint_vertices.any(0).nonzero().squeeze(-1)
    shares = keypoint_vertices[:, used, None] * lbs_weights[used]  # (P, used, J)
    masses = shares.sum(1)

    def collapsed(values: Tensor, joint_values: Tensor) -> Tensor:
        summed = torch.einsum("pvj,vc->pjc", shares, values[used].flatten(1))
        summed = summed - masses[..., None] * joint_values.flatten(1)
        return summed.unflatten(-1, values.shape[1:])

    joints = J_regressor @ v_template
    joints_by = (J_regressor @ shapedirs.flatten(1)).unflatten(-1, shapedirs.shape[1:])
    pose = None
    if posedirs is not None:
        pose = collapsed(posedirs, torch.zeros_like(posedirs[: len(joints)]))
    return KeypointRig(
        masses=masses + keypoint_joints,
        offsets=collapsed(v_template, joints),
        offsets_by_betas=collapsed(shapedirs, joints_by),
        offsets_by_pose=pose,
        touches=tuple(tuple(row.nonzero()[:, 0].tolist()) for row in masses + keypoint_joints),
    )
