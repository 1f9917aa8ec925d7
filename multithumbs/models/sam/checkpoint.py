"""SAM's official checkpoint under the names of the port in ``transformers``.

Source: facts sheet ``groundedsam.md`` section 4.
"""

from collections.abc import Mapping
from typing import Final

from torch import Tensor

from multithumbs.models.renaming import Renaming

GAUSSIAN: Final = "shared_image_embedding.positional_embedding"
GAUSSIAN_AGAIN: Final = "prompt_encoder.shared_embedding.positional_embedding"
"""The port stores the official ``pe_layer`` twice."""

# fmt: off
MASK_DECODER: Final[Mapping[str, str]] = {
    "transformer.layers.#.norm#.*": "transformer.layers.#.layer_norm#.*",
    "transformer.norm_final_attn.*": "transformer.layer_norm_final_attn.*",
    "output_upscaling.0.*": "upscale_conv1.*",
    "output_upscaling.1.*": "upscale_layer_norm.*",
    "output_upscaling.3.*": "upscale_conv2.*",
    "output_hypernetworks_mlps.#.layers.0.*": "output_hypernetworks_mlps.#.proj_in.*",
    "output_hypernetworks_mlps.#.layers.1.*": "output_hypernetworks_mlps.#.layers.0.*",
    "output_hypernetworks_mlps.#.layers.2.*": "output_hypernetworks_mlps.#.proj_out.*",
    "iou_prediction_head.layers.0.*": "iou_prediction_head.proj_in.*",
    "iou_prediction_head.layers.1.*": "iou_prediction_head.layers.0.*",
    "iou_prediction_head.layers.2.*": "iou_prediction_head.proj_out.*",
}
"""Below ``mask_decoder.``; SAM 2's is the same but for what it adds."""
PROMPT_ENCODER: Final[Mapping[str, str]] = {
    "mask_downscaling.0.*": "mask_embed.conv1.*",
    "mask_downscaling.1.*": "mask_embed.layer_norm1.*",
    "mask_downscaling.3.*": "mask_embed.conv2.*",
    "mask_downscaling.4.*": "mask_embed.layer_norm2.*",
    "mask_downscaling.6.*": "mask_embed.conv3.*",
}
"""Below ``prompt_encoder.``."""
NAMES: Final = Renaming({
    "image_encoder.pos_embed": "vision_encoder.pos_embed",
    "image_encoder.patch_embed.proj.*": "vision_encoder.patch_embed.projection.*",
    "image_encoder.blocks.#.norm#.*": "vision_encoder.layers.#.layer_norm#.*",
    "image_encoder.blocks.#.*": "vision_encoder.layers.#.*",
    "image_encoder.neck.0.*": "vision_encoder.neck.conv1.*",
    "image_encoder.neck.1.*": "vision_encoder.neck.layer_norm1.*",
    "image_encoder.neck.2.*": "vision_encoder.neck.conv2.*",
    "image_encoder.neck.3.*": "vision_encoder.neck.layer_norm2.*",
    "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix": GAUSSIAN,
    "prompt_encoder.point_embeddings.#.*": "prompt_encoder.point_embed.#.*",
    **{f"prompt_encoder.{a}": f"prompt_encoder.{b}" for a, b in PROMPT_ENCODER.items()},
    **{f"mask_decoder.{a}": f"mask_decoder.{b}" for a, b in MASK_DECODER.items()},
})
# fmt: on


def ours_from_official(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The official tensors under our names; a file already in our names passes unchanged."""
    if not any(name.startswith("image_encoder.") for name in tensors):
        return dict(tensors)
    renamed = NAMES.to_ours(tensors)
    if GAUSSIAN in renamed:
        renamed[GAUSSIAN_AGAIN] = renamed[GAUSSIAN]
    return renamed


def official_from_ours(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `ours_from_official`."""
    once = {name: tensor for name, tensor in tensors.items() if name != GAUSSIAN_AGAIN}
    return NAMES.to_official(once)
