"""What the embedded body must be, and that it is smplx's function of its tables."""

import math

import numpy as np
import pytest
import smplx
import torch
from smplx.utils import Struct

from multithumbs.body import EMBEDDED_BODY, PART_NAMES, BodyModel, Posed, load_body
from multithumbs.body.storage import write_body_file
from multithumbs.types.skeleton import JOINT_NAMES, JOINT_PARENTS, KEYPOINT_NAMES

SURFACE_POINTS = ("nose", "eye", "ear", "toe", "heel")


def rest(model: BodyModel, beta: int = 0, value: float = 0.0) -> torch.Tensor:
    betas = torch.zeros(10, dtype=torch.float64)
    betas[beta] = value
    return model.rest_vertices(betas)


def stature(model: BodyModel, beta: int = 0, value: float = 0.0) -> float:
    y = rest(model, beta, value)[:, 1]
    return float(y.max() - y.min())


def t_posed(model: BodyModel) -> Posed:
    pose, betas, transl = (torch.zeros(shape, dtype=model.dtype) for shape in ((24, 3), 10, 3))
    return model.posed(pose, betas, transl)


def test_the_t_pose_has_smpls_axes(body: BodyModel) -> None:
    joints = dict(zip(JOINT_NAMES, body.J_template, strict=True))
    keypoints = dict(zip(KEYPOINT_NAMES, t_posed(body).keypoints, strict=True))
    for side, sign in (("left", 1), ("right", -1)):
        arm = torch.stack([joints[f"{side}_{n}"] for n in ("shoulder", "elbow", "wrist", "hand")])
        assert (arm[1:, 0] - arm[:-1, 0]).mul(sign).gt(0.05).all()
        assert (arm[:, 1:] - arm[0, 1:]).abs().max() < 0.002  # straight along x
        leg = torch.stack([joints[f"{side}_{n}"] for n in ("hip", "knee", "ankle")])
        assert (leg[1:, 1] - leg[:-1, 1]).lt(-0.3).all()
        assert (leg[:, ::2] - leg[0, ::2]).abs().max() < 0.002  # straight down
        toe, heel = keypoints[f"{side}_big_toe"], keypoints[f"{side}_heel"]
        assert toe[2] - heel[2] > 0.15
    assert joints["head"][1] > joints["pelvis"][1] + 0.5
    assert keypoints["nose"][2] > joints["head"][2] + 0.05
    assert joints["pelvis"].norm() < 0.3


def test_the_body_is_symmetric(body: BodyModel) -> None:
    mirrored = body.J_template * torch.tensor([-1.0, 1.0, 1.0])
    order = [
        JOINT_NAMES.index(n.replace("left", "?").replace("right", "left").replace("?", "right"))
        for n in JOINT_NAMES
    ]
    assert (mirrored[order] - body.J_template).abs().max() < 0.002


