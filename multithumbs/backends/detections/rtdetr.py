"""`Detections` by RT-DETR (Zhao et al. 2024) of the `transformers` library."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from multithumbs.backends.detections.framewise import Boxes, detect_framewise
from multithumbs.backends.detections.pretrained import (
    boxes_of,
    import_transformers,
    load_pretrained,
    pixels_of,
    resized,
)
from multithumbs.config.detections import RtDetrArchitecture, RtDetrConfig
from multithumbs.types import Detections, Frame
from multithumbs.types.work import ShotItem, Work

CHECKPOINT: Final = "rtdetr-r50"
PERSON: Final = 0
"""The first of COCO's 80 classes."""


def detect(work: Work[RtDetrConfig], shot: ShotItem) -> Detections:
    """Everyone in the frames of ``shot``."""
    read = work.kept.get("reader", lambda: reader(work))
    return detect_framewise(work, shot, read)


def reader(work: Work[RtDetrConfig]) -> Callable[[Sequence[Frame]], list[Boxes]]:
    """The network on the run's device: the candidates of each of its frames.

    Raises:
        BackendUnavailable: ``transformers`` is not installed.
        CheckpointError: the checkpoint's file is another network's.
    """
    library = import_transformers("detections=rtdetr")
    device, side, hw = work.runtime.device, work.config.side_px, work.video.info.hw
    network = load_pretrained(
        library.RTDetrForObjectDetection,
        library_config(work.config.architecture),
        work.checkpoints[CHECKPOINT],
        name=CHECKPOINT,
        device=device,
    )

    def read(frames: Sequence[Frame]) -> list[Boxes]:
        # Squeezed to a square, and not normalised by mean and deviation.
        output = network(resized(pixels_of(frames, device), (side, side)))
        score = output.logits[..., PERSON].sigmoid()
        return boxes_of(output.pred_boxes, score, hw)

    return read


def library_config(architecture: RtDetrArchitecture) -> Any:
    """The library's own configuration."""
    library = import_transformers("detections=rtdetr")
    stages, width = list(architecture.stages), architecture.width
    backbone = library.RTDetrResNetConfig(
        embedding_size=architecture.stem,
        hidden_sizes=stages,
        depths=list(architecture.depths),
        out_indices=[2, 3, 4],
    )
    return library.RTDetrConfig(
        backbone_config=backbone,
        encoder_in_channels=stages[1:],
        encoder_hidden_dim=width,
        encoder_ffn_dim=architecture.hidden,
        encoder_attention_heads=architecture.heads,
        d_model=width,
        decoder_in_channels=[width] * 3,
        decoder_ffn_dim=architecture.hidden,
        decoder_layers=architecture.decoder_layers,
        decoder_attention_heads=architecture.heads,
        num_queries=architecture.queries,
        num_labels=architecture.labels,
    )
