"""`Masks` by SAM 2.1: each detection's box is the prompt, frame by frame or once per person."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from multithumbs.backends.masks.sam_boxes import (
    Shapes,
    encoder_type,
    pixels_of,
    segment_framewise,
)
from multithumbs.config.masks import MasksConfig, Sam2MasksConfig
from multithumbs.models.sam import build_sam2
from multithumbs.models.sam.checkpoint_sam2 import image_part, ours_from_official
from multithumbs.models.sam.pixels import sam2_boxes, sam2_logits, sam2_pixels
from multithumbs.models.weights import load_strict, read_tensors
from multithumbs.types import Detections, Frame, Masks
from multithumbs.types.work import Work


def segment(work: Work[MasksConfig], config: Sam2MasksConfig, detections: Detections) -> Masks:
    """A mask per detection row.

    Raises:
        BackendUnavailable: ``transformers`` is not installed.
        CheckpointError: the checkpoint's file is another network's.
    """
    if len(detections) == 0:
        return Masks.from_runs([], work.video.info.hw)
    if config.propagate:
        from multithumbs.backends.masks.sam2_video import propagate

        return propagate(work, config, detections)
    reader = work.kept.get("reader", lambda: Reader(work, config))
    return segment_framewise(work, config, detections, reader.read)


def load(work: Work[MasksConfig], config: Sam2MasksConfig, *, video: bool) -> Any:
    """The network with its weights, on its device; only the image encoder in low precision."""
    (name,) = config.checkpoints
    tensors = ours_from_official(read_tensors(work.checkpoints[name]))
    model: Any = build_sam2(config.architecture, video=video)
    # The file is the video network's; the one for images has fewer tensors.
    load_strict(model, tensors if video else image_part(tensors), name=name)
    device = torch.device(work.runtime.device)
    model = model.eval().to(device)
    model.vision_encoder.to(encoder_type(device))
    return model


class Reader:
    """The network for single images."""

    def __init__(self, work: Work[MasksConfig], config: Sam2MasksConfig) -> None:
        self._side = config.architecture.image_size
        self._device = torch.device(work.runtime.device)
        self._model = load(work, config, video=False)

    def read(
        self, frames: Sequence[Frame], boxes: Sequence[Float64[np.ndarray, "_ 4"]]
    ) -> Iterator[Shapes]:
        """Shapes of each frame's boxes."""
        hw = (frames[0].rgb.shape[0], frames[0].rgb.shape[1])
        maps = self._embed(pixels_of(frames, self._device))
        for index, corners in enumerate(boxes):
            prompt = sam2_boxes(torch.from_numpy(corners), hw, self._side)
            found = self._model(
                image_embeddings=[level[index : index + 1] for level in maps],
                input_boxes=prompt[None].to(self._device, torch.float32),
                multimask_output=False,
            )
            logits = sam2_logits(found.pred_masks[0, :, 0], hw)
            yield Shapes(logits, found.iou_scores[0, :, 0])

    def _embed(self, frames: Tensor) -> list[Tensor]:
        """Maps at strides 4, 8 and 16, as the mask decoder takes them."""
        fine, middle, coarse = feature_maps(self._model, frames, self._side)
        return [fine, middle, coarse + self._model.no_memory_embedding.view(1, -1, 1, 1)]


def feature_maps(model: Any, frames: Tensor, side: int) -> list[Tensor]:
    """Maps at strides 4, 8 and 16 of frames (B, H, W, 3) uint8; the finer two projected for the
    mask decoder, which works in float32."""
    pixels = sam2_pixels(frames, side).to(next(model.vision_encoder.parameters()).dtype)
    fine, middle, coarse = (
        level.float() for level in model.vision_encoder(pixels).fpn_hidden_states
    )
    decoder = model.mask_decoder
    return [decoder.conv_s0(fine), decoder.conv_s1(middle), coarse]
