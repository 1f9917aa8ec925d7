"""The body in the motion problem: keypoints and what moves them, rows last.

All tensors end in the axis of ``N`` rows, so that every operation runs along memory: constant
matrices act from the left, and only the (keypoint, joint) pairs that can be non-zero are computed.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from multithumbs.body import BodyModel
from multithumbs.body.kinematics import ancestry, bone_offsets, chain_levels
from multithumbs.geometry.grouping import sum_by_group
from multithumbs.solvers.priors import FREE_JOINTS

ACTIVE = list(FREE_JOINTS)
"""Joints besides the root that move; toes, wrists and hands stay as the fit left them."""
TURNED = [0, *ACTIVE]
NUM_MOTION = 3 + 3 * len(TURNED)
"""Unknowns of a row: translation, root turn, turns of the active joints (right perturbations)."""
NUM_SHAPE = 10


@dataclass(frozen=True, kw_only=True, eq=False)
class Chain:
    """What a body's keypoints hang on: ``T`` (keypoint, joint) contacts, ``L`` (keypoint, joint)
    pairs where turning the joint moves the keypoint."""

    parents: tuple[int, ...]
    linear: Float[Tensor, "P_11 J_3"]
    """Keypoints, and their derivatives by betas, are linear in the axes of all joints."""
    root: Float[Tensor, "11 3"]
    """The pelvis at rest, and its derivatives by betas: the part that does not turn."""
    bones: Float[Tensor, "J_3 11"]
    """Bone offsets: their derivatives by betas, then their values at betas 0."""
    offsets: Float[Tensor, "T_3 11"]
    """The same of what each contact adds, in its joint's axes."""
    blends: Float[Tensor, "T_3 D"] | None
    masses: Float[Tensor, " T"]
    contact_point: Int64[Tensor, " T"]
    contact_joint: Int64[Tensor, " T"]
    reach: Float[Tensor, "J J"]
    behind: Float[Tensor, "L T"]
    """1 where the contact is the pair's keypoint's, on the pair's joint or behind it."""
    pair_mass: Float[Tensor, " L"]
    pair_point: Int64[Tensor, " L"]
    pair_joint: Int64[Tensor, " L"]
    pair_column: Int64[Tensor, " L"]
    """Of the joint's first unknown."""


class Pose(NamedTuple):
    """Posed bodies."""

    axes: Float[Tensor, "J 3 3 N"]
    """``axes[j, b]`` is axis ``b`` of joint ``j``."""
    keypoints: Float[Tensor, "P 3 N"]
    by_betas: Float[Tensor, "P 10 3 N"]
    bent: Float[Tensor, "T 3 N"] | None
    """What pose blend shapes add to the contacts' offsets."""


@lru_cache(maxsize=4)
def chain_of(body: BodyModel) -> Chain:
    """The constants of a body."""
    rig, parents, device = body.rig, body.parents, body.device
    reach = ancestry(parents, body.J_template)
    num_points, num_joints = rig.masses.shape
    shape_last = torch.cat([body.J_shapedirs, body.J_template[..., None]], -1)  # (J, 3, 11)
    bones = bone_offsets(shape_last.movedim(-1, 0), parents).movedim(0, -1)
    own = torch.cat([rig.offsets_by_betas, rig.offsets[..., None]], -1)  # (P, J, 3, 11)
    carried = rig.masses @ reach  # the share of a keypoint that hangs behind each bone
    linear = own.clone()
    for joint, parent in enumerate(parents):
        if parent >= 0:
            linear[:, parent] += carried[:, joint, None, None] * bones[joint]
    contacts = [(p, j) for p, hung in enumerate(rig.touches) for j in hung]
    points, joints = (torch.tensor(index, device=device) for index in zip(*contacts, strict=True))
    moved = (carried[:, TURNED] != 0).nonzero()
    pair_point, pair_joint = moved[:, 0], torch.tensor(TURNED, device=device)[moved[:, 1]]
    same = pair_point[:, None] == points
    blends = None
    if rig.offsets_by_pose is not None:
        blends = rig.offsets_by_pose[points, joints].flatten(0, 1)
    return Chain(
        parents=parents,
        linear=linear.permute(0, 3, 1, 2).reshape(num_points * 11, num_joints * 3),
        root=bones[0].T.contiguous(),
        bones=bones.flatten(0, 1),
        offsets=own[points, joints].flatten(0, 1),
        blends=blends,
        masses=rig.masses[points, joints],
        contact_point=points,
        contact_joint=joints,
        reach=reach,
        behind=same * reach[joints][:, pair_joint].T,
        pair_mass=carried[pair_point, pair_joint],
        pair_point=pair_point,
        pair_joint=pair_joint,
        pair_column=3 + 3 * moved[:, 1],
    )


