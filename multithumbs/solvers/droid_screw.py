"""The twist of a rigid motion: the logarithm of SE(3), translation first."""

import torch
from jaxtyping import Float
from torch import Tensor

from multithumbs.geometry.rotations import axis_angle_from_matrix, left_jacobian


def screw(motion: Float[Tensor, "*batch 4 4"]) -> Float[Tensor, "*batch 6"]:
    """The twist whose `geometry.se3.exponential` is ``motion`` (angles below pi)."""
    turn = axis_angle_from_matrix(motion[..., :3, :3])
    along = torch.linalg.solve(left_jacobian(turn), motion[..., :3, 3:])[..., 0]
    return torch.cat([along, turn], dim=-1)
