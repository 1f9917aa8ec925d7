"""Occlusion, the image border, and UV maps that survive being rendered and read back."""

import numpy as np
import pytest
import trimesh

from multithumbs.render.overlay import identity_colour, overlay, shade
from multithumbs.render.raycast import Mesh, raycast
from multithumbs.render.texture import Texels, bake, sample_bilinear
from multithumbs.render.visibility import visible

HW = (240, 320)
K = np.array([[300.0, 0, 160], [0, 300.0, 120], [0, 0, 1]])
QUAD = np.array([[0, 2, 1], [0, 3, 2]])  # seen from the camera, its normal points at it


def quad(left: float, right: float, top: float, bottom: float, z: float) -> Mesh:
    corners = np.array([[left, top, z], [right, top, z], [right, bottom, z], [left, bottom, z]])
    return Mesh(corners, QUAD)


def test_points_behind_an_occluder_or_outside_the_image_are_not_visible():
    wall = quad(-0.5, 0.0, -1, 1, 2.0)  # hides the left half
    points = np.array(
        [
            [-0.3, 0.0, 4.0],  # behind the wall
            [0.3, 0.0, 4.0],  # beside it
            [-0.3, 0.0, 1.5],  # before it
            [-0.3, 0.0, 2.0],  # on it
            [9.0, 0.0, 4.0],  # outside the image
            [0.0, 0.0, -1.0],  # behind the camera
        ]
    )
    seen = visible(points, [wall], K, HW)
    assert seen.tolist() == [False, True, True, True, False, False]


def test_the_tolerance_lets_points_inside_a_limb_be_seen():
    ball = trimesh.creation.icosphere(subdivisions=3, radius=0.1)
    mesh = Mesh(np.asarray(ball.vertices) + np.array([0, 0, 3.0]), np.asarray(ball.faces))
    joint = np.array([[0.0, 0.0, 3.0]])
    assert not visible(joint, [mesh], K, HW, tolerance_m=0.05)[0]
    assert visible(joint, [mesh], K, HW, tolerance_m=0.12)[0]


def test_visibility_follows_the_camera():
    wall, point = quad(-0.5, 0.5, -1, 1, 2.0), np.array([[0.0, 0.0, 4.0]])
    beside = np.eye(4)
    beside[0, 3] = -3.0  # the camera stands at x = 3
    beside = trimesh.transformations.rotation_matrix(0.64, [0, 1, 0]) @ beside
    assert not visible(point, [wall], K, HW)[0]
    assert visible(point, [wall], K, HW, cam_from_world=beside)[0]


