"""`Detections` by Grounding DINO of the `transformers` library (``facts/groundedsam.md`` 3)."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from multithumbs.backends.detections.framewise import Boxes, detect_framewise
from multithumbs.backends.detections.pretrained import (
    boxes_of,
    import_transformers,
    load_pretrained,
    pixels_of,
    resized,
)
from multithumbs.config.detections import GroundingDinoArchitecture, GroundingDinoConfig
from multithumbs.types import Detections, Frame
from multithumbs.types.work import ShotItem, Work

PERSON: Final = (101, 2711, 1012, 102)
"""[CLS] person . [SEP] in bert-base-uncased's vocabulary."""
MEAN: Final = (0.485, 0.456, 0.406)
STD: Final = (0.229, 0.224, 0.225)


def detect(work: Work[GroundingDinoConfig], shot: ShotItem) -> Detections:
    """Everyone in the frames of ``shot``."""
    read = work.kept.get("reader", lambda: reader(work))
    return detect_framewise(work, shot, read)


def reader(work: Work[GroundingDinoConfig]) -> Callable[[Sequence[Frame]], list[Boxes]]:
    """The network on the run's device: the candidates of each of its frames.

    Raises:
        BackendUnavailable: ``transformers`` is not installed.
        CheckpointError: the checkpoint's file is another network's.
    """
    library = import_transformers("detections=grounding_dino")
    config, device, hw = work.config, work.runtime.device, work.video.info.hw
    (name,) = config.checkpoints
    network = load_pretrained(
        library.GroundingDinoForObjectDetection,
        library_config(config.sizes),
        work.checkpoints[name],
        name=name,
        device=device,
    )
    input_hw = scaled_hw(hw, config.shortest_px, config.longest_px)

    def read(frames: Sequence[Frame]) -> list[Boxes]:
        text = torch.tensor(PERSON, device=device).expand(len(frames), -1)
        # All frames have one size: nothing is padded, so no mask of pixels is needed.
        output = network(prepared(pixels_of(frames, device), input_hw), text)
        score = output.logits.sigmoid().amax(-1)
        return boxes_of(output.pred_boxes, score, hw)

    return read


def scaled_hw(hw: tuple[int, int], shortest: int, longest: int) -> tuple[int, int]:
    """The size at which a frame is shown: its shorter side at ``shortest``, unless its longer
    side then exceeds ``longest`` (pixels)."""
    height, width = hw
    low, high = min(hw), max(hw)
    exact = float(shortest)
    if high / low * shortest > longest:
        exact = longest * low / high
    short, long = round(exact), int(exact * high / low)
    if short == low:
        return hw
    return (short, long) if height <= width else (long, short)


def prepared(pixels: UInt8[Tensor, "B H W 3"], hw: tuple[int, int]) -> Float[Tensor, "B 3 h w"]:
    """Frames as the network reads them."""
    mean, std = (torch.tensor(v, device=pixels.device)[:, None, None] for v in (MEAN, STD))
    return (resized(pixels, hw) - mean) / std


def library_config(sizes: GroundingDinoArchitecture) -> Any:
    """The library's own configuration."""
    library = import_transformers("detections=grounding_dino")
    backbone = library.SwinConfig(
        embed_dim=sizes.swin_width,
        depths=list(sizes.swin_depths),
        num_heads=list(sizes.swin_heads),
        window_size=sizes.swin_window,
        out_indices=[2, 3, 4],
    )
    text = library.BertConfig(
        hidden_size=sizes.text_width,
        num_hidden_layers=sizes.text_depth,
        num_attention_heads=sizes.text_heads,
        intermediate_size=sizes.text_hidden,
    )
    return library.GroundingDinoConfig(
        backbone_config=backbone,
        text_config=text,
        d_model=sizes.width,
        encoder_layers=sizes.layers,
        encoder_ffn_dim=sizes.hidden,
        encoder_attention_heads=sizes.heads,
        decoder_layers=sizes.layers,
        decoder_ffn_dim=sizes.hidden,
        decoder_attention_heads=sizes.heads,
        num_queries=sizes.queries,
    )
