"""VGGT's trunk: attention inside each frame and across all frames in turn."""

from collections.abc import Collection

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from multithumbs.config.boundaries_vggt import VggtArchitecture
from multithumbs.models.vggt.encoder import Encoder
from multithumbs.models.vggt.layers import Block, rotary_table

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)


class Aggregator(nn.Module):
    """Tokens of every frame that know of all frames; the first frame is the reference."""

    def __init__(self, architecture: VggtArchitecture) -> None:
        super().__init__()
        width, heads = architecture.width, architecture.heads
        self._patch = architecture.patch_size
        self._head_dim = width // heads
        self._rope_base = architecture.rope_base
        self.special = 1 + architecture.registers
        """Tokens of a frame before its patches: the camera's, then registers."""
        self.patch_embed = Encoder(architecture)
        self.camera_token = nn.Parameter(torch.zeros(1, 2, 1, width))
        self.register_token = nn.Parameter(torch.zeros(1, 2, architecture.registers, width))

        def blocks() -> nn.ModuleList:
            return nn.ModuleList(
                Block(width, heads, architecture.mlp_ratio, qk_norm=True)
                for _ in range(architecture.depth)
            )

        self.frame_blocks, self.global_blocks = blocks(), blocks()

    def forward(
        self, images: Float[Tensor, "B S 3 H W"], keep: Collection[int]
    ) -> dict[int, Float[Tensor, "B S N C_pair"]]:
        """Outputs of the pairs of blocks named in ``keep``: [inside frames | across frames].

        Images are RGB in [0, 1], sides multiples of the patch size.
        """
        batch, frames, _, height, width = images.shape
        mean, std = (images.new_tensor(x)[:, None, None] for x in (IMAGE_MEAN, IMAGE_STD))
        patches = self.patch_embed(((images - mean) / std).flatten(0, 1))
        tokens = torch.cat(
            [
                _per_frame(self.camera_token, batch, frames),
                _per_frame(self.register_token, batch, frames),
                patches,
            ],
            dim=1,
        )
        position = _positions(height // self._patch, width // self._patch, self.special)
        table = rotary_table(
            position.to(tokens.device), self._head_dim, self._rope_base, self.camera_token.dtype
        )
        across = table.repeated(frames)
        outputs = {}
        for index, (inside, everywhere) in enumerate(
            zip(self.frame_blocks, self.global_blocks, strict=True)
        ):
            tokens = inside(tokens, table)
            own = tokens.unflatten(0, (batch, frames))
            shared = everywhere(own.flatten(1, 2), across)
            tokens = shared.unflatten(1, (frames, -1)).flatten(0, 1)
            if index in keep:
                outputs[index] = torch.cat([own, shared.unflatten(1, (frames, -1))], -1)
        return outputs


def _per_frame(
    token: Float[Tensor, "1 2 N C"], batch: int, frames: int
) -> Float[Tensor, "B_S N C"]:
    """Slot 0 for the first frame, slot 1 for every other one."""
    slots = [token[:, :1], token[:, 1:].expand(-1, frames - 1, -1, -1)]
    return torch.cat(slots, 1).expand(batch, -1, -1, -1).flatten(0, 1)


def _positions(rows: int, columns: int, special: int) -> Int64[Tensor, "N 2"]:
    """(row + 1, column + 1) of the patches; special tokens stand at (0, 0)."""
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    grid = torch.stack([row, column], -1).flatten(0, 1) + 1
    return torch.cat([grid.new_zeros(special, 2), grid])
