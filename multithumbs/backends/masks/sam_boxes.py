"""What the networks that are prompted with boxes share: frames in, a mask per row out."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from multithumbs.backends.batching import Stream, in_batches
from multithumbs.config.masks import BoxMasksConfig, MasksConfig
from multithumbs.models.sam.pixels import masks_of
from multithumbs.types import Detections, Frame, Masks
from multithumbs.types.work import Work


class Shapes(NamedTuple):
    """What a network makes of one frame's boxes."""

    logits: Float[Tensor, "N H W"]
    """Positive inside."""
    quality: Float[Tensor, " N"]
    """Expected intersection over union with the truth."""


Read = Callable[[Sequence[Frame], Sequence[Float64[np.ndarray, "_ 4"]]], Iterator[Shapes]]
"""Frames of one size and the boxes in each -> the shapes in each."""


def segment_framewise(
    work: Work[MasksConfig], config: BoxMasksConfig, detections: Detections, read: Read
) -> Masks:
    """A mask for each row: the network is shown every frame that has one, with its boxes."""
    indices, first = np.unique(detections.frame, return_index=True)
    boxes = np.split(detections.box_xyxy, first[1:]) if len(indices) else []
    frames = Stream(wanted_frames(work, indices))

    def run(batch: slice) -> list[list[np.ndarray]]:
        return [encoded(shapes, config) for shapes in read(frames[batch], boxes[batch])]

    runs: list[np.ndarray] = []
    done = 0
    with torch.inference_mode():
        for found in in_batches(len(indices), config.batch, run):
            runs += [row for frame in found for row in frame]
            done += len(found)
            work.progress(done, len(indices))
    return Masks.from_runs(runs, work.video.info.hw)


def wanted_frames(work: Work[MasksConfig], indices: np.ndarray) -> Iterator[Frame]:
    """The frames with these indices (sorted), decoded in one pass."""
    if len(indices) == 0:
        return
    wanted = set(indices.tolist())
    for frame in work.video.frames(int(indices[0]), int(indices[-1]) + 1):
        if frame.index in wanted:
            yield frame


def encoded(shapes: Shapes, config: BoxMasksConfig) -> list[np.ndarray]:
    """Runs of one frame's masks; none at all where the network trusts a mask too little."""
    usable = shapes.quality >= config.min_quality
    masks = masks_of(shapes.logits, usable, exclusive=config.exclusive)
    return [
        runs_of(mask) if good else np.zeros(0, np.int64)
        for mask, good in zip(masks, usable.tolist(), strict=True)
    ]


def runs_of(mask: Bool[Tensor, "H W"]) -> Int64[np.ndarray, " R"]:
    """`multithumbs.types.detections.encode_runs` where the mask lies: only its runs are moved."""
    flat = mask.T.flatten()
    edges = (flat[1:] != flat[:-1]).nonzero().flatten().cpu().numpy() + 1
    runs = np.diff(np.concatenate([[0], edges, [len(flat)]]))
    first = [0] if bool(flat[0]) else []
    return np.concatenate([first, runs]).astype(np.int64)


def pixels_of(frames: Sequence[Frame], device: torch.device) -> Tensor:
    """Frames of one size on the device, (B, H, W, 3) uint8."""
    return torch.from_numpy(np.stack([frame.rgb for frame in frames])).to(device)


def encoder_type(device: torch.device) -> torch.dtype:
    """Precision of the image encoder. Prompts and masks stay in float32: in bfloat16 a box over
    a wide image would be rounded to several pixels."""
    return torch.bfloat16 if device.type == "cuda" else torch.float32
