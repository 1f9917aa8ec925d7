"""Anny's bodies as SMPL would hold them: 24 joints, T-pose, +x left, +y up, +z forward.

`make_body` builds the embedded body from these; the tests compare that body with them. Needs
`anny`, which only developers install.
"""

from dataclasses import dataclass

import anny
import torch
from anny.face_segmentation import get_face_segmentation_mask
from anny.shape_distribution import SimpleShapeDistribution

from multithumbs.body.kinematics import ancestry, bone_offsets
from multithumbs.geometry.rotations import matrix_from_axis_angle, rotation_between
from multithumbs.types.skeleton import JOINT_NAMES, JOINT_PARENTS

SEED = 0
NUM_ADULTS, NUM_CHILDREN = 1200, 600
ADULT_YEARS, CHILD_YEARS = (18.0, 75.0), (2.0, 18.0)

INNER_PARTS = (
    "eye_back.L", "eye_back.R", "eye_cavity.L", "eye_cavity.R", "mouth_cavity", "tongue",
)  # fmt: skip
"""Faces that nobody sees."""

_BONES = {
    "pelvis": ("root", "pelvis.L", "pelvis.R", "spine05"),
    "spine1": ("spine04", "spine03"),
    "spine2": ("spine02",),
    "spine3": ("spine01",),
    "neck": ("neck01", "neck02", "neck03"),
    "head": ("head", "eye.L", "eye.R"),
}
_SIDE_BONES = {
    "hip": ("upperleg01", "upperleg02"),
    "knee": ("lowerleg01", "lowerleg02"),
    "ankle": ("foot",),
    "foot": ("toe",),
    "collar": ("clavicle", "shoulder01"),
    "shoulder": ("upperarm01", "upperarm02"),
    "elbow": ("lowerarm01", "lowerarm02"),
    "wrist": ("wrist", "metacarpal", "finger1"),
    "hand": ("finger2", "finger3", "finger4", "finger5"),
}
_SIDE_HEADS = {
    "foot": ("toe1-1", "toe2-1", "toe3-1", "toe4-1", "toe5-1"),
    "hand": ("finger2-1", "finger3-1", "finger4-1", "finger5-1"),
}
"""Joints that stand at the mean of several bones' heads; any other stands at its first bone's."""


def joint_of_bone(bone: str) -> int:
    """The SMPL joint whose motion an Anny bone takes part in."""
    for joint, bones in _BONES.items():
        if bone in bones:
            return JOINT_NAMES.index(joint)
    side = {"L": "left", "R": "right"}[bone[-1]]
    for joint, prefixes in _SIDE_BONES.items():
        if bone.startswith(prefixes):
            return JOINT_NAMES.index(f"{side}_{joint}")
    raise KeyError(bone)


def joint_from_bone_heads(bones: list[str]) -> torch.Tensor:
    """(24, bones): SMPL's joints as means of Anny's bone heads."""
    matrix = torch.zeros(len(JOINT_NAMES), len(bones), dtype=torch.float64)
    for row, joint in enumerate(JOINT_NAMES):
        if joint in _BONES:
            heads = [_BONES[joint][0]]
        else:
            side, name = joint.split("_")
            stems = _SIDE_HEADS.get(name, _SIDE_BONES[name][:1])
            heads = [f"{stem}.{side[0].upper()}" for stem in stems]
        matrix[row, [bones.index(head) for head in heads]] = 1 / len(heads)
    return matrix


@dataclass(frozen=True)
class Source:
    """Anny's tables in SMPL's axes."""

    model: anny.Anny
    kept: torch.Tensor
    """(V,) rows of Anny's vertices."""
    weights: torch.Tensor
    """(V, 24)."""
    joints: torch.Tensor
    """(24, bones)."""


def smpl_axes(points: torch.Tensor) -> torch.Tensor:
    """From Anny's axes (+x the left, -y forward, +z up) to SMPL's."""
    x, y, z = points.unbind(-1)
    return torch.stack([x, z, -y], -1)