def test_the_hands_palms_face_down_and_elbows_bend_forward(body: BodyModel) -> None:
    # The thumb tells: ahead of the wrist in the T-pose with the palms down.
    vertices = rest(body)[body.vertex_part == PART_NAMES.index("hand")]
    wrist = body.J_template[JOINT_NAMES.index("left_wrist")]
    thumb = vertices[vertices[:, 2].argmax()]
    assert thumb[2] > wrist[2] + 0.05
    pose = torch.zeros(24, 3, dtype=torch.float64)
    pose[JOINT_NAMES.index("left_elbow"), 1] = -math.pi / 2
    zeros = torch.zeros(10, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    joints = body.posed(pose, *zeros).joints
    assert joints[JOINT_NAMES.index("left_wrist"), 2] > wrist[2] + 0.2


def face_normals(model: BodyModel, vertices: torch.Tensor) -> torch.Tensor:
    a, b, c = vertices[model.faces].unbind(1)
    return torch.linalg.cross(b - a, c - a)


def test_faces_look_outwards(body: BodyModel) -> None:
    # The divergence theorem: a mesh whose faces look outwards has a positive volume.
    vertices = rest(body)
    volume = (vertices[body.faces[:, 0]] * face_normals(body, vertices)).sum() / 6
    assert 0.045 < volume < 0.09  # 45 to 90 litres


def test_the_first_beta_is_stature(body: BodyModel) -> None:
    statures = [stature(body, 0, value) for value in np.arange(-7, 3.5, 0.5)]
    assert np.all(np.diff(statures) > 0.04)
    assert 1.6 < stature(body) < 1.78
    assert 0.8 < statures[0] < 1.1  # a child of two or three years


@pytest.mark.parametrize("beta", range(1, 10))
def test_other_betas_change_the_figure_more_than_the_stature(body: BodyModel, beta: int) -> None:
    for value in (-2.0, 2.0):
        assert abs(stature(body, beta, value) - stature(body)) < 0.06
    assert body.shapedirs[..., beta].norm(dim=-1).max() > 0.002
    assert (rest(body, beta, 2.0) - rest(body)).abs().max() < 0.12


def test_betas_range_covers_children_and_the_average_adult(body: BodyModel) -> None:
    low, high = body.betas_range
    assert low[0] < -5 and high[0] > 2
    assert (low < -1).all() and (high > 1).all()


@pytest.mark.parametrize("beta0", [-6.0, 0.0, 2.5])
def test_keypoints_lie_in_the_body(random_people, body: BodyModel, beta0: float) -> None:
    pose, betas, transl = random_people(1, seed=3)
    pose, betas = pose[0] * 0.4, betas[0] * 0.5
    betas[0] = beta0
    vertices = body.vertices(pose, betas, transl[0])
    posed = body.posed(pose, betas, transl[0])
    inside = winding_number(body, vertices, posed.keypoints) > 0.5
    nearest = torch.cdist(posed.keypoints, vertices).min(1).values
    for name, is_inside, distance in zip(KEYPOINT_NAMES, inside, nearest, strict=True):
        on_surface = name.endswith(SURFACE_POINTS)
        assert is_inside or (on_surface and distance < 0.015), (name, distance)
    assert (winding_number(body, vertices, posed.joints) > 0.5).all()


def winding_number(model: BodyModel, vertices: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """1 inside and 0 outside a closed mesh (van Oosterom and Strackee's solid angles)."""
    corners = vertices[model.faces] - points[:, None, None]
    a, b, c = corners.unbind(-2)
    la, lb, lc = corners.norm(dim=-1).unbind(-1)
    triple = (a * torch.linalg.cross(b, c)).sum(-1)
    below = la * lb * lc + (a * b).sum(-1) * lc + (b * c).sum(-1) * la + (c * a).sum(-1) * lb
    return torch.atan2(triple, below).sum(1) / (2 * math.pi)


def test_left_and_right_keypoints_are_on_their_sides(body: BodyModel) -> None:
    keypoints = t_posed(body).keypoints
    for name, point in zip(KEYPOINT_NAMES, keypoints, strict=True):
        side = name.split("_")[0]
        if side != "nose":
            assert point[0] * (1 if side == "left" else -1) > 0.02, name


@pytest.mark.parametrize("name", ["body", "noise_body"])
def test_keypoints_are_the_combination_of_vertices(
    random_people, name: str, request: pytest.FixtureRequest
) -> None:
    model = request.getfixturevalue(name)
    pose, betas, transl = random_people(4)
    posed = model.posed(pose, betas, transl)
    vertices = model.vertices(pose, betas, transl)
    expected = model.keypoint_vertices @ vertices + model.keypoint_joints @ posed.joints
    assert (posed.keypoints - expected).abs().max() < 1e-9


def test_rest_joints_are_the_regressed_ones(random_people, body: BodyModel) -> None:
    _, betas, _ = random_people(5)
    torch.testing.assert_close(
        body.rest_joints(betas), body.J_regressor @ body.rest_vertices(betas), atol=1e-12, rtol=0
    )
    assert (body.J_regressor > 0).sum(1).max() <= 40  # sparse
    assert (body.J_regressor >= 0).all() and (body.keypoint_vertices >= 0).all()


def test_equal_to_smplx(random_people, body: BodyModel) -> None:
    pose, betas, transl = random_people(4)
    out = body.smplx_layer(
        global_orient=pose[:, 0], body_pose=pose[:, 1:].flatten(1), betas=betas, transl=transl
    )
    # smplx adds 1e-8 to axis-angles before it takes their length.
    assert (out.vertices - body.vertices(pose, betas, transl)).abs().max() < 1e-6
    assert (out.joints[:, :24] - body.posed(pose, betas, transl).joints).abs().max() < 1e-6


def test_equal_to_smplx_with_pose_blend_shapes(random_tables, random_people, tmp_path) -> None:
    tables = random_tables(6890)
    write_body_file(tmp_path / "noise.npz", tables)
    model = load_body(tmp_path / "noise.npz")
    struct = Struct(
        v_template=tables.v_template, shapedirs=tables.shapedirs, posedirs=tables.posedirs,
        J_regressor=tables.J_regressor, weights=tables.lbs_weights, f=tables.faces,
        kintree_table=np.array([JOINT_PARENTS, range(24)]),
    )  # fmt: skip
    layer = smplx.SMPL(model_path="", data_struct=struct, dtype=torch.float64)
    pose, betas, transl = random_people(2)
    out = layer(
        global_orient=pose[:, 0], body_pose=pose[:, 1:].flatten(1), betas=betas, transl=transl
    )
    assert (out.vertices - model.vertices(pose, betas, transl)).abs().max() < 1e-6
    assert (out.joints[:, :24] - model.posed(pose, betas, transl).joints).abs().max() < 1e-6
    own = model.smplx_layer(
        global_orient=pose[:, 0], body_pose=pose[:, 1:].flatten(1), betas=betas, transl=transl
    )
    torch.testing.assert_close(own.vertices, out.vertices)


def test_transl_is_smplxs(random_people, body: BodyModel) -> None:
    pose, betas, transl = random_people(2)
    joints = body.posed(pose, betas, transl).joints
    torch.testing.assert_close(joints[:, 0], body.rest_joints(betas)[:, 0] + transl)
    assert body.rest_joints(betas)[:, 0].norm(dim=-1).min() > 0.05  # else that would test nothing


def test_batches_of_any_shape(random_people, body: BodyModel) -> None:
    pose, betas, transl = random_people(6)
    flat = body.posed(pose, betas, transl)
    folded = body.posed(pose.view(2, 3, 24, 3), betas.view(2, 3, 10), transl.view(2, 3, 3))
    torch.testing.assert_close(folded.keypoints.flatten(0, 1), flat.keypoints)
    single = body.vertices(pose[4], betas[4], transl[4])
    torch.testing.assert_close(single, body.vertices(pose, betas, transl)[4])


def test_single_precision(random_people, body: BodyModel) -> None:
    small = load_body(EMBEDDED_BODY, dtype=torch.float32)
    pose, betas, transl = random_people(2)
    vertices = small.vertices(pose.float(), betas.float(), transl.float())
    assert vertices.dtype == torch.float32
    assert (vertices - body.vertices(pose, betas, transl)).abs().max() < 1e-5


def test_posing_is_differentiable_at_zero(body: BodyModel) -> None:
    pose = torch.zeros(24, 3, dtype=torch.float64, requires_grad=True)
    zeros = torch.zeros(10, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    body.posed(pose, *zeros).keypoints.sum().backward()
    assert pose.grad is not None and pose.grad.isfinite().all() and pose.grad.norm() > 0


def test_uv_and_parts_cover_the_body(body: BodyModel) -> None:
    assert body.face_uv is not None and body.vertex_part is not None
    assert body.face_uv.min() >= 0 and body.face_uv.max() <= 1
    assert set(body.vertex_part.tolist()) == set(range(len(PART_NAMES)))
    (ax, ay), (bx, by) = (
        (body.face_uv[:, corner] - body.face_uv[:, 0]).unbind(-1) for corner in (1, 2)
    )
    assert (ax * by - ay * bx).ne(0).double().mean() > 0.99  # hardly a face without texture
    part = body.vertex_part[body.faces[:, 0]]
    for name in PART_NAMES:
        assert (part == PART_NAMES.index(name)).sum() >= 50, name


def test_the_asset_is_small_and_free(body: BodyModel) -> None:
    assert EMBEDDED_BODY.stat().st_size < 6e6
    assert len(body.v_template) < 14000
    assert "CC0" in body.licence
    assert "CC0 1.0" in EMBEDDED_BODY.with_suffix(".md").read_text()
