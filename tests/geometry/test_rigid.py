"""Transforms compose, invert and are recovered from points."""

import pytest
import torch

from multithumbs.geometry.rigid import apply, compose, eye, fit_similarity, inverse
from multithumbs.geometry.rotations import matrix_from_axis_angle


@pytest.fixture
def a_from_b() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    rotation = matrix_from_axis_angle(torch.randn(20, 3, generator=generator).double())
    return compose(rotation, torch.randn(20, 3, generator=generator).double())


def test_inverse_undoes_rigid_and_similar(a_from_b):
    scaled = a_from_b.clone()
    scaled[:, :3, :3] *= torch.linspace(0.1, 4, 20).double()[:, None, None]
    for transform in (a_from_b, scaled):
        identity = eye(transform).expand_as(transform)
        torch.testing.assert_close(transform @ inverse(transform), identity, atol=1e-12, rtol=0)


def test_apply_is_matrix_multiplication(a_from_b):
    points = torch.randn(20, 7, 3, generator=torch.Generator().manual_seed(1)).double()
    homogeneous = torch.cat([points, torch.ones(20, 7, 1).double()], -1)
    expected = (a_from_b @ homogeneous.mT).mT[..., :3]
    torch.testing.assert_close(apply(a_from_b, points), expected)


def test_apply_broadcasts_one_transform_over_many_clouds(a_from_b):
    points = torch.randn(5, 7, 3, generator=torch.Generator().manual_seed(1)).double()
    assert apply(a_from_b[0], points).shape == (5, 7, 3)


@pytest.mark.parametrize("scale", [1.0, 0.3, 7.0])
def test_similarity_is_recovered_exactly(a_from_b, scale):
    truth = a_from_b.clone()
    truth[:, :3, :3] *= scale
    points_b = torch.randn(20, 9, 3, generator=torch.Generator().manual_seed(2)).double()
    weights = torch.rand(20, 9, generator=torch.Generator().manual_seed(3)).double() + 0.1
    found = fit_similarity(apply(truth, points_b), points_b, weights, with_scale=scale != 1.0)
    torch.testing.assert_close(found, truth, atol=1e-10, rtol=0)


def test_zero_weight_ignores_a_point(a_from_b):
    points_b = torch.randn(20, 9, 3, generator=torch.Generator().manual_seed(2)).double()
    points_a = apply(a_from_b, points_b)
    points_a[:, 0] += 100.0
    weights = torch.ones(20, 9).double()
    weights[:, 0] = 0
    found = fit_similarity(points_a, points_b, weights, with_scale=False)
    torch.testing.assert_close(found, a_from_b, atol=1e-10, rtol=0)


def test_mirrored_points_still_give_a_rotation():
    points = torch.randn(9, 3, generator=torch.Generator().manual_seed(4)).double()
    mirrored = points * torch.tensor([1.0, 1.0, -1.0])
    found = fit_similarity(mirrored, points, torch.ones(9).double(), with_scale=False)
    assert torch.det(found[:3, :3]) == pytest.approx(1.0)
