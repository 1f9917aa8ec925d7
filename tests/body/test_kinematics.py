"""Derivatives against central differences, in float64."""

import pytest
import torch

from multithumbs.body.kinematics import chain_levels, forward_kinematics, moving_pairs
from multithumbs.geometry.rotations import matrix_from_axis_angle
from multithumbs.types.skeleton import JOINT_PARENTS

STEP = 1e-6


def test_forward_kinematics_walks_the_chain(random_people) -> None:
    pose, _, _ = random_people(2)
    rotmats = matrix_from_axis_angle(pose)
    rest = torch.randn(2, 24, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    frames = forward_kinematics(rotmats, rest, JOINT_PARENTS)
    for person in range(2):
        for joint, parent in enumerate(JOINT_PARENTS):
            local = rotmats[person, joint]
            if parent < 0:
                rotation, position = local, rest[person, joint]
            else:
                step = rest[person, joint] - rest[person, parent]
                rotation = frames.rotations[person, parent] @ local
                position = (
                    frames.rotations[person, parent] @ step + frames.positions[person, parent]
                )
            torch.testing.assert_close(frames.rotations[person, joint], rotation)
            torch.testing.assert_close(frames.positions[person, joint], position)


def test_forward_kinematics_takes_any_order_of_joints_and_any_batch() -> None:
    parents = (-1, 0, 1, 1, 0, 3, 4)
    rotmats = matrix_from_axis_angle(torch.randn(2, 3, 7, 3, dtype=torch.float64))
    rest = torch.randn(7, 3, dtype=torch.float64)
    frames = forward_kinematics(rotmats, rest, parents)
    assert frames.positions.shape == (2, 3, 7, 3)
    one = forward_kinematics(rotmats[1, 2], rest, parents)
    torch.testing.assert_close(frames.positions[1, 2], one.positions)
    torch.testing.assert_close(frames.rotations[1, 2], one.rotations)


def test_levels_and_moving_pairs() -> None:
    assert chain_levels((-1, 0, 1, 0)) == ((0,), (1, 3), (2,))
    points, joints = moving_pairs(((2, 3), ()), (-1, 0, 1, 0))
    assert (points, joints) == ((0, 0, 0, 0), (0, 1, 2, 3))


@pytest.mark.parametrize("name", ["body", "noise_body"])
def test_rotation_jacobians(random_people, name: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(name)
    pose, betas, transl = random_people(3)
    rotmats = matrix_from_axis_angle(pose)
    linear = model.linearise(rotmats, betas, transl)
    deltas = torch.eye(72, dtype=torch.float64).reshape(72, 1, 24, 3) * STEP
    shape = betas.expand(72, 3, 10), transl.expand(72, 3, 3)
    ahead = model.posed_by_matrices(rotmats @ matrix_from_axis_angle(deltas), *shape)
    behind = model.posed_by_matrices(rotmats @ matrix_from_axis_angle(-deltas), *shape)
    for analytic, plus, minus in (
        (linear.joints_by_rotation, ahead.joints, behind.joints),
        (linear.keypoints_by_rotation, ahead.keypoints, behind.keypoints),
    ):
        numeric = ((plus - minus) / (2 * STEP)).movedim(0, -1).unflatten(-1, (24, 3))
        torch.testing.assert_close(analytic, numeric, atol=1e-8, rtol=1e-7)


@pytest.mark.parametrize("name", ["body", "noise_body"])
def test_betas_jacobians(random_people, name: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(name)
    pose, betas, transl = random_people(3, seed=1)
    rotmats = matrix_from_axis_angle(pose)
    linear = model.linearise(rotmats, betas, transl)
    steps = torch.eye(10, dtype=torch.float64)[:, None] * STEP
    many = rotmats.expand(10, 3, 24, 3, 3)
    ahead = model.posed_by_matrices(many, betas + steps, transl.expand(10, 3, 3))
    behind = model.posed_by_matrices(many, betas - steps, transl.expand(10, 3, 3))
    for analytic, plus, minus in (
        (linear.joints_by_betas, ahead.joints, behind.joints),
        (linear.keypoints_by_betas, ahead.keypoints, behind.keypoints),
    ):
        numeric = ((plus - minus) / (2 * STEP)).movedim(0, -1)
        torch.testing.assert_close(analytic, numeric, atol=1e-8, rtol=1e-7)


@pytest.mark.parametrize("name", ["body", "noise_body"])
def test_linearise_agrees_with_posed(
    random_people, name: str, request: pytest.FixtureRequest
) -> None:
    model = request.getfixturevalue(name)
    pose, betas, transl = random_people(4, seed=2)
    linear = model.linearise(matrix_from_axis_angle(pose), betas, transl)
    posed = model.posed(pose, betas, transl)
    torch.testing.assert_close(linear.joints, posed.joints)
    torch.testing.assert_close(linear.keypoints, posed.keypoints)
