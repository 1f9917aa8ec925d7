"""`result.npz` means what the documentation says, checked with smplx itself."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from multithumbs.export.result import build_result, load_result, save_result
from multithumbs.geometry.projection import project
from multithumbs.geometry.rotations import axis_angle_from_matrix, matrix_from_axis_angle
from multithumbs.types import Cameras, People, Shots, VideoInfo


@pytest.fixture(scope="module")
def scene(body, two_islands):
    """The artifacts of which `two_islands` would be the result, made by leaving `ground`."""
    ground = two_islands
    ground_from_world = np.stack([np.eye(4), np.eye(4)])
    turn = torch.tensor([[0.3, -0.2, 0.1], [-1.0, 0.4, 2.0]], dtype=torch.float64)
    ground_from_world[:, :3, :3] = matrix_from_axis_angle(turn).numpy()
    ground_from_world[:, :3, 3] = [(0.5, 1.4, -2.0), (3.0, 1.1, 0.2)]
    world_from_ground = np.linalg.inv(ground_from_world)
    people = People(
        person=ground.person,
        frame=ground.frame,
        shot=ground.shot,
        island=ground.island,
        pose=ground.pose,
        betas=ground.betas,
        transl=ground.transl,
        joints_ground=ground.joints_world,
        observed=ground.observed,
        confidence=ground.confidence,
        ground_from_world=ground_from_world,
    )
    cameras = Cameras(
        frame=ground.camera_frame,
        shot=ground.camera_frame // 12,
        island=ground.camera_island,
        K=ground.K,
        world_from_cam=world_from_ground[ground.camera_island] @ ground.world_from_cam,
        tracked=np.ones(len(ground.camera_frame), bool),
        metres_per_unit=np.ones(2),
        scale_source=("none", "none"),
        island_of_shot=np.array([0, 1]),
        cut_residual_m=np.array([np.nan]),
        cut_scale=np.ones(1),
    )
    return people, cameras


def test_smplx_gives_world_vertices_that_project_where_the_bodies_were(
    body, scene, two_islands, tmp_path
):
    people, cameras = scene
    start, end = two_islands.shot_start, two_islands.shot_end
    result = build_result(
        info=VideoInfo(
            sha256="0" * 64,
            hw=(180, 320),
            frame_rate=Fraction(25),
            timestamps_s=np.arange(24) / 25,
        ),
        shots=Shots(
            start=start, end=end, clean_start=start, clean_end=end, transition=np.array([0, 1])
        ),
        cameras=cameras,
        people=people,
        body_model=body.name,
        profile="embedded",
        licences=(),
    )
    save_result(result, tmp_path / "result.npz")
    result = load_result(tmp_path / "result.npz")
    rows = np.flatnonzero(result.frame % 7 == 3)
    tensors = {
        name: torch.from_numpy(getattr(result, name)[rows])
        for name in ("global_orient", "body_pose", "betas", "transl")
    }
    posed = body.smplx_layer(**tensors)
    np.testing.assert_allclose(
        # smplx adds 1e-8 to every rotation vector before it takes its length.
        posed.joints[:, :24].numpy(),
        result.joints_world[rows],
        rtol=0,
        atol=1e-7,
    )

    # The same bodies as the bodies stage had them: in the camera, rotated about their pelvis.
    camera = np.searchsorted(result.camera_frame, result.frame[rows])
    cam_from_ground = torch.from_numpy(np.linalg.inv(two_islands.world_from_cam[camera]))
    rotation = cam_from_ground[:, :3, :3]
    orient = axis_angle_from_matrix(rotation @ matrix_from_axis_angle(tensors["global_orient"]))
    pelvis = body.rest_joints(tensors["betas"])[:, 0]
    pelvis_cam = (rotation @ (pelvis + tensors["transl"])[..., None])[..., 0]
    transl = pelvis_cam + cam_from_ground[:, :3, 3] - pelvis
    pose = torch.cat([orient[:, None], tensors["body_pose"].unflatten(1, (23, 3))], dim=1)
    vertices_cam = body.vertices(pose, tensors["betas"], transl)
    expected = project(vertices_cam, torch.from_numpy(cameras.K[camera]))

    K = torch.from_numpy(result.K[camera])
    cam_from_world = torch.from_numpy(np.linalg.inv(result.world_from_cam[camera]))
    seen = (posed.vertices @ cam_from_world[:, :3, :3].mT) + cam_from_world[:, None, :3, 3]
    np.testing.assert_allclose(project(seen, K).numpy(), expected.numpy(), rtol=0, atol=1e-4)


def test_the_floor_is_at_zero_and_up_is_y(two_shots):
    feet = two_shots.joints_world[:, [10, 11], 1].min(1)
    head = two_shots.joints_world[:, 15, 1]
    assert (head > feet + 1).all()
    assert np.abs(feet).max() < 0.3
