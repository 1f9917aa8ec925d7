"""SAM and SAM 2.1 as ``transformers`` builds them, with the official constants."""

from typing import Any, Final

from torch import nn

from multithumbs.config.masks import Sam2Architecture, SamArchitecture
from multithumbs.errors import BackendUnavailable

PATCH: Final = 16
MEMORY_CHANNELS: Final = 64
"""Of a remembered frame; the port knows no other number."""
DECODER_LAYER_NORM_EPS: Final = 1e-5
"""Of the mask decoder's two-way blocks, as in the original; the port's own default is 1e-6."""


def _library(option: str) -> Any:
    try:
        import transformers
    except ImportError as error:
        raise BackendUnavailable(
            f"masks={option} needs transformers; run `pip install multithumbs[paper]`"
        ) from error
    return transformers


def build_sam(architecture: SamArchitecture) -> nn.Module:
    """``SamModel`` in evaluation mode; may be built under ``torch.device("meta")``.

    Raises:
        BackendUnavailable: ``transformers`` is not installed.
    """
    library, size = _library("sam"), architecture
    vision = {
        "image_size": size.image_size,
        "patch_size": PATCH,
        "hidden_size": size.hidden_size,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "global_attn_indexes": list(size.global_layers),
        "window_size": size.window,
        "output_channels": size.channels,
        "num_pos_feats": size.channels // 2,
    }
    prompt = {
        "hidden_size": size.channels,
        "image_size": size.image_size,
        "patch_size": PATCH,
        "mask_input_channels": size.mask_channels,
    }
    decoder = {
        "hidden_size": size.channels,
        "mlp_dim": size.decoder_mlp,
        "num_attention_heads": size.decoder_heads,
        "iou_head_hidden_dim": size.quality_width,
        "layer_norm_eps": DECODER_LAYER_NORM_EPS,
    }
    config = library.SamConfig(
        vision_config=library.SamVisionConfig(**vision),
        prompt_encoder_config=library.SamPromptEncoderConfig(**prompt),
        mask_decoder_config=library.SamMaskDecoderConfig(**decoder),
    )
    return library.SamModel(config).eval()


def build_sam2(architecture: Sam2Architecture, *, video: bool) -> nn.Module:
    """``Sam2VideoModel``, or ``Sam2Model`` for single images, in evaluation mode.

    Built under ``torch.device("meta")`` the video network has lost the buffers that no
    checkpoint holds (rotary frequencies): enough to list its tensors, not to run.

    Raises:
        BackendUnavailable: ``transformers`` is not installed.
    """
    library, size = _library("sam2"), architecture
    side = size.image_size
    widths = [size.width * 2**stage for stage in range(4)]
    backbone = library.Sam2HieraDetConfig(
        hidden_size=size.width,
        num_attention_heads=size.heads,
        image_size=[side, side],
        blocks_per_stage=list(size.blocks),
        embed_dim_per_stage=widths,
        num_attention_heads_per_stage=[size.heads * 2**stage for stage in range(4)],
        window_size_per_stage=list(size.windows),
        global_attention_blocks=list(size.global_blocks),
        window_positional_embedding_background_size=[size.position_size] * 2,
    )
    vision = library.Sam2VisionConfig(
        backbone_config=backbone,
        backbone_channel_list=widths[::-1],
        backbone_feature_sizes=[[side // stride] * 2 for stride in (4, 8, 16)],
        fpn_hidden_size=size.channels,
    )
    prompt = {
        "hidden_size": size.channels,
        "image_size": side,
        "patch_size": PATCH,
        "mask_input_channels": size.mask_channels,
    }
    decoder = {
        "hidden_size": size.channels,
        "mlp_dim": size.decoder_mlp,
        "num_attention_heads": size.decoder_heads,
        "iou_head_hidden_dim": size.channels,
    }
    if not video:
        config = library.Sam2Config(
            vision_config=vision,
            prompt_encoder_config=library.Sam2PromptEncoderConfig(**prompt),
            mask_decoder_config=library.Sam2MaskDecoderConfig(**decoder),
        )
        return library.Sam2Model(config).eval()
    config = library.Sam2VideoConfig(
        vision_config=vision,
        prompt_encoder_config=library.Sam2VideoPromptEncoderConfig(**prompt),
        mask_decoder_config=library.Sam2VideoMaskDecoderConfig(**decoder),
        image_size=side,
        memory_attention_hidden_size=size.channels,
        memory_attention_num_layers=size.memory_layers,
        memory_attention_feed_forward_hidden_size=size.decoder_mlp,
        memory_attention_rope_feat_sizes=[side // PATCH] * 2,
        memory_encoder_hidden_size=size.channels,
        memory_encoder_output_channels=MEMORY_CHANNELS,
        mask_downsampler_embed_dim=size.channels,
        memory_fuser_embed_dim=size.channels,
        memory_fuser_intermediate_dim=4 * size.channels,
    )
    return library.Sam2VideoModel(config).eval()
