"""`Masks` by SAM: each detection's box is the prompt."""

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
from multithumbs.config.masks import MasksConfig, SamMasksConfig
from multithumbs.models.sam import build_sam
from multithumbs.models.sam.checkpoint import ours_from_official
from multithumbs.models.sam.pixels import sam_boxes, sam_logits, sam_pixels
from multithumbs.models.weights import load_strict, read_tensors
from multithumbs.types import Detections, Frame, Masks
from multithumbs.types.work import Work


def segment(work: Work[MasksConfig], config: SamMasksConfig, detections: Detections) -> Masks:
    """A mask per detection row.

    Raises:
        BackendUnavailable: ``transformers`` is not installed.
        CheckpointError: the checkpoint's file is another network's.
    """
    if len(detections) == 0:
        return Masks.from_runs([], work.video.info.hw)
    reader = work.kept.get("reader", lambda: Reader(work, config))
    return segment_framewise(work, config, detections, reader.read)


class Reader:
    """The network on its device."""

    def __init__(self, work: Work[MasksConfig], config: SamMasksConfig) -> None:
        self._side = config.architecture.image_size
        self._device = torch.device(work.runtime.device)
        (name,) = config.checkpoints
        with torch.device("meta"):
            model = build_sam(config.architecture)
        load_strict(model, ours_from_official(read_tensors(work.checkpoints[name])), name=name)
        self._model: Any = model.eval().to(self._device)
        self._model.vision_encoder.to(encoder_type(self._device))

    def read(
        self, frames: Sequence[Frame], boxes: Sequence[Float64[np.ndarray, "_ 4"]]
    ) -> Iterator[Shapes]:
        """Shapes of each frame's boxes."""
        hw = (frames[0].rgb.shape[0], frames[0].rgb.shape[1])
        embeddings = self._embed(pixels_of(frames, self._device))
        for embedding, corners in zip(embeddings.split(1), boxes, strict=True):
            prompt = sam_boxes(torch.from_numpy(corners), hw, self._side)
            found = self._model(
                image_embeddings=embedding,
                input_boxes=prompt[None].to(self._device, torch.float32),
                multimask_output=False,
            )
            logits = sam_logits(found.pred_masks[0, :, 0], hw, self._side)
            yield Shapes(logits, found.iou_scores[0, :, 0])

    def _embed(self, frames: Tensor) -> Tensor:
        pixels = sam_pixels(frames, self._side).to(encoder_type(self._device))
        return self._model.vision_encoder(pixels).last_hidden_state.float()
