"""Configuration of `boundaries=vggt`."""

from typing import Literal

from pydantic import Field, model_validator

from multithumbs.config.base import StageConfig


class VggtArchitecture(StageConfig):
    """Sizes of the network; the defaults are those of the released checkpoints."""

    image_size: int = Field(default=518, ge=14, le=4096)
    """Side of the square that the position embeddings were trained on, pixels."""
    patch_size: int = Field(default=14, ge=1, le=64)
    """Side of a patch, pixels."""
    width: int = Field(default=1024, ge=8, le=8192)
    """Channels of a token; the heads see two of them side by side."""
    mlp_ratio: float = Field(default=4.0, gt=0, le=16)
    """Hidden over outer channels of an MLP."""
    registers: int = Field(default=4, ge=0, le=64)
    """Register tokens per frame."""
    encoder_depth: int = Field(default=24, ge=1, le=100)
    """Blocks of the image encoder (DINOv2)."""
    encoder_heads: int = Field(default=16, ge=1, le=100)
    """Attention heads of the image encoder."""
    depth: int = Field(default=24, ge=1, le=100)
    """Pairs of blocks: attention inside frames, then across frames."""
    heads: int = Field(default=16, ge=1, le=100)
    """Attention heads of the pairs."""
    rope_base: float = Field(default=100.0, gt=1, le=1e6)
    """Base of the rotary position encoding."""
    camera_depth: int = Field(default=4, ge=1, le=100)
    """Blocks of the camera head."""
    camera_heads: int = Field(default=16, ge=1, le=100)
    """Attention heads of the camera head."""
    camera_iterations: int = Field(default=4, ge=1, le=100)
    """Times the camera head refines its answer."""
    taps: tuple[int, int, int, int] = (4, 11, 17, 23)
    """Pairs of blocks that the dense heads read, from fine to coarse."""
    dpt_features: int = Field(default=256, ge=4, le=4096)
    """Channels in which the dense heads merge their levels."""
    dpt_channels: tuple[int, int, int, int] = (256, 512, 1024, 1024)
    """Channels of those levels, from fine to coarse."""

    @model_validator(mode="after")
    def _fits(self) -> "VggtArchitecture":
        if self.width % (4 * self.heads) or self.width % self.encoder_heads:
            raise ValueError("width must be a multiple of 4 x heads and of encoder_heads")
        if max(self.taps) >= self.depth or min(self.taps) < 0:
            raise ValueError(f"taps must lie in [0, {self.depth})")
        return self


class CommonPlaceConfig(StageConfig):
    """What shows that both frames are of one place: VGGT answers whether they are or not."""

    required: bool = True
    """Whether a cut without any such sign is FAILED."""
    max_pair_m: float = Field(default=1.0, gt=0, le=10)
    """People of either side closer than this may be one person (the paper's tau), metres."""
    min_margin_m: float = Field(default=0.5, ge=0, le=10)
    """A pair is clear if no other partner comes this close to being as near, metres."""
    max_depth_difference: float = Field(default=0.05, gt=0, lt=1)
    """Background of one view lies where the other sees it if their depths differ by less than
    this fraction."""
    min_overlap: float = Field(default=0.1, gt=0, le=1)
    """Share of either view's background that the other must see so, where no pair is clear."""


class VggtBoundariesConfig(StageConfig):
    """VGGT on the two boundary frames: cameras, intrinsics and a point per pixel (paper
    section 3.1); people give the metres."""

    name: Literal["vggt"] = "vggt"
    weights: Literal["vggt-1b", "vggt-1b-commercial"] = "vggt-1b"
    """Which checkpoint: `vggt-1b` is for non-commercial use, the other one is gated."""
    architecture: VggtArchitecture = VggtArchitecture()
    window_frames: int = Field(default=2, ge=0, le=30)
    """A person not found in a boundary frame itself is taken from the nearest of this many
    frames on the same side of the cut."""
    min_keypoint_confidence: float = Field(default=0.3, ge=0, lt=1)
    """Keypoints below it count as not seen."""
    fit: Literal["auto", "crop", "pad"] = "auto"
    """How a frame meets the network: `crop` scales it to the width and cuts a portrait's top and
    bottom off, `pad` adds white borders to a square, `auto` pads portraits only."""
    context_frames: int = Field(default=0, ge=0, le=16)
    """Further frames on either side of the cut that the network sees; people move in them."""
    context_step: int = Field(default=3, ge=1, le=100)
    """Frames between two of those."""
    points: Literal["depth", "point_head"] = "depth"
    """Points from depth maps and cameras (usually better), or the point head's own."""
    scale: Literal["paper", "median", "head_pelvis"] = "median"
    """Metres per unit. `paper`: mean over people of the ratio of the largest centroid-to-vertex
    distances of mesh and points; `median`: median over people of the median ratio of depths;
    `head_pelvis`: mean ratio of the head-to-pelvis lengths in the image (CHROMM)."""
    min_confidence: float = Field(default=1.1, ge=1, le=100)
    """Points that the network trusts less (its scale begins at 1) are left out."""
    person_quantile: float = Field(default=0.1, ge=0, lt=1)
    """Share of a person's points, the least trusted, that are left out as well."""
    mask_erosion_px: int = Field(default=1, ge=0, le=20)
    """People's masks shrink by this first, pixels of the network's input: points at a
    silhouette hang between the person and what is behind."""
    min_person_points: int = Field(default=20, ge=1, le=100000)
    """A person with fewer points says nothing about the scale."""
    max_log_spread: float = Field(default=0.4, gt=0, le=5)
    """FAILED where people's own scales differ by more than this (mean absolute deviation of
    their natural logarithms from the median), or the scale from that of the bodies' depths."""
    grid_px: int = Field(default=256, ge=16, le=2048)
    """Longer side of the stored point map."""
    common_place: CommonPlaceConfig = CommonPlaceConfig()

    @property
    def reads(self) -> tuple[str, ...]:
        """No textures: a reconstruction must not be made again because clothes are seen better."""
        return ("detections", "keypoints", "masks", "bodies", "tracks")

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """Names in the checkpoint registry."""
        return (self.weights,)