def load_source() -> tuple[Source, torch.Tensor]:
    """Anny without inner faces, and the mask of the faces kept."""
    model = anny.Anny(phenotype_blendshapes="original", skinning_method="lbs")
    seen = ~get_face_segmentation_mask(model, list(INNER_PARTS))
    bones = torch.tensor([joint_of_bone(bone) for bone in model.bone_labels])
    fine = model.dense_vertex_bone_weights
    weights = torch.zeros(len(fine), len(JOINT_NAMES), dtype=fine.dtype)
    weights.index_add_(1, bones, fine)
    kept = model.faces[seen].unique()
    source = Source(
        model, kept, weights[kept] / weights[kept].sum(1, keepdim=True),
        joint_from_bone_heads(model.bone_labels),
    )  # fmt: skip
    return source, seen


def rest(source: Source, phenotype: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """Vertices (S, V, 3) and joints (S, 24, 3) of Anny's rest pose in SMPL's axes."""
    model = source.model
    coefficients = model.get_phenotype_blendshape_coefficients(**phenotype)
    vertices = model.template_vertices[source.kept] + torch.einsum(
        "sk,kvc->svc", coefficients, model.blendshapes[:, source.kept]
    )
    heads = model.template_bone_heads + torch.einsum(
        "sk,kbc->sbc", coefficients, model.bone_heads_blendshapes
    )
    return smpl_axes(vertices), smpl_axes(source.joints @ heads)


def frame(along: torch.Tensor, normal: torch.Tensor) -> torch.Tensor:
    """Rotation matrices whose columns are ``along``, ``normal`` made perpendicular, their cross."""
    first = along / along.norm(dim=-1, keepdim=True)
    normal = normal - (normal * first).sum(-1, keepdim=True) * first
    second = normal / normal.norm(dim=-1, keepdim=True)
    return torch.stack([first, second, torch.linalg.cross(first, second)], -1)


def t_from_rest(joints: torch.Tensor, knuckles: torch.Tensor) -> torch.Tensor:
    """(S, 24, 3, 3): each joint's turn from MakeHuman's A-pose to SMPL's T-pose.

    ``knuckles`` (S, 2, 3): across each hand, from the index finger to the little one.
    """
    place = dict(zip(JOINT_NAMES, joints.unbind(1), strict=True))
    turn = {
        name: torch.eye(3, dtype=joints.dtype).expand(len(joints), 3, 3) for name in JOINT_NAMES
    }
    x, y, _ = torch.eye(3, dtype=joints.dtype)
    for row, (side, sign) in enumerate((("left", 1.0), ("right", -1.0))):
        thigh = place[f"{side}_knee"] - place[f"{side}_hip"]
        shank = place[f"{side}_ankle"] - place[f"{side}_knee"]
        turn[f"{side}_hip"] = rotation_between(thigh, (-y).expand_as(thigh))
        turn[f"{side}_knee"] = rotation_between(shank, (-y).expand_as(shank))

        upper = place[f"{side}_elbow"] - place[f"{side}_shoulder"]
        fore = place[f"{side}_wrist"] - place[f"{side}_elbow"]
        hand = place[f"{side}_hand"] - place[f"{side}_wrist"]
        # The elbow bends forward in the T-pose: its hinge (upper x fore) is -y on the left.
        hinge = torch.linalg.cross(upper, fore)
        target = frame(sign * x, -sign * y).expand(len(joints), 3, 3)
        turn[f"{side}_shoulder"] = target @ frame(upper, hinge).mT
        straight = target @ frame(fore, hinge).mT
        # Palms down. Half of the forearm's twist is the elbow's, as in SMPL's weights.
        back = sign * torch.linalg.cross(hand, knuckles[:, row])
        flat = frame(sign * x, y).expand(len(joints), 3, 3) @ frame(hand, back).mT
        twist = twist_about(flat @ straight.mT, sign * x)
        turn[f"{side}_elbow"] = matrix_from_axis_angle(twist[:, None] / 2 * sign * x) @ straight
        turn[f"{side}_wrist"] = turn[f"{side}_hand"] = flat
    return torch.stack([turn[name] for name in JOINT_NAMES], 1)


def twist_about(rotation: torch.Tensor, axis: torch.Tensor) -> torch.Tensor:
    """The angle of the part of ``rotation`` that turns about ``axis``."""
    skewed = rotation - rotation.mT
    vector = torch.stack([skewed[:, 2, 1], skewed[:, 0, 2], skewed[:, 1, 0]], -1) / 2
    trace = rotation.diagonal(dim1=-2, dim2=-1).sum(-1)
    return 2 * torch.atan2((vector * axis).sum(-1), 1 + trace)


def t_pose(source: Source, phenotype: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """Vertices and joints of bodies in SMPL's T-pose; the origin is the joint spine2.

    (As in SMPL's own files the pelvis is not the origin and moves with betas.)
    """
    vertices, joints = rest(source, phenotype)
    turn = t_from_rest(joints, knuckle_lines(source, phenotype))
    steps = bone_offsets(joints, JOINT_PARENTS)[..., None]
    steps[:, 1:] = turn[:, list(JOINT_PARENTS[1:])] @ steps[:, 1:]
    t_joints = ancestry(JOINT_PARENTS, joints) @ steps[..., 0]
    back = turn.mT  # rest_from_t
    shift = joints - (back @ t_joints[..., None])[..., 0]
    blended = (source.weights @ torch.cat([back, shift[..., None]], -1).flatten(-2)).unflatten(
        -1, (3, 4)
    )
    t_vertices = torch.linalg.solve(blended[..., :3], vertices - blended[..., 3])
    origin = t_joints[:, JOINT_NAMES.index("spine2"), None]
    return t_vertices - origin, t_joints - origin


def knuckle_lines(source: Source, phenotype: dict) -> torch.Tensor:
    """(S, 2, 3): from the index finger's first bone to the little finger's, left and right."""
    model = source.model
    coefficients = model.get_phenotype_blendshape_coefficients(**phenotype)
    heads = smpl_axes(
        model.template_bone_heads
        + torch.einsum("sk,kbc->sbc", coefficients, model.bone_heads_blendshapes)
    )
    bones = model.bone_labels.index
    return torch.stack(
        [heads[:, bones(f"finger5-1.{s}")] - heads[:, bones(f"finger2-1.{s}")] for s in "LR"], 1
    )


def sample(source: Source, number: int, years: tuple[float, float]) -> dict:
    """Phenotypes of people of both sexes; heights follow the WHO curves that Anny carries."""
    low, high = (torch.tensor(value, dtype=torch.float64) for value in years)
    _, phenotype = SimpleShapeDistribution(
        source.model,
        morphological_age_distribution=torch.distributions.Uniform(low, high),
        gender_distribution=torch.distributions.Beta(
            torch.full_like(low, 0.4), torch.full_like(low, 0.4)
        ),
    ).sample(number)
    for name in ("muscle", "weight", "proportions"):
        two = torch.full((number,), 2.0, dtype=torch.float64)
        phenotype[name] = torch.distributions.Beta(two, two).sample()
    return phenotype


def people(source: Source) -> tuple[dict, dict]:
    """The adults and the children whose bodies span the shape space; always the same."""
    torch.manual_seed(SEED)
    adults = sample(source, NUM_ADULTS, ADULT_YEARS)
    return adults, sample(source, NUM_CHILDREN, CHILD_YEARS)


def average_adult(adults: dict) -> dict:
    """The phenotype whose body is the template: every parameter at the adults' mean."""
    return {name: values.mean()[None] for name, values in adults.items()}
