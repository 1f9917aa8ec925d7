"""`Masks` by the ``segment-anything`` package of SAM's authors: a thin adapter.

The package imports torchvision, which has no build for every torch; nothing of either is
imported unless this back-end is chosen. ``masks=sam`` computes the same without them.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64

from multithumbs.backends.masks.sam_boxes import Shapes, segment_framewise
from multithumbs.config.masks import MasksConfig, SegmentAnythingMasksConfig
from multithumbs.errors import BackendUnavailable
from multithumbs.models.sam.pixels import PIXEL_CENTRE
from multithumbs.models.weights import load_strict, read_tensors
from multithumbs.types import Detections, Frame, Masks
from multithumbs.types.work import Work


def segment(
    work: Work[MasksConfig], config: SegmentAnythingMasksConfig, detections: Detections
) -> Masks:
    """A mask per detection row.

    Raises:
        BackendUnavailable: the package or its torchvision cannot be imported.
        CheckpointError: the checkpoint's file is another network's.
    """
    if len(detections) == 0:
        return Masks.from_runs([], work.video.info.hw)
    reader = work.kept.get("reader", lambda: Reader(work, config))
    return segment_framewise(work, config, detections, reader.read)


class Reader:
    """The package's predictor on its device."""

    def __init__(self, work: Work[MasksConfig], config: SegmentAnythingMasksConfig) -> None:
        package = import_package()
        (name,) = config.checkpoints
        # The package would unpickle the file itself; it gets the tensors, read as data.
        network: Any = package.sam_model_registry[config.variant](checkpoint=None)
        load_strict(network, read_tensors(work.checkpoints[name]), name=name)
        self._device = torch.device(work.runtime.device)
        self._predictor: Any = package.SamPredictor(network.eval().to(self._device))

    def read(
        self, frames: Sequence[Frame], boxes: Sequence[Float64[np.ndarray, "_ 4"]]
    ) -> Iterator[Shapes]:
        """Shapes of each frame's boxes."""
        predictor = self._predictor
        for frame, corners in zip(frames, boxes, strict=True):
            hw = (frame.rgb.shape[0], frame.rgb.shape[1])
            predictor.set_image(frame.rgb)
            prompt = torch.from_numpy(corners - PIXEL_CENTRE).to(self._device, torch.float32)
            logits, quality, _ = predictor.predict_torch(
                point_coords=None,
                point_labels=None,
                boxes=predictor.transform.apply_boxes_torch(prompt, hw),
                multimask_output=False,
                return_logits=True,
            )
            yield Shapes(logits[:, 0], quality[:, 0])


def import_package() -> Any:
    """The ``segment_anything`` package.

    Raises:
        BackendUnavailable: it is not installed, or its torchvision does not fit torch.
    """
    try:
        import segment_anything
    except (ImportError, RuntimeError) as error:  # an unfitting torchvision raises the latter
        raise BackendUnavailable(
            "masks=segment_anything needs the package segment-anything and a torchvision that "
            f"fits torch ({error}); run `pip install multithumbs[segment-anything]`, or choose "
            "masks=sam"
        ) from error
    return segment_anything
