"""The ray-caster against shapes whose depth is known in closed form."""

import subprocess
import sys

import numpy as np
import pytest
import trimesh

from multithumbs.errors import BackendUnavailable
from multithumbs.render.raycast import Mesh, PixelGrid, cast, covered_tiles, raycast
from multithumbs.render.runtime import warp_device

HW = (120, 160)
K = np.array([[200.0, 0, 80], [0, 200.0, 60], [0, 0, 1]])


def rays(stride: int = 1) -> np.ndarray:
    grid = PixelGrid.of(K, HW, stride)
    v, u = np.mgrid[: grid.hw[0], : grid.hw[1]] + 0.5
    return np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(grid.K).T


def quad(left: float, right: float, top: float, bottom: float, z: float):
    vertices = np.array([[left, top, z], [right, top, z], [right, bottom, z], [left, bottom, z]])
    return vertices, np.array([[0, 1, 2], [0, 2, 3]])


def test_a_sphere_has_the_depth_of_its_equation():
    sphere = trimesh.creation.icosphere(subdivisions=6, radius=0.5)
    centre = np.array([0.1, -0.05, 3.0])
    hits = raycast(np.asarray(sphere.vertices) + centre, np.asarray(sphere.faces), K, HW)
    ray = rays()
    a, b = (ray**2).sum(-1), ray @ centre
    root = b**2 - a * (centre @ centre - 0.25)
    truth = (b - np.sqrt(np.maximum(root, 0))) / a
    inner = root > 0.2  # away from the rim, where the depth is steep in the facets' error
    assert inner.sum() > 500
    assert np.abs(hits.depth - truth)[inner].max() < 3e-4  # the sphere's facets: 1e-4 of sagitta
    assert np.isinf(hits.depth[root < -0.05]).all()
    assert np.isfinite(hits.depth[root > 0.05]).all()


def test_a_slanted_plane_has_exact_depth_not_ray_length():
    normal, offset = np.array([0.3, -0.2, 1.0]), 4.0
    xy = np.array([[-20, -20], [20, -20], [20, 20], [-20, 20.0]])
    vertices = np.c_[xy, offset - xy @ normal[:2]]
    hits = raycast(vertices, np.array([[0, 1, 2], [0, 2, 3]]), K, HW)
    truth = offset / (rays() @ normal)
    assert np.abs(hits.depth - truth).max() < 1e-4


def test_an_edge_lies_where_half_pixel_centres_say():
    # The quad covers u in [50, 90): pixels 50..89 have their centres inside, 49 and 90 not.
    z = 2.0
    left, right = (np.array([50.0, 90.0]) - K[0, 2]) * z / K[0, 0]
    hits = raycast(*quad(left, right, -0.3, 0.3, z), K, HW)
    columns = np.flatnonzero(hits.face[60] >= 0)
    assert (columns[0], columns[-1]) == (50, 89)


def test_barycentrics_rebuild_the_ray():
    vertices = np.array([[-0.5, -0.4, 2.0], [0.6, -0.3, 3.0], [0.0, 0.7, 2.5]])
    faces = np.array([[0, 1, 2]])
    hits = raycast(vertices, faces, K, HW)
    hit = hits.face == 0
    weights = np.concatenate([hits.bary[hit], 1 - hits.bary[hit].sum(-1, keepdims=True)], -1)
    points = weights @ vertices
    assert hit.sum() > 1000
    np.testing.assert_allclose(points, rays()[hit] * hits.depth[hit][:, None], atol=1e-5)


def test_a_cube_shows_the_faces_that_look_at_the_camera():
    box = trimesh.creation.box(extents=(1, 1, 1))
    vertices = np.asarray(box.vertices) + np.array([-0.9, 0, 4.0])  # left: its +x side shows
    hits = raycast(vertices, np.asarray(box.faces), K, HW)
    seen = np.unique(hits.face[hits.face >= 0])
    normals = np.unique(np.round(np.asarray(box.face_normals)[seen]), axis=0)
    assert {tuple(n) for n in normals.astype(int)} == {(0, 0, -1), (1, 0, 0)}


