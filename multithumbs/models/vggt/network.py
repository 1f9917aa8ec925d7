"""VGGT: cameras and a depth (or a point) per pixel of a few images of one scene."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from multithumbs.config.boundaries_vggt import VggtArchitecture
from multithumbs.models.vggt.aggregator import Aggregator
from multithumbs.models.vggt.camera_head import CameraHead
from multithumbs.models.vggt.dpt_head import DptHead, depth_and_confidence, points_and_confidence


class Prediction(NamedTuple):
    """What VGGT says of ``S`` frames; scene units, axes of (about) the first camera."""

    pose_encodings: Float[Tensor, "I B S 9"]
    """After each refinement; the last one counts (`models.vggt.pose.decode`)."""
    depth: Float[Tensor, "B S H W"]
    depth_confidence: Float[Tensor, "B S H W"]
    """At least 1."""
    points: Float[Tensor, "B S H W 3"] | None
    """None where the network was made without its point head."""
    points_confidence: Float[Tensor, "B S H W"] | None


class Vggt(nn.Module):
    """The official network less its tracking head; state-dict names are the official ones."""

    def __init__(self, architecture: VggtArchitecture, *, point_head: bool = True) -> None:
        super().__init__()
        self._keep = {*architecture.taps, architecture.depth - 1}
        self._last = architecture.depth - 1
        self.aggregator = Aggregator(architecture)
        self.camera_head = CameraHead(architecture)
        self.depth_head = DptHead(architecture, 2)
        self.point_head = DptHead(architecture, 4) if point_head else None

    def forward(
        self, images: Float[Tensor, "B S 3 H W"], *, trunk_dtype: torch.dtype | None = None
    ) -> Prediction:
        """RGB in [0, 1]; the first frame is the reference.

        ``trunk_dtype`` (bfloat16 on CUDA) is what the trunk's products are computed in; the
        heads keep the weights' own precision, as upstream's do.
        """
        hw = (images.shape[-2], images.shape[-1])
        lower = trunk_dtype is not None
        with torch.autocast(images.device.type, dtype=trunk_dtype, enabled=lower):
            tokens = self.aggregator(images, self._keep)
        tokens = {index: kept.to(images.dtype) for index, kept in tokens.items()}
        special = self.aggregator.special
        encodings = self.camera_head(tokens[self._last][:, :, 0])
        depth = depth_and_confidence(self.depth_head(tokens, special, hw))
        points = (None, None)
        if self.point_head is not None:
            points = points_and_confidence(self.point_head(tokens, special, hw))
        return Prediction(encodings, *depth, *points)

    def round_trunk(self, dtype: torch.dtype) -> None:
        """Store the trunk's matrices in ``dtype``, once, instead of rounding them in every call
        with that ``trunk_dtype``; norms and everything else keep their precision."""
        for module in self.aggregator.modules():
            if isinstance(module, nn.Linear):
                module.to(dtype)


def official_key(name: str, *, point_head: bool = True) -> str | None:
    """Ours of an official state-dict key: the same, None for what is left out.

    VGGT-1B and VGGT-1B-Commercial have the same keys.
    """
    dropped = ("track_head.",) if point_head else ("track_head.", "point_head.")
    return None if name.startswith(dropped) else name
