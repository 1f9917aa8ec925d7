"""The appearance encoder: a UV texture with its mask in, one vector out."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

PREFIX_LENGTH = 5
"""Characters before every name in the released file, which PHALP's own loader drops."""
TEXTURE_SCALE = 5.0
"""What PHALP divides normalised colours by before it encodes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """Channels of the encoder's layers; the defaults are the released network's."""

    channels: tuple[int, int, int, int, int] = (16, 64, 128, 256, 256)
    """After conv1x, conv2, conv3, conv4 and conv5."""
    code: int = 16
    """Channels of the result, at a sixteenth of the texture's side."""


class AppearanceEncoder(nn.Module):
    """Six 3x3 convolutions, each rectified, with four halvings between (encode type ``4c``).

    Tensor names are those of the released file after its first five characters
    (``encoding_head.conv1x.weight``).
    """

    def __init__(self, architecture: Architecture | None = None) -> None:
        super().__init__()
        self.architecture = architecture or Architecture()
        self.encoding_head = _Layers(self.architecture)

    def forward(self, uv: Float[Tensor, "B 4 S S"]) -> Float[Tensor, "B D"]:
        """Codes of textures as `process_uv_image` makes them.

        At side 256 and full size D is 4096: channels, rows, columns of a 16 x 16 x 16 map.
        """
        return self.encoding_head(uv).flatten(1)


class _Layers(nn.Module):
    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        first, second, third, fourth, fifth = architecture.channels
        self.conv1x = nn.Conv2d(4, first, 3, padding=1)
        self.conv2 = nn.Conv2d(first, second, 3, padding=1)
        self.conv3 = nn.Conv2d(second, third, 3, padding=1)
        self.conv4 = nn.Conv2d(third, fourth, 3, padding=1)
        self.conv5 = nn.Conv2d(fourth, fifth, 3, padding=1)
        self.conv5_1 = nn.Conv2d(fifth, architecture.code, 3, padding=1)

    def forward(self, uv: Float[Tensor, "B 4 S S"]) -> Float[Tensor, "B C s s"]:
        x = uv
        for layer in (self.conv1x, self.conv2, self.conv3, self.conv4):
            # No halving before the first of these, one after each of the four.
            x = functional.max_pool2d(functional.relu(layer(x)), 2)
        return functional.relu(self.conv5_1(functional.relu(self.conv5(x))))


def encoder_name(official: str) -> str | None:
    """Our name of a tensor of the released file, or None for one that tracking does not need.

    The backbone, the texture head, the body head and the decoder (``t_*``) are dropped: HMR2
    and projected textures replace them (facts/phalp.md section 2).
    """
    start = official.find("encoding_head.")
    if start not in (0, PREFIX_LENGTH):
        return None
    name = official[start:]
    return None if name.startswith("encoding_head.t_") else name


def process_uv_image(uv: Float[Tensor, "B 4 S S"]) -> Float[Tensor, "B 4 S S"]:
    """A sampled texture as the encoder wants it (facts/phalp.md section 3).

    Channels 0 to 2 are ImageNet-normalised RGB, channel 3 the sampled mask. Colours are divided
    by five and set to 0 where the mask is exactly 0; the mask becomes +1 and -1.
    """
    seen = uv[:, 3:] != 0
    rgb = torch.where(seen, uv[:, :3] / TEXTURE_SCALE, torch.zeros_like(uv[:, :3]))
    mask = torch.where(seen, 1.0, -1.0).to(uv.dtype)
    return torch.cat([rgb, mask], dim=1)
