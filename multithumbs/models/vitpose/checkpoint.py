"""ViTPose's official checkpoints under the names of the port in ``transformers``.

Source: facts sheet ``vitpose.md`` sections 3 and 4. An official file may hold more than one
network: the ViTPose++ files keep six experts per block and several heads, and the files split
from them keep the experts though the block's own ``fc2`` already holds the right one.
"""

from collections.abc import Mapping
from typing import Final, Literal

import torch
from torch import Tensor

from multithumbs.errors import CheckpointError
from multithumbs.models.renaming import Renaming

Head = Literal["coco", "wholebody"]

EXPERT_OF_HEAD: Final[Mapping[str, int]] = {"coco": 0, "wholebody": 5}
"""Which expert of a ViTPose++ block was trained on the head's data set."""
SPARE_HEAD: Final[Mapping[str, str]] = {"wholebody": "associate_keypoint_heads.4."}
"""Where an unsplit ViTPose++ file keeps heads other than COCO's."""
PARTS: Final = ("query", "key", "value")
"""Rows of the official ``qkv``, in order."""

# fmt: off
NAMES: Final = Renaming({
    "backbone.pos_embed": "backbone.embeddings.position_embeddings",
    "backbone.patch_embed.proj.*": "backbone.embeddings.patch_embeddings.projection.*",
    "backbone.blocks.#.norm1.*": "backbone.encoder.layer.#.layernorm_before.*",
    "backbone.blocks.#.norm2.*": "backbone.encoder.layer.#.layernorm_after.*",
    "backbone.blocks.#.attn.qkv.*": "backbone.encoder.layer.#.attention.attention.qkv.*",
    "backbone.blocks.#.attn.proj.*": "backbone.encoder.layer.#.attention.output.dense.*",
    "backbone.blocks.#.mlp.*": "backbone.encoder.layer.#.mlp.*",
    "backbone.last_norm.*": "backbone.layernorm.*",
    "keypoint_head.deconv_layers.0.*": "head.deconv1.*",
    "keypoint_head.deconv_layers.1.*": "head.batchnorm1.*",
    "keypoint_head.deconv_layers.3.*": "head.deconv2.*",
    "keypoint_head.deconv_layers.4.*": "head.batchnorm2.*",
    "keypoint_head.final_layer.*": "head.conv.*",
})
# fmt: on


def ours_from_official(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """One plain network's official tensors under our names, ``qkv`` split into its thirds."""
    renamed: dict[str, Tensor] = {}
    for name, tensor in NAMES.to_ours(tensors).items():
        if ".attention.qkv." in name:
            for part, rows in zip(PARTS, tensor.chunk(3), strict=True):
                renamed[name.replace(".qkv.", f".{part}.")] = rows
        else:
            renamed[name] = tensor
    return renamed


def official_from_ours(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `ours_from_official`."""
    joined: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if ".attention.attention.query." in name:
            parts = [tensors[name.replace(".query.", f".{part}.")] for part in PARTS]
            joined[name.replace(".query.", ".qkv.")] = torch.cat(parts)
        elif not name.rpartition(".")[0].endswith((".attention.key", ".attention.value")):
            joined[name] = tensor
    return NAMES.to_official(joined)


def kept_part(tensors: Mapping[str, Tensor], head: Head) -> dict[str, Tensor]:
    """The plain network of ``head`` out of a file in official or in ``transformers`` names.

    Where ``fc2`` holds only the rows that all data sets share, the rows of the head's expert are
    put below them. Experts, the heads of other data sets and ``cls_token`` are dropped.

    Raises:
        CheckpointError: the file has experts, but not the head's.
    """
    if any(name.startswith("backbone.encoder.layer.") for name in tensors):
        tensors = official_from_ours(tensors)
    spare = SPARE_HEAD.get(head, "")
    swapped = bool(spare) and any(name.startswith(spare) for name in tensors)
    kept: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if swapped and name.startswith(spare):
            kept["keypoint_head." + name.removeprefix(spare)] = tensor
        elif not _is_dropped(name) and not (swapped and name.startswith("keypoint_head.")):
            kept[name] = _with_expert(name, tensor, tensors, EXPERT_OF_HEAD[head])
    return kept


def _is_dropped(name: str) -> bool:
    """Parts of multi-task files that one plain network does not have."""
    return name == "backbone.cls_token" or ".mlp.experts." in name or name.startswith("associate_")


def _with_expert(name: str, tensor: Tensor, tensors: Mapping[str, Tensor], expert: int) -> Tensor:
    """``fc2`` complete: a ViTPose++ block's is missing as many rows as its experts have."""
    block, found, leaf = name.partition(".mlp.fc2.")
    width = tensors.get(f"{block}.norm2.{leaf}")
    if not found or width is None or len(tensor) == len(width):
        return tensor
    rows = tensors.get(f"{block}.mlp.experts.{expert}.{leaf}")
    if rows is None:
        raise CheckpointError(
            f"ViTPose: {name} has {len(tensor)} of {len(width)} rows and expert {expert} is not "
            "in the file; expected a ViTPose-H or ViTPose++-H file, whole or split"
        )
    return torch.cat([tensor, rows])
