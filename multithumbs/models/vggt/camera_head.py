"""VGGT's camera head: the pose encoding, refined a few times."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from multithumbs.config.boundaries_vggt import VggtArchitecture
from multithumbs.models.vggt.layers import Block, Mlp

ENCODING = 9
"""Translation, quaternion, vertical and horizontal field of view."""
_FOV = 7


class CameraHead(nn.Module):
    """From camera tokens to pose encodings (`models.vggt.pose` reads them)."""

    def __init__(self, architecture: VggtArchitecture) -> None:
        super().__init__()
        width = 2 * architecture.width
        self._iterations = architecture.camera_iterations
        self.empty_pose_tokens = nn.Parameter(torch.zeros(1, 1, ENCODING))
        self.token_norm = nn.LayerNorm(width)
        self.embed_pose = nn.Linear(ENCODING, width)
        self.poseLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 3 * width))
        self.trunk = nn.Sequential(
            *(
                Block(width, architecture.camera_heads, architecture.mlp_ratio)
                for _ in range(architecture.camera_depth)
            )
        )
        self.trunk_norm = nn.LayerNorm(width)
        self.pose_branch = Mlp(width, width // 2, ENCODING)

    def forward(self, camera_tokens: Float[Tensor, "B S C"]) -> Float[Tensor, "I B S 9"]:
        """The encoding after each iteration; the last one is the result."""
        batch, frames, width = camera_tokens.shape
        tokens = self.token_norm(camera_tokens)
        plain = functional.layer_norm(tokens, (width,), eps=1e-6)
        raw = None
        results = []
        for _ in range(self._iterations):
            before = self.empty_pose_tokens.expand(batch, frames, -1) if raw is None else raw
            shift, scale, gate = self.poseLN_modulation(self.embed_pose(before)).chunk(3, -1)
            moved = gate * (plain * (1 + scale) + shift) + tokens
            step = self.pose_branch(self.trunk_norm(self.trunk(moved)))
            raw = step if raw is None else raw + step
            results.append(torch.cat([raw[..., :_FOV], raw[..., _FOV:].relu()], -1))
        return torch.stack(results)
