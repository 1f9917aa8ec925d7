"""Rigid transforms and similarities as 4x4 matrices ``a_from_b``."""

import torch
from jaxtyping import Float
from torch import Tensor

from multithumbs.geometry.rotations import nearest_rotation


def compose(
    rotation: Float[Tensor, "*batch 3 3"], translation: Float[Tensor, "*batch 3"]
) -> Float[Tensor, "*batch 4 4"]:
    """The transform ``x -> rotation @ x + translation`` (a scaled rotation gives a similarity)."""
    top = torch.cat([rotation, translation[..., None]], dim=-1)
    bottom = torch.zeros_like(top[..., :1, :])
    bottom[..., 3] = 1
    return torch.cat([top, bottom], dim=-2)


def apply(
    a_from_b: Float[Tensor, "*#batch 4 4"], points_b: Float[Tensor, "*#batch N 3"]
) -> Float[Tensor, "*batch N 3"]:
    """Transform points; batches broadcast."""
    return points_b @ a_from_b[..., :3, :3].transpose(-1, -2) + a_from_b[..., None, :3, 3]


def inverse(a_from_b: Float[Tensor, "*batch 4 4"]) -> Float[Tensor, "*batch 4 4"]:
    """``b_from_a`` of a rigid transform or of a similarity."""
    linear = a_from_b[..., :3, :3]
    scale_squared = (linear[..., :, 0] ** 2).sum(-1)[..., None, None]
    back = linear.transpose(-1, -2) / scale_squared
    return compose(back, -(back @ a_from_b[..., :3, 3:]).squeeze(-1))


def fit_similarity(
    points_a: Float[Tensor, "*batch N 3"],
    points_b: Float[Tensor, "*batch N 3"],
    weights: Float[Tensor, "*batch N"],
    *,
    with_scale: bool,
) -> Float[Tensor, "*batch 4 4"]:
    """``a_from_b`` that minimises ``sum_n w_n |a_n - a_from_b b_n|^2``.

    Kabsch's solution, and Umeyama's (1991) where ``with_scale``. The weights need a positive
    sum. With fewer than three points that are not in line the rotation is not unique; a
    rotation is still returned.
    """
    weights = weights / weights.sum(-1, keepdim=True)
    mean_a = (weights[..., None] * points_a).sum(-2)
    mean_b = (weights[..., None] * points_b).sum(-2)
    centred_a = points_a - mean_a[..., None, :]
    centred_b = points_b - mean_b[..., None, :]
    covariance = (weights[..., None] * centred_a).transpose(-1, -2) @ centred_b
    rotation = nearest_rotation(covariance)
    if with_scale:
        variance_b = (weights * (centred_b**2).sum(-1)).sum(-1)
        trace = (rotation * covariance).sum((-2, -1))
        rotation = rotation * (trace / variance_b.clamp_min(1e-12))[..., None, None]
    return compose(rotation, mean_a - (rotation @ mean_b[..., None]).squeeze(-1))


def eye(like: Float[Tensor, "..."]) -> Float[Tensor, "4 4"]:
    """Identity of the dtype and device of ``like``."""
    return torch.eye(4, dtype=like.dtype, device=like.device)
