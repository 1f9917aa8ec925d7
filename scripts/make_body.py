"""Make the embedded body from Anny's CC0 MakeHuman data (developers only; needs `anny`).

    python scripts/make_body.py [OUT.npz]

Anny (Apache-2.0 code over MakeHuman's CC0 assets) gives bodies in MakeHuman's A-pose with 104
bones. This script samples adults and children, takes each to SMPL's T-pose and axes, collapses
the bones to SMPL's 24 joints, and keeps ten principal shape components. Equal inputs on one
machine give equal bytes.

The T-pose is made by *inverse* skinning: the T-posed vertex is the one that linear blend
skinning with the collapsed weights takes back to Anny's own vertex. Hence the embedded body
in MakeHuman's A-pose is Anny's mesh, and arms hang (as they mostly do) without the artefacts
of skinning twice.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import anny
import numpy as np
import torch
from anny.face_segmentation import get_face_segmentation_mask
from anny.shape_distribution import SimpleShapeDistribution
from scipy.optimize import nnls

from multithumbs.body import EMBEDDED_BODY
from multithumbs.body.kinematics import ancestry, bone_offsets
from multithumbs.body.storage import NUM_BETAS, PART_NAMES, BodyTables, write_body_file
from multithumbs.geometry.rotations import matrix_from_axis_angle, rotation_between
from multithumbs.types.skeleton import JOINT_NAMES, JOINT_PARENTS, KEYPOINT_NAMES

SEED = 0
NUM_ADULTS, NUM_CHILDREN = 1200, 600
ADULT_YEARS, CHILD_YEARS = (18.0, 75.0), (2.0, 18.0)
CHILD_WEIGHT = 0.5
"""Of a child in the principal components; an adult counts 1."""
BATCH = 40

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


def average_adult(adults: dict) -> dict:
    """The phenotype whose body is the template: every parameter at the adults' mean."""
    return {name: values.mean()[None] for name, values in adults.items()}


@dataclass(frozen=True)
class ShapeSpace:
    v_template: np.ndarray
    shapedirs: np.ndarray
    J_template: np.ndarray
    J_shapedirs: np.ndarray


def shape_space(source: Source, adults: dict, children: dict) -> ShapeSpace:
    """Principal components about the average adult; one beta is one deviation of adults."""
    template, joints = t_pose(source, average_adult(adults))
    people = {name: torch.cat([adults[name], children[name]]) for name in adults}
    total = len(people["age"])
    vertices, places = [], []
    for start in range(0, total, BATCH):
        part = {name: values[start : start + BATCH] for name, values in people.items()}
        v, j = t_pose(source, part)
        vertices.append((v - template).flatten(1))
        places.append((j - joints).flatten(1))
    x, y = torch.cat(vertices), torch.cat(places)
    is_adult = torch.arange(total) < len(adults["age"])
    weight = torch.where(is_adult, 1.0, CHILD_WEIGHT).double()[:, None]
    rooted = x * weight.sqrt()
    _, vectors = torch.linalg.eigh(rooted @ rooted.mT)
    directions = (vectors[:, -NUM_BETAS:].flip(1).mT @ rooted).mT
    directions = directions / directions.norm(dim=0)
    scores = x @ directions
    deviation = scores[is_adult].square().mean(0).sqrt()
    # A larger beta is a taller, then a heavier person: the sum of heights, then of widths, grows.
    tall = directions.unflatten(0, (-1, 3))[:, 1] * template[0, :, 1:2].sign()
    sign = tall.sum(0).sign()
    scale = deviation * sign
    betas = scores / scale
    y_by = torch.linalg.solve((betas * weight).mT @ betas, (betas * weight).mT @ y)
    return ShapeSpace(
        template[0].numpy(),
        (directions * scale).unflatten(0, (-1, 3)).numpy(),
        joints[0].numpy(),
        y_by.unflatten(1, (-1, 3)).permute(1, 2, 0).numpy(),
    )


def convex_regressor(
    space: ShapeSpace, target: np.ndarray, target_by: np.ndarray, candidates: np.ndarray
) -> np.ndarray:
    """(V,) sparse non-negative weights, sum 1, that give the target for every shape.

    ``target`` (3,), ``target_by`` (3, 10). Non-negative least squares picks few vertices.
    """
    rows = np.concatenate(
        [
            space.v_template[candidates].T,
            *np.moveaxis(space.shapedirs[candidates], 2, 0).swapaxes(1, 2),
        ]
    )
    goal = np.concatenate([target, *target_by.T])
    heavy = 10.0  # the sum to one, in the units of metres: a millimetre off is not the sum's fault
    solution, _ = nnls(
        np.vstack([rows, np.full((1, len(candidates)), heavy)]),
        np.append(goal, heavy),
        maxiter=20000,
    )
    solution[solution < 1e-4] = 0
    weights = np.zeros(len(space.v_template))
    weights[candidates] = solution / solution.sum()
    return weights


