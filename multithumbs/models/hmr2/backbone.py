"""HMR2's image backbone: the ViT of ViTPose-H (``facts/hmr2.md`` section 3.1)."""

from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from multithumbs.config.bodies import Hmr2Architecture

PATCH: Final = 16
PADDING: Final = 2
"""The patches start two pixels outside the image, though it divides into them evenly."""
GRID_HW: Final = (16, 12)
NORM_EPS: Final = 1e-6


class Attention(nn.Module):
    """Multi-head self-attention; one projection holds queries, keys and values in this order."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Float[Tensor, "B N C"]) -> Float[Tensor, "B N C"]:
        qkv = self.qkv(tokens).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(*qkv.unbind(0))
        return self.proj(mixed.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Two layers with an exact GELU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, tokens: Float[Tensor, "B N C"]) -> Float[Tensor, "B N C"]:
        return self.fc2(functional.gelu(self.fc1(tokens)))


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=NORM_EPS)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=NORM_EPS)
        self.mlp = Mlp(width, hidden)

    def forward(self, tokens: Float[Tensor, "B N C"]) -> Float[Tensor, "B N C"]:
        tokens = tokens + self.attn(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))


class PatchEmbedding(nn.Module):
    """Tokens of 16 x 16 pixels, row by row."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, PATCH, stride=PATCH, padding=PADDING)

    def forward(self, image: Float[Tensor, "B 3 256 192"]) -> Float[Tensor, "B 192 C"]:
        return self.proj(image).flatten(2).transpose(1, 2)


class Backbone(nn.Module):
    """A normalised image to a 16 x 12 map of features."""

    def __init__(self, architecture: Hmr2Architecture) -> None:
        super().__init__()
        width = architecture.width
        positions = 1 + GRID_HW[0] * GRID_HW[1]
        self.pos_embed = nn.Parameter(torch.zeros(1, positions, width))
        self.patch_embed = PatchEmbedding(width)
        self.blocks = nn.ModuleList(
            Block(width, architecture.heads, architecture.mlp_ratio * width)
            for _ in range(architecture.depth)
        )
        self.last_norm = nn.LayerNorm(width, eps=NORM_EPS)

    def forward(self, image: Float[Tensor, "B 3 256 192"]) -> Float[Tensor, "B C 16 12"]:
        # There is no class token, but its position is added to every token.
        tokens = self.patch_embed(image) + self.pos_embed[:, 1:] + self.pos_embed[:, :1]
        for block in self.blocks:
            tokens = block(tokens)
        return self.last_norm(tokens).transpose(1, 2).unflatten(2, GRID_HW)
