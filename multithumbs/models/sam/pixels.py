"""Before and after the networks: images in, boxes in, masks out.

Boxes are ours (the image's corner at (0, 0)); the networks count pixels from the centre of the
first one and add the half themselves. Source: facts sheet ``groundedsam.md`` sections 4 and 5.
"""

from typing import Final

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional

SAM_MEAN: Final = (123.675, 116.28, 103.53)
SAM_STD: Final = (58.395, 57.12, 57.375)
"""Of values 0 to 255."""
SAM2_MEAN: Final = (0.485, 0.456, 0.406)
SAM2_STD: Final = (0.229, 0.224, 0.225)
"""Of values 0 to 1."""
PIXEL_CENTRE: Final = 0.5


def fitted_hw(hw: tuple[int, int], side: int) -> tuple[int, int]:
    """Size of an image whose longer side became ``side``."""
    scale = side / max(hw)
    return int(hw[0] * scale + 0.5), int(hw[1] * scale + 0.5)


def _planes(frames: UInt8[Tensor, "B H W 3"], hw: tuple[int, int]) -> Float[Tensor, "B 3 h w"]:
    """Scaled to ``hw``; bilinear with a triangle as wide as a pixel of the result, as Pillow's."""
    planes = frames.permute(0, 3, 1, 2).float()
    return functional.interpolate(planes, hw, mode="bilinear", antialias=True)


def _normalised(
    planes: Float[Tensor, "B 3 h w"], mean: tuple[float, ...], std: tuple[float, ...]
) -> Float[Tensor, "B 3 h w"]:
    centre, spread = (planes.new_tensor(x).view(3, 1, 1) for x in (mean, std))
    return (planes - centre) / spread


def sam_pixels(frames: UInt8[Tensor, "B H W 3"], side: int) -> Float[Tensor, "B 3 S S"]:
    """The image as SAM sees it: its longer side ``side``, zeros below or to the right."""
    height, width = fitted_hw((frames.shape[1], frames.shape[2]), side)
    grey = _planes(frames, (height, width)).round()  # trained on whole grey levels
    pixels = _normalised(grey, SAM_MEAN, SAM_STD)
    return functional.pad(pixels, (0, side - width, 0, side - height))


def sam_boxes(
    boxes_xyxy: Float[Tensor, "N 4"], hw: tuple[int, int], side: int
) -> Float[Tensor, "N 4"]:
    """Boxes as SAM counts them in its input."""
    height, width = fitted_hw(hw, side)
    return _scaled(boxes_xyxy, width / hw[1], height / hw[0])


def sam_logits(
    low: Float[Tensor, "N h w"], hw: tuple[int, int], side: int
) -> Float[Tensor, "N H W"]:
    """Mask logits of the whole image; positive inside."""
    height, width = fitted_hw(hw, side)
    square = functional.interpolate(low[:, None], (side, side), mode="bilinear")
    return functional.interpolate(square[..., :height, :width], hw, mode="bilinear")[:, 0]


def sam2_pixels(frames: UInt8[Tensor, "B H W 3"], side: int) -> Float[Tensor, "B 3 S S"]:
    """The image as SAM 2 sees it: squeezed into a square, its aspect is not kept."""
    return _normalised(_planes(frames, (side, side)) / 255, SAM2_MEAN, SAM2_STD)


def sam2_boxes(
    boxes_xyxy: Float[Tensor, "N 4"], hw: tuple[int, int], side: int
) -> Float[Tensor, "N 4"]:
    """Boxes as SAM 2 counts them in its input."""
    return _scaled(boxes_xyxy, side / hw[1], side / hw[0])


def sam2_logits(low: Float[Tensor, "N h w"], hw: tuple[int, int]) -> Float[Tensor, "N H W"]:
    """Mask logits of the whole image; positive inside."""
    return functional.interpolate(low[:, None], hw, mode="bilinear")[:, 0]


def _scaled(boxes_xyxy: Float[Tensor, "N 4"], u: float, v: float) -> Float[Tensor, "N 4"]:
    return boxes_xyxy * boxes_xyxy.new_tensor([u, v, u, v]) - PIXEL_CENTRE


def masks_of(
    logits: Float[Tensor, "N H W"], usable: Bool[Tensor, " N"], *, exclusive: bool
) -> Bool[Tensor, "N H W"]:
    """Masks of one frame's people; those who are not ``usable`` get none and claim nothing.

    ``exclusive``: a pixel belongs to whoever has the highest logit there.
    """
    masks = (logits > 0) & usable[:, None, None]
    if exclusive and len(logits) > 1:
        claims = torch.where(masks, logits, torch.zeros_like(logits))
        owner = claims.argmax(0)
        mine = torch.arange(len(logits), device=logits.device)[:, None, None] == owner
        masks = masks & mine
    return masks
