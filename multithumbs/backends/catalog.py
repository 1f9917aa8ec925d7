"""What our module of each checkpoint expects of it, at full size and without its memory.

Names are the official ones of the part that is kept, so that a published file's own list can be
compared with ours line by line (`multithumbs checkpoints keys`).
"""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final, Literal

import torch
from torch import Tensor

from multithumbs.errors import CheckpointError
from multithumbs.models.weights import describe_shape, expected_tensors

Tensors = dict[str, Tensor]

# Networks are imported one by one: some need transformers, and nobody asks for all of them.


def _hmr2() -> Tensors:
    from multithumbs.models.hmr2 import HMR2, Architecture

    return expected_tensors(HMR2(Architecture()))


def _vitpose(head: str) -> Tensors:
    from multithumbs.models.vitpose import Architecture, build, official_from_ours

    network = build(Architecture(), "coco" if head == "coco" else "wholebody")
    return official_from_ours(expected_tensors(network))


def _phalp_encoder() -> Tensors:
    from multithumbs.models.phalp import AppearanceEncoder

    return expected_tensors(AppearanceEncoder())


def _phalp_predictor() -> Tensors:
    from multithumbs.models.phalp import PosePredictor

    return expected_tensors(PosePredictor())


def _vggt() -> Tensors:
    from multithumbs.models.vggt import Architecture, Vggt

    return expected_tensors(Vggt(Architecture()))


def _droid() -> Tensors:
    from multithumbs.models.droid import Droid

    return expected_tensors(Droid())


def _vposer() -> Tensors:
    from multithumbs.models.vposer import Architecture, VPoser

    return expected_tensors(VPoser(Architecture()))


def _sam() -> Tensors:
    from multithumbs.models.sam import SamArchitecture, build_sam
    from multithumbs.models.sam.checkpoint import official_from_ours

    return official_from_ours(expected_tensors(build_sam(SamArchitecture())))


def _sam2() -> Tensors:
    from multithumbs.models.sam import Sam2Architecture, build_sam2
    from multithumbs.models.sam.checkpoint_sam2 import official_from_ours

    network = build_sam2(Sam2Architecture(), video=True)
    return official_from_ours(expected_tensors(network))


def _grounding_dino(size: Literal["tiny", "base"]) -> Tensors:
    from multithumbs.backends.detections.grounding_dino import library_config
    from multithumbs.backends.detections.pretrained import import_transformers
    from multithumbs.config.detections import GroundingDinoConfig

    library = import_transformers("checkpoints keys")
    sizes = GroundingDinoConfig(size=size).sizes
    return expected_tensors(library.GroundingDinoForObjectDetection(library_config(sizes)))


def _rtdetr() -> Tensors:
    from multithumbs.backends.detections.pretrained import import_transformers
    from multithumbs.backends.detections.rtdetr import library_config
    from multithumbs.config.detections import RtDetrArchitecture

    library = import_transformers("checkpoints keys")
    return expected_tensors(library.RTDetrForObjectDetection(library_config(RtDetrArchitecture())))


_BUILDERS: Final[Mapping[str, Callable[[], Tensors]]] = MappingProxyType(
    {
        "grounding-dino-tiny": partial(_grounding_dino, "tiny"),
        "grounding-dino-base": partial(_grounding_dino, "base"),
        "rtdetr-r50": _rtdetr,
        "sam-vit-h": _sam,
        "sam2.1-hiera-l": _sam2,
        "hmr2": _hmr2,
        "vitpose-h-coco": partial(_vitpose, "coco"),
        "vitpose-h-wholebody": partial(_vitpose, "wholebody"),
        "phalp-hmar": _phalp_encoder,
        "phalp-pose-predictor": _phalp_predictor,
        "vggt-1b": _vggt,
        "vggt-1b-commercial": _vggt,
        "droid": _droid,
        "vposer": _vposer,
    }
)

NAMES: Final = tuple(_BUILDERS)
"""Checkpoints whose tensors are known here."""


def expected_keys(name: str) -> tuple[str, ...]:
    """Lines ``backbone.pos_embed 1x193x1280 float32`` (``scalar`` for no dimension).

    Raises:
        CheckpointError: there is no module of that name.
        BackendUnavailable: it is built by a package that is not installed.
    """
    builder = _BUILDERS.get(name)
    if builder is None:
        raise CheckpointError(
            f"there is no network for checkpoint '{name}'; expected one of {', '.join(NAMES)}"
        )
    with torch.device("meta"):
        tensors = builder()
    return tuple(
        f"{key} {describe_shape(tensor)} {str(tensor.dtype).removeprefix('torch.')}"
        for key, tensor in tensors.items()
    )
