"""A first guess of a body in closed form: torso by Kabsch, limbs by their directions, depth."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from multithumbs.body import BodyModel
from multithumbs.config.bodies import FitConfig
from multithumbs.geometry.rigid import fit_similarity
from multithumbs.geometry.rotations import (
    axis_angle_from_matrix,
    matrix_from_axis_angle,
    rotation_between,
)
from multithumbs.solvers.body_fit_terms import LIMBS, Evidence, FitState
from multithumbs.solvers.priors import pose_prior

TORSO = [5, 6, 11, 12]
# Upper joint, lower joint, end joint, limbs of both bones, hinge axis at rest, largest twist.
CHAINS = (
    (16, 18, 20, 0, 1, (0.0, -1.0, 0.0), 1.4),
    (17, 19, 21, 2, 3, (0.0, 1.0, 0.0), 1.4),
    (1, 4, 7, 4, 5, (1.0, 0.0, 0.0), 0.7),
    (2, 5, 8, 6, 7, (1.0, 0.0, 0.0), 0.7),
)
MIN_BEND_RAD = 0.2
"""A limb bent less than this says nothing about its twist."""
MIN_START_DEPTH_M = 0.3


def start(
    model: BodyModel,
    evidence: Evidence,
    xyz: Float[Tensor, "B 23 3"],
    xyz_weight: Float[Tensor, "B 23"],
    config: FitConfig,
) -> FitState:
    """Bodies of mean shape that agree with the landmarks.

    Rows whose torso landmarks are unknown stand upright, facing as their shoulders' order says.
    """
    count = len(xyz)
    betas = xyz.new_tensor(config.betas_mean).expand(count, 10)
    rest = model.rest_joints(betas[:1])[0]
    root = _torso(model, betas, evidence, xyz, xyz_weight)
    body = pose_prior(xyz).mean.expand(count, 23, 3).clone()
    for upper, lower, end, first, second, axis, twist in CHAINS:
        local = [
            (root.transpose(-1, -2) @ evidence.direction[:, limb, :, None]).squeeze(-1)
            for limb in (first, second)
        ]
        known = [evidence.direction_weight[:, limb] > 0 for limb in (first, second)]
        above, bend = _hinged(
            rest[lower] - rest[upper],
            rest[end] - rest[lower],
            xyz.new_tensor(axis),
            local[0],
            local[1],
            twist,
        )
        body[:, upper - 1] = torch.where(known[0][:, None], above, body[:, upper - 1])
        both = (known[0] & known[1])[:, None]
        body[:, lower - 1] = torch.where(both, bend, body[:, lower - 1])
    state = FitState(root, body, betas.clone(), torch.zeros_like(root[:, 0]))
    return state._replace(transl=translation(model, state, evidence))


def facing(state: FitState, angle_rad: float) -> FitState:
    """The same bodies turned about their own up axis."""
    up = state.root.new_tensor([0.0, angle_rad, 0.0])
    return state._replace(root=state.root @ matrix_from_axis_angle(up))


def translation(model: BodyModel, state: FitState, evidence: Evidence) -> Float[Tensor, "B 3"]:
    """The ``transl`` that best puts the posed keypoints on their rays (linear least squares).

    Minimises ``sum_k c_k |(X_k + t)_xy - (X_k + t)_z ray_k|^2``: algebraic, so the few
    keypoints that are far off are pulled in by the robust fit that follows.
    """
    still = torch.zeros_like(state.transl)
    points = model.posed_by_matrices(state.rotmats(), state.betas, still).keypoints
    K = evidence.K
    focal = torch.stack([K[:, 0, 0], K[:, 1, 1]], -1)[:, None]
    ray = (evidence.uv - K[:, None, :2, 2]) / focal
    weight = evidence.weight
    # Normal equations of [1 0 -a; 0 1 -b] (X + t) = 0.
    a, b = ray.unbind(-1)
    one, zero = torch.ones_like(a), torch.zeros_like(a)
    rows = torch.stack([torch.stack([one, zero, -a], -1), torch.stack([zero, one, -b], -1)], -2)
    gram = rows.transpose(-1, -2) @ rows * weight[..., None, None]
    right = -(gram @ points[..., None]).squeeze(-1).sum(1)
    ridge = 1e-9 * torch.eye(3, dtype=a.dtype, device=a.device)
    transl = torch.linalg.solve(gram.sum(1) + ridge, right)
    depth = (points[..., 2] + transl[:, None, 2]).amin(-1)
    push = (MIN_START_DEPTH_M - depth).clamp_min(0)
    return transl + torch.stack([torch.zeros_like(push), torch.zeros_like(push), push], -1)


def _torso(
    model: BodyModel,
    betas: Float[Tensor, "B 10"],
    evidence: Evidence,
    xyz: Float[Tensor, "B 23 3"],
    xyz_weight: Float[Tensor, "B 23"],
) -> Float[Tensor, "B 3 3"]:
    """Root rotation from shoulders and hips; upright and facing the camera without them."""
    zero = torch.zeros(1, 24, 3, dtype=xyz.dtype, device=xyz.device)
    still = torch.zeros(1, 3, dtype=xyz.dtype, device=xyz.device)
    rest = model.posed(zero, betas[:1], still).keypoints[:, TORSO].expand(len(xyz), -1, -1)
    weight = xyz_weight[:, TORSO]
    known = (weight > 0).all(-1)
    kabsch = fit_similarity(xyz[:, TORSO], rest, weight.clamp_min(1e-3), with_scale=False)
    # Facing the camera: the person's left is +x in the image, up is -y, the chest towards -z.
    upright = torch.diag(xyz.new_tensor([1.0, -1.0, -1.0]))
    # Without landmarks the shoulders' order in the image tells front from back.
    order = evidence.uv[:, 5, 0] - evidence.uv[:, 6, 0]
    back = torch.diag(xyz.new_tensor([-1.0, -1.0, 1.0]))
    guess = torch.where((order >= 0)[:, None, None], upright, back)
    return torch.where(known[:, None, None], kabsch[:, :3, :3], guess)


def _hinged(
    upper: Float[Tensor, "3"],
    lower: Float[Tensor, "3"],
    axis: Float[Tensor, "3"],
    upper_seen: Float[Tensor, "B 3"],
    lower_seen: Float[Tensor, "B 3"],
    largest_twist: float,
) -> tuple[Float[Tensor, "B 3"], Float[Tensor, "B 3"]]:
    """Rotations of a ball joint and the hinge behind it that reach two bone directions.

    The ball takes the upper bone to its direction and twists so that the hinge, bending about
    its own axis only, takes the lower bone to its own.
    """
    bone = (upper / upper.norm()).expand_as(upper_seen)
    swing = rotation_between(bone, upper_seen)
    local = (swing.transpose(-1, -2) @ lower_seen[..., None]).squeeze(-1)
    along = (local * bone).sum(-1).clamp(-1, 1)
    bend = along.acos()
    # Bending by the hinge moves the bone's end towards axis x bone.
    forward = torch.linalg.cross(axis.expand_as(bone), bone)
    sideways = torch.linalg.cross(bone, forward)
    twist = torch.atan2((local * sideways).sum(-1), (local * forward).sum(-1))
    twist = torch.where(bend > MIN_BEND_RAD, twist, torch.zeros_like(twist))
    # A bend the wrong way is noise around straight, not a half turn of the limb.
    backwards = twist.abs() > math.pi / 2 + 0.3
    bend = torch.where(backwards, torch.zeros_like(bend), bend)
    twist = torch.where(backwards, torch.zeros_like(twist), twist)
    twist = twist.clamp(-largest_twist, largest_twist)
    ball = swing @ matrix_from_axis_angle(bone * twist[:, None])
    straight = rotation_between(lower, upper)  # a body whose rest elbow is not quite straight
    hinge = matrix_from_axis_angle(axis * bend[:, None]) @ straight
    return axis_angle_from_matrix(ball), axis_angle_from_matrix(hinge)


def limb_directions(
    xyz: Float[Tensor, "B 23 3"], xyz_weight: Float[Tensor, "B 23"]
) -> tuple[Float[Tensor, "B L 3"], Float[Tensor, "B L"]]:
    """Unit vectors along `LIMBS`, and the lesser confidence of both ends."""
    a, b = torch.tensor(LIMBS, device=xyz.device).unbind(-1)
    span = xyz[:, b] - xyz[:, a]
    length = span.norm(dim=-1)
    weight = torch.minimum(xyz_weight[:, a], xyz_weight[:, b]) * (length > 1e-3)
    return span / length.clamp_min(1e-6)[..., None], weight
