"""The network: ``VitPoseForPoseEstimation`` of ``transformers`` with the official constants."""

from collections.abc import Mapping
from typing import Any, Final

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from multithumbs.config.keypoints import ViTPoseArchitecture as Architecture
from multithumbs.errors import BackendUnavailable
from multithumbs.models.vitpose.checkpoint import Head

INPUT_HW: Final = (256, 192)
HEATMAP_HW: Final = (64, 48)
KEYPOINTS_OF_HEAD: Final[Mapping[str, int]] = {"coco": 17, "wholebody": 133}
LAYER_NORM_EPS: Final = 1e-6
"""The official value; the port's own default is 1e-12."""
MIRRORED: Final = (
    0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15, 20, 21, 22, 17, 18, 19,
)  # fmt: skip
"""The keypoint that each of the 23 becomes in a mirror."""


def build(architecture: Architecture, head: Head) -> nn.Module:
    """The module in evaluation mode, with whatever weights ``torch`` gives new layers.

    Its state dict has the port's names (`checkpoint.official_from_ours` gives the official
    ones). Build it under ``torch.device("meta")`` to spend neither time nor memory.

    Raises:
        BackendUnavailable: ``transformers`` is not installed.
    """
    try:
        from transformers import VitPoseBackboneConfig, VitPoseConfig, VitPoseForPoseEstimation
    except ImportError as error:
        raise BackendUnavailable(
            "keypoints=vitpose needs transformers; run `pip install multithumbs[paper]`"
        ) from error
    backbone: dict[str, Any] = {
        "image_size": list(INPUT_HW),
        "patch_size": [16, 16],
        "hidden_size": architecture.hidden_size,
        "num_hidden_layers": architecture.layers,
        "num_attention_heads": architecture.heads,
        "layer_norm_eps": LAYER_NORM_EPS,
        "out_indices": [architecture.layers],
    }
    whole: dict[str, Any] = {
        "backbone_config": VitPoseBackboneConfig(**backbone),
        "num_labels": KEYPOINTS_OF_HEAD[head],
        "use_simple_decoder": False,
    }
    model = VitPoseForPoseEstimation(VitPoseConfig(**whole))
    if architecture.deconvolution_channels != 256:
        _resize_head(model.head, architecture, KEYPOINTS_OF_HEAD[head])
    return model.eval()


def _resize_head(head: nn.Module, architecture: Architecture, keypoints: int) -> None:
    """The port knows only 256 channels."""
    width, channels = architecture.hidden_size, architecture.deconvolution_channels
    head.deconv1 = nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1, bias=False)
    head.batchnorm1 = nn.BatchNorm2d(channels)
    head.deconv2 = nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1, bias=False)
    head.batchnorm2 = nn.BatchNorm2d(channels)
    head.conv = nn.Conv2d(channels, keypoints, 1)


def heatmaps(
    model: nn.Module, pixels: Float[Tensor, "B 3 256 192"], keypoints: int
) -> Float[Tensor, "B K 64 48"]:
    """Heat-maps of the first ``keypoints`` keypoints of normalised crops.

    The head works in the precision of its own weights: in bfloat16 neighbouring values of a peak
    would be equal, and it could not be located between pixels.
    """
    backbone, head = model.get_submodule("backbone"), model.get_submodule("head")
    features = backbone(pixels).feature_maps[-1]
    rows, columns = (n // 16 for n in INPUT_HW)
    grid = features.transpose(1, 2).unflatten(2, (rows, columns)).contiguous()
    return head(grid.to(next(head.parameters()).dtype))[:, :keypoints]


def mirrored_back(maps: Float[Tensor, "B K 64 48"], *, shift: bool) -> Float[Tensor, "B K 64 48"]:
    """Heat-maps of mirrored crops as maps of the crops themselves (K at most 23).

    Args:
        maps: of the mirrored crops.
        shift: whether to move the map one pixel to the right, for networks trained on the
            biased crop: there, the mirror image of pixel ``x`` is ``48 - x``, not ``47 - x``.
            The first column stays as it is.
    """
    order: Int64[Tensor, " K"] = torch.tensor(MIRRORED[: maps.shape[1]], device=maps.device)
    back = maps[:, order].flip(-1)
    if shift:
        back = torch.cat([back[..., :1], back[..., :-1]], dim=-1)
    return back
