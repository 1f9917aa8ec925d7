"""VGGT's dense heads (DPT): a value and a confidence per pixel."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from multithumbs.config.boundaries_vggt import VggtArchitecture

_CHUNK = 8
"""Frames at once; memory only."""


class ResidualUnit(nn.Module):
    """Two convolutions; what is skipped is *relu(x)*, because upstream's ReLU works in place."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        x = x.relu()
        return self.conv2(self.conv1(x).relu()) + x


class Fusion(nn.Module):
    """Merge a coarser level with the features of this one, and enlarge."""

    def __init__(self, features: int, *, skip: bool) -> None:
        super().__init__()
        if skip:
            self.resConfUnit1 = ResidualUnit(features)
        self.resConfUnit2 = ResidualUnit(features)
        self.out_conv = nn.Conv2d(features, features, 1)

    def forward(
        self,
        x: Float[Tensor, "B C h w"],
        skip: Float[Tensor, "B C h w"] | None,
        size: tuple[int, int],
    ) -> Float[Tensor, "B C H W"]:
        if skip is not None:
            x = x + self.resConfUnit1(skip)
        return self.out_conv(_resize(self.resConfUnit2(x), size))


class Scratch(nn.Module):
    """Everything after the levels have been formed (named as upstream names it)."""

    def __init__(self, architecture: VggtArchitecture, outputs: int) -> None:
        super().__init__()
        features = architecture.dpt_features
        first, second, third, fourth = architecture.dpt_channels
        self.layer1_rn = nn.Conv2d(first, features, 3, padding=1, bias=False)
        self.layer2_rn = nn.Conv2d(second, features, 3, padding=1, bias=False)
        self.layer3_rn = nn.Conv2d(third, features, 3, padding=1, bias=False)
        self.layer4_rn = nn.Conv2d(fourth, features, 3, padding=1, bias=False)
        self.refinenet1 = Fusion(features, skip=True)
        self.refinenet2 = Fusion(features, skip=True)
        self.refinenet3 = Fusion(features, skip=True)
        self.refinenet4 = Fusion(features, skip=False)
        self.output_conv1 = nn.Conv2d(features, features // 2, 3, padding=1)
        self.output_conv2 = nn.Sequential(
            nn.Conv2d(features // 2, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, outputs, 1)
        )

    def forward(self, levels: list[Tensor]) -> Float[Tensor, "B C h w"]:
        reduce = (self.layer1_rn, self.layer2_rn, self.layer3_rn, self.layer4_rn)
        one, two, three, four = (conv(x) for conv, x in zip(reduce, levels, strict=True))
        out = self.refinenet4(four, None, _size(three))
        out = self.refinenet3(out, three, _size(two))
        out = self.refinenet2(out, two, _size(one))
        height, width = _size(one)
        return self.output_conv1(self.refinenet1(out, one, (2 * height, 2 * width)))


class DptHead(nn.Module):
    """Raw maps of all frames: the last channel is the confidence before its activation."""

    def __init__(self, architecture: VggtArchitecture, outputs: int) -> None:
        super().__init__()
        width, channels = 2 * architecture.width, architecture.dpt_channels
        self._taps, self._patch = architecture.taps, architecture.patch_size
        self.norm = nn.LayerNorm(width)
        self.projects = nn.ModuleList(nn.Conv2d(width, out, 1) for out in channels)
        self.resize_layers = nn.ModuleList(
            [
                nn.ConvTranspose2d(channels[0], channels[0], 4, stride=4),
                nn.ConvTranspose2d(channels[1], channels[1], 2, stride=2),
                nn.Identity(),
                nn.Conv2d(channels[3], channels[3], 3, stride=2, padding=1),
            ]
        )
        self.scratch = Scratch(architecture, outputs)

    def forward(
        self,
        tokens: Mapping[int, Float[Tensor, "B S N C"]],
        special: int,
        hw: tuple[int, int],
    ) -> Float[Tensor, "B S out H W"]:
        """``special`` tokens of each frame come before its patches."""
        batch, frames = tokens[self._taps[0]].shape[:2]
        taps = [tokens[tap].flatten(0, 1)[:, special:] for tap in self._taps]
        chunks = [
            self._chunk([tap[start : start + _CHUNK] for tap in taps], hw)
            for start in range(0, batch * frames, _CHUNK)
        ]
        return torch.cat(chunks).unflatten(0, (batch, frames))

    def _chunk(self, taps: list[Tensor], hw: tuple[int, int]) -> Float[Tensor, "B out H W"]:
        grid = (hw[0] // self._patch, hw[1] // self._patch)
        aspect = hw[1] / hw[0]
        levels = []
        for tap, project, resize in zip(taps, self.projects, self.resize_layers, strict=True):
            level = project(self.norm(tap).transpose(1, 2).unflatten(2, grid))
            levels.append(resize(level + _position_map(level, aspect)))
        out = _resize(self.scratch(levels), hw)
        return self.scratch.output_conv2(out + _position_map(out, aspect))


def depth_and_confidence(
    raw: Float[Tensor, "B S 2 H W"],
) -> tuple[Float[Tensor, "B S H W"], Float[Tensor, "B S H W"]]:
    """Depth along the optical axis (scene units) and a confidence of at least 1."""
    return raw[:, :, 0].exp(), 1 + raw[:, :, 1].exp()


def points_and_confidence(
    raw: Float[Tensor, "B S 4 H W"],
) -> tuple[Float[Tensor, "B S H W 3"], Float[Tensor, "B S H W"]]:
    """Points in the first camera (scene units) and a confidence of at least 1."""
    value = raw[:, :, :3].movedim(2, -1)
    return value.sign() * value.abs().expm1(), 1 + raw[:, :, 3].exp()


def _position_map(like: Float[Tensor, "B C h w"], aspect: float) -> Float[Tensor, "C h w"]:
    """A tenth of sines and cosines of the pixel's place, the image's diagonal spanning two.

    The first half of the channels holds x (sines, then cosines), the second half y.
    """
    channels, height, width = like.shape[1:]
    diagonal = (aspect**2 + 1) ** 0.5

    def line(count: int, half_extent: float) -> Tensor:
        end = half_extent * (count - 1) / count
        return torch.linspace(-end, end, count, dtype=torch.float64, device=like.device)

    quarter = channels // 4
    rate = 100 ** -(torch.arange(quarter, dtype=torch.float64, device=like.device) / quarter)

    def waves(place: Tensor) -> Tensor:
        angle = rate[:, None] * place
        return torch.cat([angle.sin(), angle.cos()])

    x = waves(line(width, aspect / diagonal))[:, None].expand(-1, height, -1)
    y = waves(line(height, 1 / diagonal))[:, :, None].expand(-1, -1, width)
    return 0.1 * torch.cat([x, y]).to(like.dtype)


def _size(x: Float[Tensor, "B C h w"]) -> tuple[int, int]:
    return x.shape[2], x.shape[3]


def _resize(x: Float[Tensor, "B C h w"], size: tuple[int, int]) -> Float[Tensor, "B C H W"]:
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=True)
