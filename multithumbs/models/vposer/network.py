"""A variational auto-encoder of body poses: what a human pose looks like, in 32 numbers."""

from typing import Final, NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from multithumbs.config.people import VPoserArchitecture
from multithumbs.geometry.rotations import axis_angle_from_matrix

JOINTS: Final = 21
"""SMPL's joints 1 to 21: neither the root nor the hands."""
_PREFIX: Final = "vp_model."


class Posterior(NamedTuple):
    """Independent normal distributions of the latent numbers."""

    mean: Float[Tensor, "*batch Z"]
    std: Float[Tensor, "*batch Z"]


class _NormalHead(nn.Module):
    def __init__(self, neurons: int, latent: int) -> None:
        super().__init__()
        self.mu = nn.Linear(neurons, latent)
        self.logvar = nn.Linear(neurons, latent)  # its softplus is the standard deviation

    def forward(self, x: Float[Tensor, "N C"]) -> Posterior:
        return Posterior(self.mu(x), functional.softplus(self.logvar(x)))


class VPoser(nn.Module):
    """Version 2 (V02_05); state-dict names are the official ones. Meant for evaluation mode."""

    def __init__(self, architecture: VPoserArchitecture) -> None:
        super().__init__()
        neurons, latent, size = architecture.neurons, architecture.latent, 3 * JOINTS
        self.encoder_net = nn.Sequential(
            nn.Flatten(),
            nn.BatchNorm1d(size),
            nn.Linear(size, neurons),
            nn.LeakyReLU(),
            nn.BatchNorm1d(neurons),
            nn.Dropout(0.1),
            nn.Linear(neurons, neurons),
            nn.Linear(neurons, neurons),
            _NormalHead(neurons, latent),
        )
        self.decoder_net = nn.Sequential(
            nn.Linear(latent, neurons),
            nn.LeakyReLU(),
            nn.Dropout(0.1),
            nn.Linear(neurons, neurons),
            nn.LeakyReLU(),
            nn.Linear(neurons, 6 * JOINTS),
        )

    def encode(self, pose: Float[Tensor, "N 21 3"] | Float[Tensor, "N 63"]) -> Posterior:
        """The latent numbers of parent-relative axis-angle poses (radians)."""
        return self.encoder_net(pose)

    def decode(self, latent: Float[Tensor, "N Z"]) -> Float[Tensor, "N 21 3 3"]:
        """Rotation matrices of the joints.

        The network's pairs are the first two columns of a matrix, interleaved row by row.
        """
        columns = self.decoder_net(latent).unflatten(-1, (JOINTS, 3, 2))
        first = functional.normalize(columns[..., 0], dim=-1)
        along = (first * columns[..., 1]).sum(-1, keepdim=True)
        second = functional.normalize(columns[..., 1] - along * first, dim=-1)
        return torch.stack([first, second, torch.linalg.cross(first, second)], -1)

    def decode_axis_angle(self, latent: Float[Tensor, "N Z"]) -> Float[Tensor, "N 21 3"]:
        """The same as axis-angle vectors; differentiable at the identity, where upstream is NaN."""
        return axis_angle_from_matrix(self.decode(latent))

    def linearise(
        self, pose: Float[Tensor, "N 63"]
    ) -> tuple[Float[Tensor, "N Z"], Float[Tensor, "N Z 63"]]:
        """The posterior mean and its derivative by the pose, in closed form.

        The encoder bends once, in its LeakyReLU; everything behind that is one matrix.
        """
        net = self.encoder_net
        first, second, third = (cast(nn.Linear, net[i]) for i in (2, 6, 7))
        mean_layer = cast(_NormalHead, net[8]).mu
        enter = net[:3](pose)
        slope = torch.ones_like(enter).masked_fill(
            enter <= 0, cast(nn.LeakyReLU, net[3]).negative_slope
        )
        behind = mean_layer.weight @ third.weight @ second.weight * _gain(net[4])
        derivative = (behind * slope[:, None]) @ (first.weight * _gain(net[1]))
        return mean_layer(net[3:8](enter)), derivative


def _gain(norm: nn.Module) -> Float[Tensor, " C"]:
    """What batch normalisation multiplies by in evaluation mode."""
    norm = cast(nn.BatchNorm1d, norm)
    return norm.weight / (cast(Tensor, norm.running_var) + norm.eps).sqrt()


def official_key(name: str) -> str | None:
    """Ours of a name in the released checkpoint, which also holds a body model; None for that."""
    bare = name.removeprefix(_PREFIX)
    return bare if bare.startswith(("encoder_net.", "decoder_net.")) else None
