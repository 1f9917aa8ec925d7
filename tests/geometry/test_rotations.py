"""Rotation identities in float64, with the hard angles (0, tiny, pi) among the inputs."""

import math

import pytest
import torch

from multithumbs.geometry.rotations import (
    angle_between,
    axis_angle_from_matrix,
    left_jacobian,
    matrix_from_axis_angle,
    matrix_from_quaternion,
    mean_rotation,
    nearest_rotation,
    quaternion_from_matrix,
    rotation_between,
    skew,
)


@pytest.fixture
def axis_angles() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    axes = torch.randn(200, 3, generator=generator, dtype=torch.float64)
    axes /= axes.norm(dim=-1, keepdim=True)
    hard = [0.0, 1e-12, 1e-7, 1e-3, 1e-2, math.pi - 1e-6, math.pi - 1e-12]
    special = torch.tensor(hard, dtype=torch.float64)
    angles = torch.cat([special, torch.linspace(0.02, 3.1, 193, dtype=torch.float64)])
    return axes * angles[:, None]


def test_exponential_makes_rotations(axis_angles):
    matrix = matrix_from_axis_angle(axis_angles)
    eye = torch.eye(3, dtype=torch.float64).expand_as(matrix)
    torch.testing.assert_close(matrix @ matrix.mT, eye, atol=1e-14, rtol=0)
    torch.testing.assert_close(torch.det(matrix), torch.ones(200).double())


def test_exponential_is_the_matrix_exponential(axis_angles):
    expected = torch.matrix_exp(skew(axis_angles))
    torch.testing.assert_close(matrix_from_axis_angle(axis_angles), expected, atol=1e-13, rtol=0)


def test_logarithm_undoes_the_exponential(axis_angles):
    back = axis_angle_from_matrix(matrix_from_axis_angle(axis_angles))
    # At pi the axis' sign is free, so compare rotations there and vectors elsewhere.
    below = axis_angles.norm(dim=-1) < math.pi - 1e-5
    torch.testing.assert_close(back[below], axis_angles[below], atol=1e-9, rtol=0)
    torch.testing.assert_close(
        matrix_from_axis_angle(back), matrix_from_axis_angle(axis_angles), atol=1e-9, rtol=0
    )


def test_exponential_is_differentiable_at_zero():
    zero = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    jacobian = torch.autograd.functional.jacobian(matrix_from_axis_angle, zero)
    for axis in range(3):
        expected = skew(torch.eye(3, dtype=torch.float64)[axis])
        torch.testing.assert_close(jacobian[..., axis], expected)


def test_left_jacobian_against_finite_differences(axis_angles):
    step = 1e-7 * torch.randn(200, 3, generator=torch.Generator().manual_seed(1)).double()
    moved = matrix_from_axis_angle(axis_angles + step)
    pushed = (left_jacobian(axis_angles) @ step[..., None])[..., 0]
    expected = matrix_from_axis_angle(pushed) @ matrix_from_axis_angle(axis_angles)
    torch.testing.assert_close(moved, expected, atol=1e-12, rtol=0)


def test_quaternions_round_trip(axis_angles):
    matrix = matrix_from_axis_angle(axis_angles)
    quaternion = quaternion_from_matrix(matrix)
    assert (quaternion[..., 0] >= 0).all()
    torch.testing.assert_close(matrix_from_quaternion(quaternion), matrix, atol=1e-13, rtol=0)


def test_angle_between_is_the_angle_of_the_step(axis_angles):
    start = matrix_from_axis_angle(axis_angles.flip(0))
    step = matrix_from_axis_angle(axis_angles)
    expected = axis_angles.norm(dim=-1)
    torch.testing.assert_close(angle_between(start, start @ step), expected, atol=1e-7, rtol=0)


def test_rotation_between_takes_one_direction_to_the_other():
    generator = torch.Generator().manual_seed(2)
    a = torch.randn(50, 3, generator=generator, dtype=torch.float64)
    b = torch.randn(50, 3, generator=generator, dtype=torch.float64)
    b[0], b[1] = a[0], -a[1]
    rotated = (rotation_between(a, b) @ a[..., None])[..., 0]
    direction = b / b.norm(dim=-1, keepdim=True) * a.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(rotated, direction, atol=1e-9, rtol=0)


def test_nearest_rotation_keeps_rotations_and_never_reflects(axis_angles):
    matrix = matrix_from_axis_angle(axis_angles)
    torch.testing.assert_close(nearest_rotation(2 * matrix), matrix, atol=1e-12, rtol=0)
    mirrored = torch.diag(torch.tensor([1.0, 1.0, -1.0])).double()
    assert torch.det(nearest_rotation(mirrored)) == pytest.approx(1.0)


def test_mean_rotation_of_opposite_steps_is_the_middle():
    middle = matrix_from_axis_angle(torch.tensor([0.3, -0.2, 0.9]).double())
    step = matrix_from_axis_angle(torch.tensor([[0.0, 0.4, 0.0], [0.0, -0.4, 0.0]]).double())
    mean = mean_rotation(middle @ step, torch.ones(2).double())
    torch.testing.assert_close(mean, middle)