def test_the_nearer_mesh_wins_and_is_named():
    far = Mesh(*quad(-2, 2, -2, 2, 5.0))
    near = Mesh(*quad(-0.2, 0.2, -0.2, 0.2, 2.0))
    hits = cast([far, near], K, HW)
    assert hits.mesh[60, 80] == 1 and hits.depth[60, 80] == pytest.approx(2.0)
    assert hits.mesh[5, 5] == 0 and hits.depth[5, 5] == pytest.approx(5.0)


def test_moving_a_mesh_equals_building_it_there():
    vertices, faces = quad(-0.3, 0.3, -0.3, 0.3, 2.0)
    mesh = Mesh(vertices, faces)
    moved = vertices + np.array([0.2, 0.1, 0.7])
    mesh.move(moved)
    np.testing.assert_array_equal(cast([mesh], K, HW).depth, raycast(moved, faces, K, HW).depth)
    with pytest.raises(ValueError, match="expected vertices"):
        mesh.move(vertices[:3])


def test_cam_from_world_equals_moving_the_points():
    vertices, faces = quad(-0.3, 0.5, -0.3, 0.2, 0.0)
    turn = trimesh.transformations.rotation_matrix(0.3, [0, 1, 0])
    turn[:3, 3] = [0.1, 0.0, 2.0]
    direct = raycast(vertices @ turn[:3, :3].T + turn[:3, 3], faces, K, HW)
    through = raycast(vertices, faces, K, HW, cam_from_world=turn)
    assert (through.face == direct.face).all()
    hit = direct.face >= 0
    np.testing.assert_allclose(through.depth[hit], direct.depth[hit], atol=1e-5)


def test_a_strided_grid_samples_the_centres_of_its_coarse_pixels():
    vertices = np.array([[-9, -9, 3.0], [9, -9, 6.0], [0, 12, 3.5]])
    hits = raycast(vertices, np.array([[0, 1, 2]]), K, HW, stride=3)
    assert hits.depth.shape == (40, 54)
    # The coarse pixel (i, j) has its centre on the fine pixel (3 i + 1, 3 j + 1).
    fine = raycast(vertices, np.array([[0, 1, 2]]), K, HW)
    np.testing.assert_allclose(hits.depth[:, :53], fine.depth[1::3, 1::3], rtol=1e-6)


def test_triangles_that_cross_the_camera_plane_are_not_lost():
    floor = np.array([[-50, 1.5, -50], [50, 1.5, -50], [0, 1.5, 80.0]])
    hits = raycast(floor, np.array([[0, 1, 2]]), K, HW)
    assert hits.depth[-1, 80] == pytest.approx(1.5 / rays()[-1, 80, 1], rel=1e-5)
    assert np.isinf(hits.depth[:60]).all()


def test_tiles_without_geometry_are_not_cast():
    mesh = Mesh(*quad(-0.05, 0.05, -0.05, 0.05, 2.0))  # 10 x 10 pixels around (80, 60)
    tiles = covered_tiles([mesh], PixelGrid.of(K, HW), np.eye(4))
    assert {tuple(t) for t in tiles} == {(3, 4), (3, 5), (4, 4), (4, 5)}
    behind = Mesh(*quad(-1, 1, -1, 1, -2.0))
    assert len(covered_tiles([behind], PixelGrid.of(K, HW), np.eye(4))) == 0
    assert (cast([behind], K, HW).mesh == -1).all()


def test_no_meshes_is_an_empty_image():
    hits = cast([], K, HW)
    assert np.isinf(hits.depth).all() and (hits.face == -1).all()


def test_a_missing_device_is_one_clear_line():
    with pytest.raises(BackendUnavailable, match="cuda:77") as caught:
        warp_device("cuda:77")
    assert "\n" not in str(caught.value)


def test_starting_warp_prints_nothing():
    code = "from multithumbs.render.runtime import warp_device; warp_device('cpu')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b"" and done.stderr == b""
