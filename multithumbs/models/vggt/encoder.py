"""DINOv2 with registers: VGGT's image encoder (``aggregator.patch_embed``)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from multithumbs.config.boundaries_vggt import VggtArchitecture
from multithumbs.models.vggt.layers import Block


class PatchEmbed(nn.Module):
    """Non-overlapping patches as tokens, row by row."""

    def __init__(self, architecture: VggtArchitecture) -> None:
        super().__init__()
        size = architecture.patch_size
        self.proj = nn.Conv2d(3, architecture.width, kernel_size=size, stride=size)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B P C"]:
        return self.proj(images).flatten(2).transpose(1, 2)


class Encoder(nn.Module):
    """Normalised patch tokens of images that are already normalised."""

    def __init__(self, architecture: VggtArchitecture) -> None:
        super().__init__()
        width = architecture.width
        self._grid = architecture.image_size // architecture.patch_size
        self._patch = architecture.patch_size
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + self._grid**2, width))
        self.register_tokens = nn.Parameter(torch.zeros(1, architecture.registers, width))
        self.mask_token = nn.Parameter(torch.zeros(1, width))  # stored, never used
        self.patch_embed = PatchEmbed(architecture)
        self.blocks = nn.ModuleList(
            Block(width, architecture.encoder_heads, architecture.mlp_ratio, eps=1e-6, scale=1.0)
            for _ in range(architecture.encoder_depth)
        )
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B P C"]:
        count, _, height, width = images.shape
        tokens = self.patch_embed(images)
        tokens = torch.cat([self.cls_token.expand(count, -1, -1), tokens], 1)
        tokens = tokens + self._positions(height // self._patch, width // self._patch)
        registers = self.register_tokens.expand(count, -1, -1)
        tokens = torch.cat([tokens[:, :1], registers, tokens[:, 1:]], 1)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)[:, 1 + registers.shape[1] :]

    def _positions(self, rows: int, columns: int) -> Float[Tensor, "1 N C"]:
        """Position embeddings of a grid; the trained square one is resized where it differs."""
        if rows == columns == self._grid:
            return self.pos_embed
        trained = self.pos_embed[:, 1:].unflatten(1, (self._grid, self._grid)).permute(0, 3, 1, 2)
        precise = trained if trained.dtype == torch.float64 else trained.float()
        resized = functional.interpolate(
            precise, size=(rows, columns), mode="bicubic", antialias=True
        )
        patches = resized.permute(0, 2, 3, 1).flatten(1, 2).to(self.pos_embed.dtype)
        return torch.cat([self.pos_embed[:, :1], patches], 1)