def pose_rows(
    chain: Chain,
    rotmats: Float[Tensor, "N J 3 3"],
    betas: Float[Tensor, "N 10"],
    transl: Float[Tensor, "N 3"],
) -> Pose:
    """Keypoints of all rows, and their derivatives by the shape."""
    local = rotmats.permute(1, 3, 2, 0).contiguous()
    axes = torch.empty_like(local)
    axes[0] = local[0]
    for level in chain_levels(chain.parents)[1:]:
        joints, before = list(level), [chain.parents[joint] for joint in level]
        axes[joints] = _turned(local[joints], axes[before])
    count = len(rotmats)
    rows = (chain.linear @ axes.view(-1, 3 * count)).view(-1, 11, 3, count) + chain.root[..., None]
    by_betas = rows[:, :NUM_SHAPE]
    keypoints = rows[:, NUM_SHAPE] + (by_betas * betas.T[:, None]).sum(1) + transl.T
    bent = None
    if chain.blends is not None:
        eye = torch.eye(3, dtype=local.dtype, device=local.device)
        feature = (rotmats[:, 1:] - eye).flatten(1).T
        bent = (chain.blends @ feature).unflatten(0, (-1, 3))
        turned = (axes[chain.contact_joint] * bent[:, :, None]).sum(1)
        keypoints = keypoints + sum_by_group(turned, chain.contact_point, len(keypoints))
    return Pose(axes, keypoints, by_betas, bent)


def levers(chain: Chain, pose: Pose, betas: Float[Tensor, "N 10"]) -> Float[Tensor, "L 3 N"]:
    """From each pair's joint to what of the keypoint turns with it, times its share."""
    count = len(betas)
    shape = torch.cat([betas, torch.ones_like(betas[:, :1])], 1).T
    bones = (chain.bones @ shape).unflatten(0, (-1, 3))
    steps = torch.empty_like(bones)
    steps[0] = bones[0]
    steps[1:] = (pose.axes[list(chain.parents[1:])] * bones[1:, :, None]).sum(1)
    places = (chain.reach @ steps.view(-1, 3 * count)).view(-1, 3, count)
    offsets = (chain.offsets @ shape).unflatten(0, (-1, 3))
    if pose.bent is not None:
        offsets = offsets + pose.bent
    hung = (pose.axes[chain.contact_joint] * offsets[:, :, None]).sum(1)
    hung = hung + chain.masses[:, None, None] * places[chain.contact_joint]
    sums = (chain.behind @ hung.view(-1, 3 * count)).view(-1, 3, count)
    return sums - chain.pair_mass[:, None, None] * places[chain.pair_joint]


def by_turns(
    axes: Float[Tensor, "L 3 3 N"],
    levers: Float[Tensor, "L 3 N"],
    directions: Float[Tensor, "#L R 3 #N"],
) -> Float[Tensor, "L R 3 N"]:
    """How far pairs' keypoints move along directions by each turn about the joint's axes.

    ``direction . (axis x lever) = axis . (lever x direction)``.
    """
    l0, l1, l2 = levers[:, None].unbind(2)
    d0, d1, d2 = directions.unbind(2)
    about = torch.stack([l1 * d2 - l2 * d1, l2 * d0 - l0 * d2, l0 * d1 - l1 * d0], 2)
    return _turned(about, axes.transpose(1, 2))


def _turned(
    first: Float[Tensor, "K R 3 N"], axes: Float[Tensor, "K 3 3 N"]
) -> Float[Tensor, "K R 3 N"]:
    """``first[k, r]`` in coordinates ``b`` to axes: ``first[k, r] @ axes[k]``."""
    out = first[:, :, 0, None] * axes[:, None, 0]
    for b in (1, 2):
        out.addcmul_(first[:, :, b, None], axes[:, None, b])
    return out
