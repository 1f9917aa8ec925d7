"""Transformer blocks that VGGT's parts share, and their rotary position encoding."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional


class Rotary(NamedTuple):
    """Cosines and sines of each token's position, for one attention head."""

    cos: Float[Tensor, "N D"]
    sin: Float[Tensor, "N D"]

    def repeated(self, times: int) -> "Rotary":
        """The table of ``times`` frames in a row."""
        return Rotary(self.cos.repeat(times, 1), self.sin.repeat(times, 1))


def rotary_table(
    position: Int64[Tensor, "N 2"], head_dim: int, base: float, dtype: torch.dtype
) -> Rotary:
    """Two-dimensional RoPE: the first half of a head turns with the row, the second with the
    column; in either half, entry ``j`` is paired with entry ``j + head_dim / 4``.
    """
    half = head_dim // 2
    exponent = torch.arange(0, half, 2, device=position.device, dtype=torch.float64) / half
    angle = position.double()[..., None] * base**-exponent
    angle = torch.cat([angle, angle], -1).flatten(1)
    return Rotary(angle.cos().to(dtype), angle.sin().to(dtype))


def rotate(x: Float[Tensor, "B heads N D"], table: Rotary) -> Float[Tensor, "B heads N D"]:
    """Turn queries or keys by their positions."""
    quarter = x.unflatten(-1, (2, 2, -1))
    swapped = torch.stack([-quarter[..., 1, :], quarter[..., 0, :]], -2).flatten(-3)
    return x * table.cos.to(x.dtype) + swapped * table.sin.to(x.dtype)


class Attention(nn.Module):
    """Multi-head self-attention without a mask."""

    def __init__(self, width: int, heads: int, *, qk_norm: bool) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.q_norm = nn.LayerNorm(width // heads) if qk_norm else nn.Identity()
        self.k_norm = nn.LayerNorm(width // heads) if qk_norm else nn.Identity()
        self.proj = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "B N C"], table: Rotary | None) -> Float[Tensor, "B N C"]:
        parts = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind(0)
        query, key = self.q_norm(query), self.k_norm(key)
        if table is not None:
            query, key = rotate(query, table), rotate(key, table)
        out = functional.scaled_dot_product_attention(
            query.to(value.dtype), key.to(value.dtype), value
        )
        return self.proj(out.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Two linear layers with an exact GELU between them."""

    def __init__(self, width: int, hidden: int, out: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, out)

    def forward(self, x: Float[Tensor, "*batch C"]) -> Float[Tensor, "*batch out"]:
        return self.fc2(functional.gelu(self.fc1(x)))


class LayerScale(nn.Module):
    """A learned factor per channel."""

    def __init__(self, width: int, initial: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width,), initial))

    def forward(self, x: Float[Tensor, "*batch C"]) -> Float[Tensor, "*batch C"]:
        return x * self.gamma


class Block(nn.Module):
    """Pre-norm transformer block with LayerScale.

    ``eps`` and ``scale`` differ between DINOv2 (1e-6, 1) and VGGT's own blocks (1e-5, 0.01).
    """

    def __init__(
        self,
        width: int,
        heads: int,
        mlp_ratio: float,
        *,
        eps: float = 1e-5,
        scale: float = 0.01,
        qk_norm: bool = False,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=eps)
        self.attn = Attention(width, heads, qk_norm=qk_norm)
        self.ls1 = LayerScale(width, scale)
        self.norm2 = nn.LayerNorm(width, eps=eps)
        self.mlp = Mlp(width, int(width * mlp_ratio), width)
        self.ls2 = LayerScale(width, scale)

    def forward(
        self, x: Float[Tensor, "B N C"], table: Rotary | None = None
    ) -> Float[Tensor, "B N C"]:
        x = x + self.ls1(self.attn(self.norm1(x), table))
        return x + self.ls2(self.mlp(self.norm2(x)))
