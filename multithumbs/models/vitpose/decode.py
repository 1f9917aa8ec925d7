"""Heat-maps to places, as each of ViTPose's checkpoints was trained and tested.

Source: facts sheet ``vitpose.md`` section 6 and the papers it rests on (DARK: Zhang et al.,
CVPR 2020; UDP: Huang et al., CVPR 2020). Places are in heat-map pixels, (x, y), the first
pixel's centre at (0, 0).
"""

from typing import Final, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

Decoding = Literal["udp", "quarter", "dark", "argmax"]

BLUR_SIZE: Final = 11
BLUR_SIGMA: Final = 2.0
"""What OpenCV takes for a kernel of 11 when it is given no sigma."""


class Peaks(NamedTuple):
    """The highest pixel of each map."""

    xy: Float[Tensor, "B K 2"]
    """-1 where no value is positive."""
    score: Float[Tensor, "B K"]
    """Its value: about 0 to 1, not clipped."""


def find_peaks(maps: Float[Tensor, "B K H W"]) -> Peaks:
    """Highest pixel of each map."""
    score, index = maps.flatten(2).max(-1)
    width = maps.shape[-1]
    xy = torch.stack([index % width, index // width], dim=-1).to(maps.dtype)
    return Peaks(torch.where(score[..., None] > 0, xy, -1.0), score)


def locate(
    maps: Float[Tensor, "B K H W"], peaks: Peaks, decoding: Decoding
) -> Float[Tensor, "B K 2"]:
    """Sub-pixel places of the peaks; those of maps without a positive value mean nothing."""
    match decoding:
        case "udp":
            return _newton_udp(maps, peaks.xy)
        case "quarter":
            return _quarter_pixel(maps, peaks.xy)
        case "dark":
            return _newton_dark(maps, peaks.xy)
        case "argmax":
            return peaks.xy


def image_from_heatmap(
    xy: Float[Tensor, "B K 2"],
    rectangle: Float[Tensor, "B 4"],
    hw: tuple[int, int],
    *,
    unbiased: bool,
) -> Float[Tensor, "B K 2"]:
    """Heat-map pixels to image pixels, through the crop's rectangle (centre, size)."""
    last = 1 if unbiased else 0
    extent = torch.tensor([hw[1] - last, hw[0] - last], dtype=xy.dtype, device=xy.device)
    centre, size = rectangle[:, None, :2], rectangle[:, None, 2:]
    return xy * (size / extent) + centre - size / 2


def _blur(maps: Float[Tensor, "B K H W"], *, reflect: bool) -> Float[Tensor, "B K H W"]:
    """Gaussian blur; the border is mirrored without repeating its pixel, or zero."""
    reach = BLUR_SIZE // 2
    offset = torch.arange(-reach, reach + 1, dtype=maps.dtype, device=maps.device)
    kernel = torch.exp(-(offset**2) / (2 * BLUR_SIGMA**2))
    kernel = kernel / kernel.sum()
    flat = maps.flatten(0, 1)[:, None]
    mode = "reflect" if reflect else "constant"
    padded = functional.pad(flat, (reach,) * 4, mode=mode)
    rows = functional.conv2d(padded, kernel.view(1, 1, -1, 1))
    return functional.conv2d(rows, kernel.view(1, 1, 1, -1)).view(maps.shape)


def _around(
    maps: Float[Tensor, "B K H W"], xy: Float[Tensor, "B K 2"], reach: int
) -> Float[Tensor, "B K N N"]:
    """The pixels within ``reach`` of a place, [row, column]; borders repeat."""
    padded = functional.pad(maps, (reach,) * 4, mode="replicate")
    width = padded.shape[-1]
    step = torch.arange(2 * reach + 1, device=maps.device)
    corner = xy.long().clamp_min(0)
    rows = corner[..., 1, None, None] + step[:, None]
    columns = corner[..., 0, None, None] + step
    index = (rows * width + columns).flatten(2)
    size = 2 * reach + 1
    return padded.flatten(2).gather(2, index).unflatten(2, (size, size))


def _solve(
    gradient: Float[Tensor, "B K 2"], hessian: Float[Tensor, "B K 2 2"]
) -> Float[Tensor, "B K 2"]:
    """``inverse(hessian) @ gradient``."""
    (a, b), (c, d) = (row.unbind(-1) for row in hessian.unbind(-2))
    x, y = gradient.unbind(-1)
    return torch.stack([d * x - b * y, a * y - c * x], -1) / (a * d - b * c)[..., None]


def _newton_udp(
    maps: Float[Tensor, "B K H W"], xy: Float[Tensor, "B K 2"]
) -> Float[Tensor, "B K 2"]:
    """One Newton step on the logarithm of the blurred map, differences one pixel wide."""
    near = _around(_blur(maps, reflect=True).clamp(0.001, 50).log(), xy, 1)
    here, left, right = near[..., 1, 1], near[..., 1, 0], near[..., 1, 2]
    above, below = near[..., 0, 1], near[..., 2, 1]
    gradient = torch.stack([right - left, below - above], -1) / 2
    dxx, dyy = right - 2 * here + left, below - 2 * here + above
    # The mixed difference of UDP's authors: both diagonal neighbours on one diagonal.
    dxy = (near[..., 2, 2] - right - below + 2 * here - left - above + near[..., 0, 0]) / 2
    eps = torch.finfo(torch.float32).eps
    hessian = torch.stack([dxx + eps, dxy, dxy, dyy + eps], -1).unflatten(-1, (2, 2))
    return xy - _solve(gradient, hessian)


def _newton_dark(
    maps: Float[Tensor, "B K H W"], xy: Float[Tensor, "B K 2"]
) -> Float[Tensor, "B K 2"]:
    """DARK as published: the blurred map keeps its maximum, second differences are two wide."""
    blurred = _blur(maps, reflect=False)
    top = maps.amax((-2, -1), keepdim=True) / blurred.amax((-2, -1), keepdim=True)
    near = _around((blurred * top).clamp_min(1e-10).log(), xy, 2)
    here = near[..., 2, 2]
    right, left, below, above = near[..., 2, 3], near[..., 2, 1], near[..., 3, 2], near[..., 1, 2]
    gradient = torch.stack([right - left, below - above], -1) / 2
    dxx = (near[..., 2, 4] - 2 * here + near[..., 2, 0]) / 4
    dyy = (near[..., 4, 2] - 2 * here + near[..., 0, 2]) / 4
    dxy = (near[..., 3, 3] - near[..., 1, 3] - near[..., 3, 1] + near[..., 1, 1]) / 4
    hessian = torch.stack([dxx, dxy, dxy, dyy], -1).unflatten(-1, (2, 2))
    flat = dxx * dyy - dxy * dxy == 0
    step = _solve(gradient, hessian)
    usable = _inner(xy, maps, margin=2) & ~flat
    return torch.where(usable[..., None], xy - step, xy)


def _quarter_pixel(
    maps: Float[Tensor, "B K H W"], xy: Float[Tensor, "B K 2"]
) -> Float[Tensor, "B K 2"]:
    """A quarter of a pixel towards the larger neighbour on each axis."""
    near = _around(maps, xy, 1)
    slope = torch.stack([near[..., 1, 2] - near[..., 1, 0], near[..., 2, 1] - near[..., 0, 1]], -1)
    moved = xy + slope.sign() / 4
    return torch.where(_inner(xy, maps, margin=1)[..., None], moved, xy)


def _inner(xy: Float[Tensor, "B K 2"], maps: Float[Tensor, "B K H W"], *, margin: int) -> Tensor:
    """Whether a place is further than one pixel from the first and ``margin`` from the last."""
    last = torch.tensor([maps.shape[-1], maps.shape[-2]], device=xy.device) - margin
    return ((xy > 1) & (xy < last)).all(-1)
