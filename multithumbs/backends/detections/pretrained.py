"""What the detectors of the `transformers` library share: strict loading, frames in, boxes out."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from logging import CRITICAL
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from multithumbs.backends.detections.framewise import Boxes
from multithumbs.errors import BackendUnavailable, CheckpointError
from multithumbs.models.weights import read_tensors
from multithumbs.types import Frame

MATTERS_NOT = "num_batches_tracked"
"""A counter of the training; evaluation does not read it, and not every file has it."""


def import_transformers(option: str) -> ModuleType:
    """The `transformers` package.

    Raises:
        BackendUnavailable: it is not installed; ``option`` is what needs it.
    """
    try:
        import transformers
    except ImportError as error:
        raise BackendUnavailable(
            f"{option} needs the package transformers; run `pip install multithumbs[paper]`"
        ) from error
    return transformers


def load_pretrained(model: type, config: object, path: Path, *, name: str, device: str) -> Any:
    """A model of the library with a published file's weights, ready to evaluate.

    The library renames the tensors of older files, ties those that are stored once, and makes
    the buffers that are not stored; what it would forgive is refused here.

    Args:
        model: class of the library.
        config: its configuration.
        path: the weight file.
        name: of the checkpoint, for messages.
        device: where it shall run. In float32: a box over a wide image has more digits than
            bfloat16.

    Raises:
        CheckpointError: the file is damaged or unsafe, or a tensor is missing, unexpected or of
            another shape.
    """
    tensors = read_tensors(path)
    with _quiet():
        network, report = model.from_pretrained(  # type: ignore[attr-defined]
            None,
            config=config,
            state_dict=tensors,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            dtype=torch.float32,
        )
    faults = [
        f"{len(keys)} {fault}, first {keys[0]}"
        for fault, part in (
            ("missing", "missing_keys"),
            ("unexpected", "unexpected_keys"),
            ("of another shape", "mismatched_keys"),
        )
        if (keys := sorted(_names(report[part])))
    ]
    if faults or report.get("error_msgs"):
        raise CheckpointError(
            f"the file of checkpoint '{name}' holds other weights "
            f"({'; '.join(faults) or report['error_msgs'][0]}); run "
            f"`multithumbs checkpoints verify {name}`, or put the right file in its place"
        )
    return network.eval().requires_grad_(False).to(device)


def _names(keys: Iterable[Any]) -> Iterator[str]:
    """Names of a report's entries; those of another shape come with the shapes."""
    for key in keys:
        text = key if isinstance(key, str) else str(key[0])
        if not text.endswith(MATTERS_NOT):
            yield text


@contextmanager
def _quiet() -> Iterator[None]:
    """The library prints bars and a table of what it forgave; `load_pretrained` says it."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def pixels_of(frames: Sequence[Frame], device: str) -> UInt8[Tensor, "B H W 3"]:
    """Frames of one size on the device."""
    return torch.from_numpy(np.stack([frame.rgb for frame in frames])).to(device)


def resized(pixels: UInt8[Tensor, "B H W 3"], hw: tuple[int, int]) -> Float[Tensor, "B 3 h w"]:
    """Frames scaled to ``hw``, values 0 to 1.

    Bilinear with a triangle as wide as a pixel of the result, as Pillow's: what the networks were
    trained with. Pillow rounds to whole grey levels in between, this does not.
    """
    planes = pixels.permute(0, 3, 1, 2).float()
    return functional.interpolate(planes, hw, mode="bilinear", antialias=True) / 255


def boxes_of(
    cxcywh: Float[Tensor, "B Q 4"], score: Float[Tensor, "B Q"], hw: tuple[int, int]
) -> list[Boxes]:
    """Boxes in fractions of the image as pixels; they may still reach outside."""
    height, width = hw
    scale = torch.tensor([width, height], dtype=torch.float64)
    values = cxcywh.cpu().double()
    centre, half = values[..., :2] * scale, values[..., 2:] * scale / 2
    xyxy = torch.cat([centre - half, centre + half], dim=-1)
    return [
        Boxes(box.numpy(), value.numpy())
        for box, value in zip(xyxy, score.cpu().double(), strict=True)
    ]
