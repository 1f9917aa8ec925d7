"""HMR2: a normalised crop to SMPL's parameters and a crop camera."""

from typing import Final, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from multithumbs.config.bodies import Hmr2Architecture
from multithumbs.models.hmr2.backbone import Backbone
from multithumbs.models.hmr2.head import SmplHead

SIDE_MARGIN: Final = 32
"""Columns of the square crop that the backbone does not see, on either side."""


class Prediction(NamedTuple):
    """SMPL in the crop's camera: x right, y down, z forward."""

    rotmats: Float[Tensor, "B 24 3 3"]
    """Joint 0 is the global orientation."""
    betas: Float[Tensor, "B 10"]
    camera: Float[Tensor, "B 3"]
    """Scale, x, y: `transl_from_crop_camera` says what they mean."""


class HMR2(nn.Module):
    """The backbone and the head, under the official names of their 503 tensors.

    Each part computes in the dtype of its own weights, so the backbone may be bfloat16 under a
    float32 head: a rotation's six numbers need more digits than bfloat16 has.
    """

    def __init__(self, architecture: Hmr2Architecture) -> None:
        super().__init__()
        self.backbone = Backbone(architecture)
        self.smpl_head = SmplHead(architecture)

    def forward(self, crops: Float[Tensor, "B 3 256 256"]) -> Prediction:
        """``crops`` as `normalised` gives them."""
        middle = crops[..., SIDE_MARGIN:-SIDE_MARGIN]
        features = self.backbone(middle.to(self.backbone.pos_embed.dtype))
        pose, betas, camera = self.smpl_head(features.to(self.smpl_head.init_betas.dtype))
        return Prediction(rotmats_from_6d(pose), betas, camera)


def rotmats_from_6d(numbers: Float[Tensor, "*batch 6"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotations from HMR2's six numbers: the first column, then the second, unnormalised.

    (Zhou et al. 2019 by Gram-Schmidt. SPIN and its kin interleave the two columns instead.)
    """
    first, second = numbers[..., :3], numbers[..., 3:]
    x = functional.normalize(first, dim=-1)
    y = functional.normalize(second - (x * second).sum(-1, keepdim=True) * x, dim=-1)
    return torch.stack([x, y, torch.linalg.cross(x, y)], dim=-1)


def official_key(key: str) -> str | None:
    """Our name of a tensor of the released checkpoint; None for one that is not needed.

    The names are the same. What is left out is the discriminator, SMPL's own tables and a flag
    of the training (``facts/hmr2.md`` section 2).
    """
    return key if key.split(".", 1)[0] in ("backbone", "smpl_head") else None
