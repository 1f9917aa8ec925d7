"""HMR2's SMPL head: one token that looks at the image's features (``facts/hmr2.md`` 3.2).

The nesting and the numbers in the names of the modules are those of the released checkpoint.
"""

from collections import OrderedDict
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from multithumbs.config.bodies import Hmr2Architecture

NORM_EPS: Final = 1e-5
"""Not the backbone's 1e-6."""
NUM_JOINTS: Final = 24
NUM_BETAS: Final = 10
CAMERA_NUMBERS: Final = 3


class SelfAttention(nn.Module):
    """Attention of the only token to itself, which is its own value whatever query and key."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.to_qkv = nn.Linear(width, 3 * inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, width))

    def forward(self, token: Float[Tensor, "B 1 D"]) -> Float[Tensor, "B 1 D"]:
        inner = self.to_qkv.out_features // 3
        return self.to_out(functional.linear(token, self.to_qkv.weight[2 * inner :]))


class CrossAttention(nn.Module):
    """Attention of the token to the image; one projection holds keys, then values."""

    def __init__(self, width: int, context_width: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.heads = heads
        inner = heads * head_dim
        self.to_kv = nn.Linear(context_width, 2 * inner, bias=False)
        self.to_q = nn.Linear(width, inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, width))

    def forward(
        self, token: Float[Tensor, "B 1 D"], context: Float[Tensor, "B N C"]
    ) -> Float[Tensor, "B 1 D"]:
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.to_q(token), *self.to_kv(context).chunk(2, dim=-1))
        )
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return self.to_out(mixed.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Two layers; the gaps in their numbers are the dropouts of training."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            OrderedDict({
                "0": nn.Linear(width, hidden), "1": nn.GELU(), "3": nn.Linear(hidden, width),
            })
        )  # fmt: skip

    def forward(self, token: Float[Tensor, "B 1 D"]) -> Float[Tensor, "B 1 D"]:
        return self.net(token)


class PreNorm(nn.Module):
    """A LayerNorm of the token before ``fn``; the image's features are not normalised again."""

    def __init__(self, width: int, fn: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.fn = fn

    def forward(
        self, token: Float[Tensor, "B 1 D"], *context: Float[Tensor, "B N C"]
    ) -> Float[Tensor, "B 1 D"]:
        return self.fn(self.norm(token), *context)


class DecoderLayers(nn.Module):
    """Layers of self-attention, cross-attention and feed-forward; no norm at the end."""

    def __init__(self, architecture: Hmr2Architecture) -> None:
        super().__init__()
        width, heads, dim = (
            architecture.head_width,
            architecture.head_heads,
            architecture.head_dim,
        )
        self.layers = nn.ModuleList(
            nn.ModuleList([
                PreNorm(width, SelfAttention(width, heads * dim)),
                PreNorm(width, CrossAttention(width, architecture.width, heads, dim)),
                PreNorm(width, FeedForward(width, architecture.head_mlp)),
            ])
            for _ in range(architecture.head_depth)
        )  # fmt: skip

    def forward(
        self, token: Float[Tensor, "B 1 D"], context: Float[Tensor, "B N C"]
    ) -> Float[Tensor, "B 1 D"]:
        for layer in self.layers:
            assert isinstance(layer, nn.ModuleList)
            attend, look, feed = layer
            token = token + attend(token)
            token = token + look(token, context)
            token = token + feed(token)
        return token


class TokenDecoder(nn.Module):
    """The token before its layers. What is embedded is the number 0: only the bias acts."""

    def __init__(self, architecture: Hmr2Architecture) -> None:
        super().__init__()
        width = architecture.head_width
        self.to_token_embedding = nn.Linear(1, width)
        self.pos_embedding = nn.Parameter(torch.zeros(1, 1, width))
        self.transformer = DecoderLayers(architecture)

    def forward(self, context: Float[Tensor, "B N C"]) -> Float[Tensor, "B D"]:
        token = self.to_token_embedding(context.new_zeros(len(context), 1, 1))
        return self.transformer(token + self.pos_embedding, context)[:, 0]


class SmplHead(nn.Module):
    """The image's features to pose (24 x 6), betas and crop camera, as offsets from a mean.

    The mean comes with the checkpoint. Decoded by itself its root is no rotation (it was stored
    in another order of the six numbers); the head learned on top of that, so it stays.
    """

    init_body_pose: Tensor
    init_betas: Tensor
    init_cam: Tensor

    def __init__(self, architecture: Hmr2Architecture) -> None:
        super().__init__()
        width = architecture.head_width
        self.transformer = TokenDecoder(architecture)
        self.decpose = nn.Linear(width, 6 * NUM_JOINTS)
        self.decshape = nn.Linear(width, NUM_BETAS)
        self.deccam = nn.Linear(width, CAMERA_NUMBERS)
        self.register_buffer("init_body_pose", torch.zeros(1, 6 * NUM_JOINTS))
        self.register_buffer("init_betas", torch.zeros(1, NUM_BETAS))
        self.register_buffer("init_cam", torch.zeros(1, CAMERA_NUMBERS))

    def forward(
        self, features: Float[Tensor, "B C H W"]
    ) -> tuple[Float[Tensor, "B 24 6"], Float[Tensor, "B 10"], Float[Tensor, "B 3"]]:
        token = self.transformer(features.flatten(2).transpose(1, 2))
        pose = self.decpose(token) + self.init_body_pose
        betas = self.decshape(token) + self.init_betas
        camera = self.deccam(token) + self.init_cam
        return pose.unflatten(-1, (NUM_JOINTS, 6)), betas, camera
