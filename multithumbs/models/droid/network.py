"""The module that DROID's official checkpoint is loaded into (facts droid.md, sections 2 to 4)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from multithumbs.models.droid.correlation import LEVELS, WINDOW
from multithumbs.models.droid.encoder import Encoder
from multithumbs.models.droid.update import UpdateModule

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)
"""ImageNet's, RGB."""


@dataclass(frozen=True)
class Architecture:
    """Sizes of the released network; smaller ones make quick tests."""

    features: int = 128
    """Channels of the matching features."""
    hidden: int = 128
    """Channels of the recurrent state and of the context input."""


class Droid(nn.Module):
    """Feature encoder, context encoder and update operator, named as in the checkpoint.

    On CUDA it runs in float16, in which it was trained; bfloat16 has too few digits for flow.
    """

    def __init__(self, architecture: Architecture | None = None) -> None:
        super().__init__()
        architecture = architecture or Architecture()
        self.architecture = architecture
        self.fnet = Encoder(architecture.features, normalised=True)
        self.cnet = Encoder(2 * architecture.hidden, normalised=False)
        self.update = UpdateModule(architecture.hidden, LEVELS * WINDOW * WINDOW)

    def features(self, image_rgb: UInt8[Tensor, "N H W 3"]) -> Float[Tensor, "N C h w"]:
        """Matching features at 1/8; H and W are multiples of 8."""
        return self.fnet(self.normalise(image_rgb))

    def context(
        self, image_rgb: UInt8[Tensor, "N H W 3"]
    ) -> tuple[Float[Tensor, "N C h w"], Float[Tensor, "N C h w"]]:
        """``(net, inp)``: first hidden state (tanh) and context input (ReLU) at 1/8."""
        net, inp = self.cnet(self.normalise(image_rgb)).chunk(2, dim=1)
        return net.tanh(), inp.relu()

    def normalise(
        self, image_rgb: UInt8[Tensor, "N H W 3"] | Float[Tensor, "N H W 3"]
    ) -> Float[Tensor, "N 3 H W"]:
        """The encoders' input of RGB images in 0..255.

        The released weights want RGB (upstream reads BGR files and flips the channels).
        """
        weight = self.fnet.conv1.weight
        wide = torch.promote_types(weight.dtype, torch.float32)
        image = image_rgb.to(weight.device, wide).permute(0, 3, 1, 2) / 255
        mean, std = image.new_tensor(IMAGE_MEAN), image.new_tensor(IMAGE_STD)
        return ((image - mean[:, None, None]) / std[:, None, None]).to(weight.dtype)


def ours_from_official(key: str, tensor: Tensor) -> tuple[str, Tensor]:
    """Name and value of a tensor of the released file.

    The file was saved from a parallel wrapper (``module.``), and its two heads have more rows
    than the two that are used.
    """
    key = key.replace("module.", "")
    if key.startswith(("update.weight.2.", "update.delta.2.")):
        tensor = tensor[:2]
    return key, tensor


def strip_official(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """All tensors of the released file, by our names; load the result strictly."""
    return dict(ours_from_official(key, torch.as_tensor(value)) for key, value in tensors.items())