def joint_regressor(source: Source, space: ShapeSpace) -> np.ndarray:
    """(24, V): each joint from the vertices that it or its neighbours move."""
    rows = []
    for joint, parent in enumerate(JOINT_PARENTS):
        near = [
            joint,
            *([parent] if parent >= 0 else []),
            *(c for c, p in enumerate(JOINT_PARENTS) if p == joint),
        ]
        reach = source.weights[:, near].sum(1).numpy() > 0.5
        distance = np.linalg.norm(space.v_template - space.J_template[joint], axis=1)
        candidates = np.flatnonzero(reach & (distance < np.partition(distance[reach], 400)[400]))
        rows.append(
            convex_regressor(space, space.J_template[joint], space.J_shapedirs[joint], candidates)
        )
    return np.stack(rows)


def keypoint_regressor(source: Source, space: ShapeSpace) -> np.ndarray:
    """(23, V): Anny's COCO regressors, thinned to few vertices that give the same points."""
    dense = anny.KeypointsRegressor.coco(source.model, list(KEYPOINT_NAMES)).regression_weights
    dense = dense[:, source.kept].numpy()
    rows = []
    for weights in dense:
        weights = weights / weights.sum()
        target = weights @ space.v_template
        distance = np.linalg.norm(space.v_template - target, axis=1)
        candidates = np.flatnonzero((weights > 0) & (distance < 0.15))
        by = np.einsum("v,vcb->cb", weights, space.shapedirs)
        rows.append(convex_regressor(space, target, by, candidates))
    return np.stack(rows)


def vertex_parts(source: Source, space: ShapeSpace, eyes: np.ndarray) -> np.ndarray:
    """(V,) index into PART_NAMES, cut along planes of the T-pose: hems are straight."""
    x, y, z = np.abs(space.v_template[:, 0]), space.v_template[:, 1], space.v_template[:, 2]
    place = dict(zip(JOINT_NAMES, space.J_template, strict=True))
    weights = dict(zip(JOINT_NAMES, source.weights.numpy().T, strict=True))
    side = [name for name in JOINT_NAMES if name.startswith(("left_", "right_"))]

    def moved_by(*stems: str) -> np.ndarray:
        return np.sum([weights[n] for n in side if n.split("_")[1] in stems], axis=0) > 0.5

    arm = moved_by("shoulder", "elbow", "wrist", "hand")
    head = weights["head"] + weights["neck"] > 0.5
    leg = ~arm & ~head & (y < place["left_hip"][1] - 0.09)
    ear = place["head"] + (0.0, 0.03, 0.005)
    # The hairline from the nape, over the ears, to the forehead.
    hairline = np.interp(
        z, ear[2] + [-0.08, -0.02, 0.02, 0.07, 0.1], ear[1] + [-0.06, -0.01, 0.04, 0.09, 0.1]
    )
    conditions = {
        "eye": eyes,
        "hair": head & (y > hairline),
        "neck": head & (y < place["head"][1] - 0.03),
        "face": head,
        "hand": arm & (x > place["left_wrist"][0]),
        "forearm": arm & (x > place["left_elbow"][0]),
        "upper_arm": arm,
        "foot": leg & (y < place["left_ankle"][1] + 0.03),
        "shank": leg & (y < place["left_knee"][1]),
        "thigh": leg,
        "hips": y < place["spine1"][1] + 0.02,
    }
    chosen = np.full(len(y), PART_NAMES.index("torso"))
    for name, where in reversed(conditions.items()):  # the first that holds is painted last
        chosen[where] = PART_NAMES.index(name)
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, nargs="?", default=EMBEDDED_BODY)
    out: Path = parser.parse_args().out
    torch.manual_seed(SEED)
    source, seen = load_source()
    model = source.model
    adults = sample(source, NUM_ADULTS, ADULT_YEARS)
    children = sample(source, NUM_CHILDREN, CHILD_YEARS)
    space = shape_space(source, adults, children)
    eye_faces = get_face_segmentation_mask(model, ["eye_front.L", "eye_front.R"])
    eyes = np.isin(source.kept.numpy(), model.faces[eye_faces].unique().numpy())
    uv_index = model.face_texture_coordinate_indices[seen]
    used, uv_faces = uv_index.unique(return_inverse=True)
    uv = model.texture_coordinates[used].numpy()
    tables = BodyTables(
        name="multithumbs embedded body 1",
        licence="CC0-1.0 (MakeHuman assets, by way of Anny)",
        v_template=rounded(space.v_template),
        shapedirs=rounded(space.shapedirs),
        posedirs=np.zeros((0, 3, 207), np.float32),
        J_regressor=joint_regressor(source, space).round(7),
        lbs_weights=rounded(source.weights.numpy()),
        faces=np.searchsorted(source.kept.numpy(), model.faces[seen].numpy()),
        keypoint_vertices=keypoint_regressor(source, space).round(7),
        keypoint_joints=np.zeros((len(KEYPOINT_NAMES), len(JOINT_NAMES))),
        uv=rounded(np.stack([uv[:, 0], 1 - uv[:, 1]], 1)),
        face_uv_index=uv_faces.numpy(),
        vertex_part=vertex_parts(source, space, eyes),
    )
    write_body_file(out, tables)
    print(
        f"{out}: {len(tables.v_template)} vertices, {len(tables.faces)} faces, {out.stat().st_size} bytes"
    )


def rounded(values: np.ndarray) -> np.ndarray:
    """To a micrometre: what compression keeps, and far below a tenth of a millimetre in sum."""
    return values.round(6).astype(np.float32)


if __name__ == "__main__":
    main()
