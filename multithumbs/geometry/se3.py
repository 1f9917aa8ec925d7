"""The group of rigid transforms: exponential, adjoint and the steps of an optimiser.

A twist is ``[translation, rotation]``; a step is applied from the left, ``T <- exp(twist) T``.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from multithumbs.geometry import rigid
from multithumbs.geometry.rotations import left_jacobian, matrix_from_axis_angle, skew


def exponential(twist: Float[Tensor, "*batch 6"]) -> Float[Tensor, "*batch 4 4"]:
    """The transform that a constant twist reaches in unit time."""
    rotation = twist[..., 3:]
    translation = left_jacobian(rotation) @ twist[..., :3, None]
    return rigid.compose(matrix_from_axis_angle(rotation), translation[..., 0])


def adjoint(a_from_b: Float[Tensor, "*batch 4 4"]) -> Float[Tensor, "*batch 6 6"]:
    """``Ad`` with ``a_from_b exp(twist_b) = exp(Ad twist_b) a_from_b``."""
    rotation = a_from_b[..., :3, :3]
    coupled = skew(a_from_b[..., :3, 3]) @ rotation
    top = torch.cat([rotation, coupled], dim=-1)
    bottom = torch.cat([torch.zeros_like(rotation), rotation], dim=-1)
    return torch.cat([top, bottom], dim=-2)


def retract(
    a_from_b: Float[Tensor, "*batch 4 4"], twist_a: Float[Tensor, "*batch 6"]
) -> Float[Tensor, "*batch 4 4"]:
    """``exp(twist_a) a_from_b``, with a rotation that stays one over thousands of steps."""
    moved = exponential(twist_a) @ a_from_b
    rotation = moved[..., :3, :3]
    # One Newton step towards the nearest rotation; the error was rounding, and is squared.
    gram = rotation.transpose(-1, -2) @ rotation
    eye = torch.eye(3, dtype=moved.dtype, device=moved.device)
    return rigid.compose(rotation @ (1.5 * eye - 0.5 * gram), moved[..., :3, 3])
