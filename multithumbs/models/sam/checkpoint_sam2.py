"""SAM 2.1's official checkpoint under the names of the port in ``transformers``.

Source: the key lists of both sides (``keys_sam2.1_hiera_l_official.txt``,
``keys_sam2video_large_hf.txt``) and facts sheet ``groundedsam.md`` section 5.
"""

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

from multithumbs.models.renaming import Renaming
from multithumbs.models.sam.checkpoint import (
    GAUSSIAN,
    GAUSSIAN_AGAIN,
    MASK_DECODER,
    PROMPT_ENCODER,
)

POINTS: Final = "prompt_encoder.point_embed.weight"
"""One table in the port, one tensor per kind of point in the official file."""
OFFICIAL_POINT: Final = "sam_prompt_encoder.point_embeddings.{}.weight"
POINT_KINDS: Final = 4
IMAGE_PARTS: Final = (
    "vision_encoder.", "prompt_encoder.", "mask_decoder.", "shared_image_embedding.",
    "no_memory_embedding",
)  # fmt: skip
"""What the network for single images has of the network for videos."""

# fmt: off
_MLP3: Final = {"layers.0": "proj_in", "layers.1": "layers.0", "layers.2": "proj_out"}
_MLP2: Final = {"layers.0": "proj_in", "layers.1": "proj_out"}
_TRUNK, _BACKBONE = "image_encoder.trunk", "vision_encoder.backbone"
_SAM, _OURS = "sam_mask_decoder", "mask_decoder"
_CONVS: Final = ((0, 0), (3, 1), (6, 2), (9, 3))
"""(official index, ours) of the mask downsampler's convolutions; their norms follow them."""
NAMES: Final = Renaming({
    "maskmem_tpos_enc": "memory_temporal_positional_encoding",
    "no_mem_embed": "no_memory_embedding",
    "no_mem_pos_enc": "no_memory_positional_encoding",
    "no_obj_ptr": "no_object_pointer",
    "no_obj_embed_spatial": "occlusion_spatial_embedding_parameter",
    "obj_ptr_tpos_proj.*": "temporal_positional_encoding_projection_layer.*",
    **{f"obj_ptr_proj.{a}.*": f"object_pointer_proj.{b}.*" for a, b in _MLP3.items()},
    f"{_TRUNK}.patch_embed.proj.*": f"{_BACKBONE}.patch_embed.projection.*",
    f"{_TRUNK}.blocks.#.norm#.*": f"{_BACKBONE}.blocks.#.layer_norm#.*",
    **{f"{_TRUNK}.blocks.#.mlp.{a}.*": f"{_BACKBONE}.blocks.#.mlp.{b}.*"
       for a, b in _MLP2.items()},
    f"{_TRUNK}.*": f"{_BACKBONE}.*",
    "image_encoder.neck.convs.#.conv.*": "vision_encoder.neck.convs.#.*",
    "memory_attention.norm.*": "memory_attention.layer_norm.*",
    "memory_attention.layers.#.norm#.*": "memory_attention.layers.#.layer_norm#.*",
    "memory_attention.layers.#.self_attn.out_proj.*":
        "memory_attention.layers.#.self_attn.o_proj.*",
    "memory_attention.layers.#.cross_attn_image.out_proj.*":
        "memory_attention.layers.#.cross_attn_image.o_proj.*",
    **{f"memory_encoder.mask_downsampler.encoder.{a}.*":
       f"memory_encoder.mask_downsampler.layers.{b}.conv.*" for a, b in _CONVS},
    **{f"memory_encoder.mask_downsampler.encoder.{a + 1}.*":
       f"memory_encoder.mask_downsampler.layers.{b}.layer_norm.*" for a, b in _CONVS},
    "memory_encoder.mask_downsampler.encoder.12.*": "memory_encoder.mask_downsampler.final_conv.*",
    "memory_encoder.pix_feat_proj.*": "memory_encoder.feature_projection.*",
    "memory_encoder.out_proj.*": "memory_encoder.projection.*",
    "memory_encoder.fuser.layers.#.gamma": "memory_encoder.memory_fuser.layers.#.scale",
    "memory_encoder.fuser.layers.#.dwconv.*":
        "memory_encoder.memory_fuser.layers.#.depthwise_conv.*",
    "memory_encoder.fuser.layers.#.norm.*": "memory_encoder.memory_fuser.layers.#.layer_norm.*",
    "memory_encoder.fuser.layers.#.pwconv#.*":
        "memory_encoder.memory_fuser.layers.#.pointwise_conv#.*",
    "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix": GAUSSIAN,
    **{f"sam_prompt_encoder.{a}": f"prompt_encoder.{b}" for a, b in PROMPT_ENCODER.items()},
    "sam_prompt_encoder.*": "prompt_encoder.*",
    **{f"{_SAM}.transformer.layers.#.mlp.{a}.*": f"{_OURS}.transformer.layers.#.mlp.{b}.*"
       for a, b in _MLP2.items()},
    **{f"{_SAM}.transformer.layers.#.{kind}.out_proj.*":
       f"{_OURS}.transformer.layers.#.{kind}.o_proj.*"
       for kind in ("self_attn", "cross_attn_token_to_image", "cross_attn_image_to_token")},
    f"{_SAM}.transformer.final_attn_token_to_image.out_proj.*":
        f"{_OURS}.transformer.final_attn_token_to_image.o_proj.*",
    **{f"{_SAM}.pred_obj_score_head.{a}.*": f"{_OURS}.pred_obj_score_head.{b}.*"
       for a, b in _MLP3.items()},
    **{f"{_SAM}.{a}": f"{_OURS}.{b}" for a, b in MASK_DECODER.items()},
    f"{_SAM}.*": f"{_OURS}.*",
})
# fmt: on


def ours_from_official(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The official tensors under our names; a file already in our names passes unchanged."""
    if not any(name.startswith("image_encoder.") for name in tensors):
        return dict(tensors)
    names = [OFFICIAL_POINT.format(kind) for kind in range(POINT_KINDS)]
    renamed = NAMES.to_ours({k: t for k, t in tensors.items() if k not in names})
    if all(name in tensors for name in names):
        renamed[POINTS] = torch.cat([tensors[name] for name in names])
    if GAUSSIAN in renamed:
        renamed[GAUSSIAN_AGAIN] = renamed[GAUSSIAN]
    return renamed


def official_from_ours(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `ours_from_official`."""
    left = {k: t for k, t in tensors.items() if k not in (GAUSSIAN_AGAIN, POINTS)}
    official = NAMES.to_official(left)
    if POINTS in tensors:
        for kind, row in enumerate(tensors[POINTS].split(1)):
            official[OFFICIAL_POINT.format(kind)] = row
    return official


def image_part(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of the video network's tensors (our names) those of the network for single images."""
    return {name: tensor for name, tensor in tensors.items() if name.startswith(IMAGE_PARTS)}
