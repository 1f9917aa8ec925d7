"""The pinhole camera and its conventions."""

import pytest
import torch

from multithumbs.geometry.projection import (
    MIN_DEPTH_M,
    intrinsics,
    project,
    projection_jacobian,
    unproject,
)
from multithumbs.geometry.robust import geman_mcclure, huber

HW = (720, 1280)


def test_the_optical_axis_hits_the_image_centre():
    K = intrinsics(torch.tensor(1000.0).double(), HW)
    uv = project(torch.tensor([[0.0, 0.0, 5.0]]).double(), K)
    assert uv.tolist() == [[640.0, 360.0]]


def test_x_is_right_and_y_is_down():
    K = intrinsics(torch.tensor(1000.0).double(), HW)
    right, down = project(torch.tensor([[1.0, 0.0, 5.0], [0.0, 1.0, 5.0]]).double(), K)
    assert right[0] == pytest.approx(840.0)
    assert down[1] == pytest.approx(560.0)


def test_unproject_undoes_project():
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(4, 30, 3, generator=generator).double() + 0.5
    K = intrinsics(torch.tensor([500.0, 900.0, 1500.0, 3000.0]).double(), HW)
    back = unproject(project(points, K), points[..., 2], K)
    torch.testing.assert_close(back, points, atol=1e-12, rtol=0)


def test_jacobian_against_autograd():
    K = intrinsics(torch.tensor(800.0).double(), HW)
    points = torch.rand(6, 3, generator=torch.Generator().manual_seed(1)).double() + 1
    full = torch.autograd.functional.jacobian(lambda p: project(p, K), points)
    expected = torch.stack([full[i, :, i] for i in range(6)])
    torch.testing.assert_close(projection_jacobian(points, K), expected)


def test_behind_the_camera_stays_finite():
    K = intrinsics(torch.tensor(800.0).double(), HW)
    points = torch.tensor([[0.1, 0.2, -1.0], [0.1, 0.2, MIN_DEPTH_M / 2]]).double()
    assert project(points, K).isfinite().all()
    assert (projection_jacobian(points, K)[..., 2] == 0).all()


@pytest.mark.parametrize("kernel", [geman_mcclure, huber])
def test_robust_weight_is_the_derivative_of_the_loss(kernel):
    squared = torch.linspace(1e-3, 25, 100).double().requires_grad_()
    loss, weight = kernel(squared, 2.0)
    (gradient,) = torch.autograd.grad(loss.sum(), squared)
    torch.testing.assert_close(weight.detach(), gradient)


@pytest.mark.parametrize("kernel", [geman_mcclure, huber])
def test_robust_kernels_are_quadratic_for_small_residuals(kernel):
    loss, weight = kernel(torch.tensor([1e-8]).double(), 2.0)
    assert loss.item() == pytest.approx(1e-8, rel=1e-6)
    assert weight.item() == pytest.approx(1.0, rel=1e-6)
