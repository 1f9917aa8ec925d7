"""DROID's convolutional encoders: an image to features at 1/8 (facts droid.md, section 3)."""

from jaxtyping import Float
from torch import Tensor, nn

STEM = 32


class _NoNorm(nn.Module):
    """The context encoder has no normalisation."""

    def forward(self, x: Tensor) -> Tensor:
        return x


def _norm(channels: int, normalised: bool) -> nn.Module:
    # Affine-free instance norm has no state: the checkpoint holds no norm tensors.
    return nn.InstanceNorm2d(channels) if normalised else _NoNorm()


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions and a skip, each followed by norm and ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int, normalised: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.norm = _norm(outputs, normalised)
        self.downsample = (
            nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride), _norm(outputs, normalised))
            if stride != 1
            else None
        )

    def forward(self, x: Float[Tensor, "N I H W"]) -> Float[Tensor, "N O h w"]:
        y = self.norm(self.conv1(x)).relu_()
        y = self.norm(self.conv2(y)).relu_()
        skip = x if self.downsample is None else self.downsample(x)
        return (skip + y).relu_()


class Encoder(nn.Module):
    """Normalised RGB to ``outputs`` channels at 1/8 of the size."""

    def __init__(self, outputs: int, *, normalised: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, STEM, 7, 2, 3)
        self.norm = _norm(STEM, normalised)
        self.layer1 = _layer(STEM, STEM, 1, normalised)
        self.layer2 = _layer(STEM, 2 * STEM, 2, normalised)
        self.layer3 = _layer(2 * STEM, 4 * STEM, 2, normalised)
        self.conv2 = nn.Conv2d(4 * STEM, outputs, 1)

    def forward(self, x: Float[Tensor, "N 3 H W"]) -> Float[Tensor, "N O h w"]:
        x = self.norm(self.conv1(x)).relu_()
        return self.conv2(self.layer3(self.layer2(self.layer1(x))))


def _layer(inputs: int, outputs: int, stride: int, normalised: bool) -> nn.Sequential:
    return nn.Sequential(
        ResidualBlock(inputs, outputs, stride, normalised),
        ResidualBlock(outputs, outputs, 1, normalised),
    )