def cylinder() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An upright tube with the obvious atlas: u around, v along."""
    around, along = 48, 12
    angle = np.linspace(0, 2 * np.pi, around + 1)
    v = np.linspace(0, 1, along + 1)
    grid_u, grid_v = np.meshgrid(np.arange(around + 1), np.arange(along + 1))
    vertices = np.stack(
        [0.4 * np.sin(angle[grid_u]), v[grid_v] - 0.5, -0.4 * np.cos(angle[grid_u])], -1
    ).reshape(-1, 3)
    uv = np.stack([0.02 + 0.96 * grid_u / around, 0.02 + 0.96 * v[grid_v]], -1).reshape(-1, 2)
    corner = (np.arange(along)[:, None] * (around + 1) + np.arange(around)).reshape(-1)
    right, below = corner + 1, corner + around + 1
    faces = np.concatenate(
        [np.stack([corner, below, right], -1), np.stack([right, below, below + 1], -1)]
    )
    return vertices + np.array([0, 0, 2.0]), faces, uv[faces]


def checker(uv: np.ndarray) -> np.ndarray:
    cell = np.floor(uv * 12).astype(int).sum(-1) % 2
    return np.where(cell[..., None] == 0, [220, 60, 30], [20, 90, 200]).astype(np.uint8)


def test_texels_name_the_surface_point_behind_them():
    vertices, faces, face_uv = cylinder()
    texels = Texels.of(face_uv, 64)
    uv = np.einsum("nk,nkd->nd", texels.weights, face_uv[texels.face])
    centre = np.stack([texels.column + 0.5, texels.row + 0.5], -1) / 64
    np.testing.assert_allclose(uv, centre, atol=1e-5)
    assert len(texels.row) == pytest.approx((0.96 * 64) ** 2, rel=0.03)
    points, normals = texels.points(vertices, faces)
    radial = (points - np.array([0, 0, 2.0])) * np.array([1, 0, 1])
    assert ((radial * normals).sum(1) > 0.39).all()  # outward


def test_a_painted_surface_is_read_back():
    vertices, faces, face_uv = cylinder()
    hits = raycast(vertices, faces, K, HW)
    hit = hits.face >= 0
    weights = np.concatenate([hits.bary[hit], 1 - hits.bary[hit].sum(-1, keepdims=True)], -1)
    image = np.zeros((*HW, 3), np.uint8)
    image[hit] = checker(np.einsum("nk,nkd->nd", weights, face_uv[hits.face[hit]]))
    texels = Texels.of(face_uv, 96)
    baked = bake(texels, Mesh(vertices, faces), image, K, mask=hit, min_cosine=0.4)
    seen = baked.weight > 0
    centre = (np.argwhere(seen)[:, ::-1] + 0.5) / 96
    edge = np.abs(centre * 12 - np.round(centre * 12)).min(-1) < 0.2  # bilinear blends there
    error = np.abs(baked.rgb[seen] - checker(centre))[~edge]
    assert seen.sum() > 2000
    assert np.mean(error > 2) < 0.01
    # The camera sees the half around u = 0 (and 1): nothing of the back.
    assert not seen[:, 32:64].any()
    assert baked.weight.max() <= 1 and baked.rgb[~seen].max() == 0


def test_an_occluder_and_the_mask_leave_texels_unseen():
    vertices, faces, face_uv = cylinder()
    texels, body = Texels.of(face_uv, 48), Mesh(vertices, faces)
    image = np.full((*HW, 3), 200, np.uint8)
    whole = bake(texels, body, image, K).weight > 0
    upper = bake(texels, body, image, K, occluders=[quad(-1, 1, 0, 1, 1.0)]).weight > 0
    assert upper[:22].sum() == whole[:22].sum() > 0
    assert not upper[26:].any()
    mask = np.zeros(HW, bool)
    assert not (bake(texels, body, image, K, mask=mask).weight > 0).any()


def test_bilinear_samples_pixels_at_their_centres():
    image = np.zeros((2, 2, 3), np.uint8)
    image[0, 1] = 100
    uv = np.array([[1.5, 0.5], [1.0, 0.5], [1.0, 1.0], [9.0, -3.0]])
    assert sample_bilinear(image, uv)[:, 0].tolist() == [100, 50, 25, 100]


def test_overlay_paints_bodies_only_and_leaves_the_frame_alone():
    frame = np.full((*HW, 3), 80, np.uint8)
    body = quad(-0.2, 0.2, -0.3, 0.3, 2.0)
    painted = overlay(frame, [body], [(200, 40, 20)], K, alpha=1.0, stride=1)
    hit = raycast(body.vertices, body.faces, K, HW).face >= 0
    assert (painted[~hit] == 80).all() and (frame == 80).all()
    # A wall that faces the camera on its axis is fully lit.
    np.testing.assert_allclose(painted[120, 160], [200, 40, 20], atol=1)
    half = overlay(frame, [body], [(200, 40, 20)], K, alpha=0.5, stride=2)
    np.testing.assert_allclose(half[120, 160], [140, 60, 50], atol=1)
    assert (overlay(frame, [], [], K) == 80).all()


def test_overlay_handles_odd_sizes():
    frame = np.full((77, 101, 3), 80, np.uint8)
    body = quad(-5, 5, -5, 5, 2.0)
    painted = overlay(frame, [body], [(200, 40, 20)], K, alpha=1.0, stride=2)
    assert painted.shape == frame.shape and (painted[:, :, 0] > 100).all()


def test_grazing_surfaces_are_darker():
    vertices, faces, _ = cylinder()
    rgba = shade([Mesh(vertices, faces)], [(255, 255, 255)], K, HW)
    assert rgba is not None
    row = rgba[120, :, 0][rgba[120, :, 3] > 0]
    assert row[len(row) // 2] > 250 and row[0] < 140


def test_identity_colours_are_stable_and_distinct():
    colours = [identity_colour(person) for person in range(8)]
    assert colours[:3] == [identity_colour(person) for person in range(3)]
    gaps = np.linalg.norm(np.array(colours)[:, None] - np.array(colours)[None], axis=-1)
    assert gaps[~np.eye(8, dtype=bool)].min() > 50
