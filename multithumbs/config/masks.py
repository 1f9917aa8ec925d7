"""Which pixels belong to every person."""

from typing import Annotated, Literal

from pydantic import Field

from multithumbs.config.base import StageConfig


class BlazePoseMasksConfig(StageConfig):
    """BlazePose's segmentation of each detection's region."""

    name: Literal["blazepose"] = "blazepose"
    min_probability: float = Field(default=0.5, gt=0, lt=1)
    """Least probability of a pixel of the mask."""
    min_component: float = Field(default=0.05, ge=0, lt=1)
    """Parts of a mask smaller than this times its largest part are dropped."""

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """Names in the checkpoint registry."""
        return ("blazepose-landmarks",)


class BoxMasksConfig(StageConfig):
    """What all networks that are prompted with boxes share."""

    exclusive: bool = True
    """People in one frame share no pixel: it belongs to whoever has the higher logit there."""
    min_quality: float = Field(default=0.0, ge=0, lt=1)
    """Masks are left out whose quality the network itself expects to be lower; with
    ``propagate``, people who are there with a lower probability."""
    batch: int = Field(default=4, ge=1, le=1024)
    """Frames that the network sees at once; halved where a CUDA device runs out of memory."""
    assign_by_mesh: bool | None = None
    """Give each mask to the person of the frame whose mesh it overlaps most, as in the paper's
    section 3.1, instead of to the detection whose box asked for it; null for yes with
    `bodies=hmr2`, no otherwise."""
    min_overlap: float = Field(default=0.1, ge=0, le=1)
    """Least intersection over union of a mask and the mesh that it is given to. Low, because
    furniture hides much of some people from the mask and nothing of their meshes."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Stages that come first (see `multithumbs.runner.configured`)."""
        return ("detections", "bodies") if self.assign_by_mesh else ("detections",)

    @property
    def uses_body(self) -> bool:
        """Whether results depend on the body model."""
        return bool(self.assign_by_mesh)


class SamArchitecture(StageConfig):
    """Sizes of SAM; the defaults are ViT-H's."""

    image_size: int = Field(default=1024, ge=32, le=4096, multiple_of=16)
    """Side of the square input, pixels."""
    hidden_size: int = Field(default=1280, ge=8, le=8192)
    """Width of the image encoder."""
    layers: int = Field(default=32, ge=1, le=200)
    """Blocks of the image encoder."""
    heads: int = Field(default=16, ge=1, le=256)
    """Attention heads per block of the image encoder."""
    global_layers: tuple[Annotated[int, Field(ge=0, le=200)], ...] = (7, 15, 23, 31)
    """Blocks that attend to the whole image; the others to windows."""
    window: int = Field(default=14, ge=1, le=256)
    """Side of a window, patches."""
    channels: int = Field(default=256, ge=8, le=4096, multiple_of=8)
    """Width of the image embedding and of the mask decoder."""
    mask_channels: int = Field(default=16, ge=4, le=1024, multiple_of=4)
    """Width of the embedding of mask prompts."""
    decoder_heads: int = Field(default=8, ge=1, le=64)
    """Attention heads of the mask decoder."""
    decoder_mlp: int = Field(default=2048, ge=1, le=16384)
    """Hidden width of the mask decoder's blocks."""
    quality_width: int = Field(default=256, ge=1, le=4096)
    """Hidden width of the head that predicts a mask's quality."""


class SamMasksConfig(BoxMasksConfig):
    """SAM (ViT-H) prompted with each detection's box."""

    name: Literal["sam"] = "sam"
    architecture: SamArchitecture = SamArchitecture()

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """Names in the checkpoint registry."""
        return ("sam-vit-h",)


class Sam2Architecture(StageConfig):
    """Sizes of SAM 2.1; the defaults are Hiera-L's."""

    image_size: int = Field(default=1024, ge=64, le=4096, multiple_of=32)
    """Side of the square input, pixels."""
    width: int = Field(default=144, ge=8, le=2048)
    """Width of the first stage; each later one doubles it."""
    heads: int = Field(default=2, ge=1, le=64)
    """Attention heads of the first stage; each later one doubles them."""
    blocks: tuple[Annotated[int, Field(ge=1, le=200)], ...] = Field(
        default=(2, 6, 36, 4), min_length=4, max_length=4
    )
    """Blocks of each stage."""
    windows: tuple[Annotated[int, Field(ge=1, le=256)], ...] = Field(
        default=(8, 4, 16, 8), min_length=4, max_length=4
    )
    """Side of the attention windows of each stage, patches."""
    global_blocks: tuple[Annotated[int, Field(ge=0, le=800)], ...] = (23, 33, 43)
    """Blocks that attend to the whole image."""
    position_size: int = Field(default=7, ge=1, le=256)
    """Side of the grid of learnt positions that is stretched over the image."""
    channels: int = Field(default=256, ge=128, le=4096, multiple_of=64)
    """Width of the image embedding, of the mask decoder and of the memory attention; a
    remembered frame always has 64 channels."""
    memory_layers: int = Field(default=4, ge=1, le=64)
    """Layers of the memory attention."""
    mask_channels: int = Field(default=16, ge=4, le=1024, multiple_of=4)
    """Width of the embedding of mask prompts."""
    decoder_heads: int = Field(default=8, ge=1, le=64)
    """Attention heads of the mask decoder."""
    decoder_mlp: int = Field(default=2048, ge=1, le=16384)
    """Hidden width of the mask decoder's and the memory attention's blocks."""


class Sam2MasksConfig(BoxMasksConfig):
    """SAM 2.1 (Hiera-L), frame by frame with each detection's box, or propagated in the shot."""

    name: Literal["sam2"] = "sam2"
    propagate: bool = False
    """Follow each person's mask from frame to frame by SAM 2's memory; a box starts a mask only
    where no followed one fits it. Frames are then read one at a time."""
    follow_overlap: float = Field(default=0.3, gt=0, le=1)
    """Least intersection over union of a followed mask's box and the detection's that it is."""
    max_lost: int = Field(default=12, ge=1, le=10000)
    """Frames without a fitting detection after which a mask is no longer followed."""
    architecture: Sam2Architecture = Sam2Architecture()

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """Names in the checkpoint registry."""
        return ("sam2.1-hiera-l",)


class SegmentAnythingMasksConfig(BoxMasksConfig):
    """SAM through its authors' own package, which brings torchvision (an extra)."""

    name: Literal["segment_anything"] = "segment_anything"
    variant: Literal["vit_h"] = "vit_h"
    """Which of the package's networks the checkpoint is of."""

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """Names in the checkpoint registry."""
        return ("sam-vit-h",)


MasksConfig = Annotated[
    BlazePoseMasksConfig | SamMasksConfig | Sam2MasksConfig | SegmentAnythingMasksConfig,
    Field(discriminator="name"),
]
