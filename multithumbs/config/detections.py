"""Where the people are in every frame."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from multithumbs.config.base import StageConfig


class CutOffConfig(StageConfig):
    """When somebody at the image's lower edge is taken to go on below it.

    The landmark network likes to read people who are cut off as whole, and smaller than they are.
    """

    edge_of_height: float = Field(default=0.08, ge=0, lt=0.5)
    """Boxes that end nearer to the image's lower edge, over its height, are looked into."""
    sure_agreement: float = Field(default=0.78, ge=0, le=1)
    """But not those of people whose silhouette agrees so well with their landmarks (intersection
    over union with a figure of common thickness)."""
    regions: tuple[Annotated[float, Field(gt=1, le=5)], ...] = Field(
        default=(1.35, 1.8, 2.4), max_length=6
    )
    """Larger regions that are tried, over the side of the known one; none turns this off."""
    min_flag: float = Field(default=0.7, gt=0, lt=1)
    """Least pose flag of a look into one."""
    min_kept: float = Field(default=0.88, gt=0, le=1)
    """Least side of the region that its landmarks ask for, over its own: of people who are as
    small as they were read they ask for less."""
    min_agreement: float = Field(default=0.7, ge=0, le=1)
    """Least agreement of its silhouette and landmarks."""
    min_gain: float = Field(default=0.03, ge=0, le=1)
    """Least gain of agreement."""
    min_same: float = Field(default=0.75, gt=0, le=1)
    """Least intersection over union of the boxes: a larger region may show somebody else."""


class BlazePoseDetectionsConfig(StageConfig):
    """BlazePose's detector on tiles, followed from frame to frame by its landmark network."""

    name: Literal["blazepose"] = "blazepose"
    tile_fractions: tuple[Annotated[float, Field(gt=0.05, le=1)], ...] = Field(
        default=(1.0, 0.6, 0.36), min_length=1, max_length=6
    )
    """Sides of the square tiles over the image's longer side, one per scale."""
    tile_overlap: float = Field(default=0.5, ge=0, lt=0.9)
    """Least overlap of neighbouring tiles over their side."""
    key_every: int = Field(default=8, ge=1, le=100)
    """Frames between two runs of the tiled detector."""
    min_candidate_score: float = Field(default=0.4, gt=0, lt=1)
    """Detector score under which a proposal is ignored."""
    same_candidate_distance: float = Field(default=0.1, gt=0, lt=1)
    """Proposals whose hip and scale points are both closer than this times their region's side
    are one person."""
    max_candidates: int = Field(default=60, ge=1, le=1000)
    """Proposals per image that are examined, best first."""
    passes: int = Field(default=2, ge=1, le=4)
    """Times the tiles are looked at: from the second time on, known people are painted over."""
    good_quality: float = Field(default=0.55, gt=0, lt=1)
    """From this quality on a known person is painted over when others are examined."""
    refinements: int = Field(default=2, ge=0, le=5)
    """Times a new proposal's region is recomputed from its landmarks."""
    cut_off: CutOffConfig = CutOffConfig()
    hopeless_flag: float = Field(default=0.1, ge=0, lt=1)
    """Pose flag under which a region is not looked at a second time."""
    start_flag: float = Field(default=0.6, gt=0, lt=1)
    """Least probability (the network's pose flag) that a new region holds a person."""
    follow_flag: float = Field(default=0.35, gt=0, lt=1)
    """The same for a person who is being followed."""
    start_disagreement: float = Field(default=0.05, gt=0, lt=1)
    """Largest mean distance, over the region's side, between the joints that the network sees
    in a new region and in its mirror image."""
    follow_disagreement: float = Field(default=0.09, gt=0, lt=1)
    """The same for a person who is being followed."""
    min_quality: float = Field(default=0.2, ge=0, lt=1)
    """Least quality (flag x mean joint confidence x agreement) of a followed person: those
    hidden further are guesses."""
    max_jump: float = Field(default=0.25, gt=0, lt=2)
    """Largest mean motion of a followed person's joints between frames, over the region's side;
    beyond it the region has slipped onto somebody else."""
    max_resize: float = Field(default=0.35, gt=0, lt=2)
    """Largest change of the region's side between frames (natural logarithm)."""
    max_turn: float = Field(default=0.8, gt=0, lt=3.15)
    """Largest change of the region's angle between frames (radians)."""
    max_gap: int = Field(default=6, ge=1, le=100)
    """Frames after which somebody who was lost from sight is no longer looked for in place."""
    widening: float = Field(default=1.25, ge=1, le=3)
    """Factor on the region of a person who is not seen in it at first."""
    run_quality: float = Field(default=0.4, ge=0, lt=1)
    """Least median quality of a person over all frames."""
    run_disagreement: float = Field(default=0.045, gt=0, lt=1)
    """Largest median disagreement of a person over all frames."""
    run_hidden: float = Field(default=0.25, gt=0, le=1)
    """Largest median fraction of a person's joints behind others: beyond it, what is seen is
    left-overs of the person in front."""
    min_run_frames: int = Field(default=4, ge=1, le=100)
    """People who can be followed for fewer frames are left out, unless the shot is shorter."""
    min_visible: int = Field(default=6, ge=1, le=17)
    """Least number of the 17 COCO joints that must be visible inside the image."""
    visible_confidence: float = Field(default=0.5, gt=0, lt=1)
    """Confidence from which on a joint counts as visible."""
    min_height_px: float = Field(default=40.0, gt=0, le=4000)
    """People whose box is lower than this (pixels) are left out: spectators, posters."""
    same_joint_distance: float = Field(default=0.05, gt=0, lt=1)
    """Joints of two sightings closer than this times their region's side are one joint."""
    max_shared: float = Field(default=0.45, gt=0, lt=1)
    """Fraction of a sighting's visible joints that may be another one's; beyond it the two
    are one person."""
    max_hidden: float = Field(default=0.6, gt=0, le=1)
    """Fraction of a sighting's joints that may lie inside another person's silhouette."""
    replace_gain: float = Field(default=1.15, ge=1, le=10)
    """A fresh proposal replaces a followed person's region when its quality is this many times
    higher."""

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """Names in the checkpoint registry."""
        return ("blazepose-detector", "blazepose-landmarks")


class BoxDetectorConfig(StageConfig):
    """What detectors that look at every frame by itself have in common."""

    min_score: float = Field(default=0.5, gt=0, lt=1)
    """Boxes with a lower score are dropped."""
    max_iou: float = Field(default=0.8, gt=0, le=1)
    """Of two boxes that overlap by more than this (intersection over union) the one with the
    lower score is dropped."""
    min_height_px: float = Field(default=40.0, ge=0, le=4000)
    """People whose box is lower than this (pixels) are left out: spectators, posters."""
    max_people: int = Field(default=50, ge=1, le=1000)
    """Boxes per frame that are kept, best first."""
    batch: int = Field(default=8, ge=1, le=1024)
    """Frames per forward pass; halved where a CUDA device runs out of memory."""


class RtDetrArchitecture(StageConfig):
    """Sizes of RT-DETR's networks; the defaults are those of ``rtdetr_r50vd`` (COCO)."""

    stem: int = Field(default=64, ge=2, le=4096)
    """Channels of the backbone's stem."""
    stages: tuple[Annotated[int, Field(ge=1, le=16384)], ...] = Field(
        default=(256, 512, 1024, 2048), min_length=4, max_length=4
    )
    """Channels of the backbone's stages."""
    depths: tuple[Annotated[int, Field(ge=1, le=100)], ...] = Field(
        default=(3, 4, 6, 3), min_length=4, max_length=4
    )
    """Blocks of the backbone's stages."""
    width: int = Field(default=256, ge=8, le=4096)
    """Channels of encoder and decoder."""
    heads: int = Field(default=8, ge=1, le=64)
    """Attention heads of encoder and decoder."""
    hidden: int = Field(default=1024, ge=8, le=16384)
    """Width of their hidden layers."""
    decoder_layers: int = Field(default=6, ge=1, le=24)
    """Layers of the decoder."""
    queries: int = Field(default=300, ge=1, le=10000)
    """Boxes that the decoder proposes."""
    labels: int = Field(default=80, ge=1, le=10000)
    """Classes; the first is a person."""


class RtDetrConfig(BoxDetectorConfig):
    """RT-DETR (ResNet-50): the fast detector."""

    name: Literal["rtdetr"] = "rtdetr"
    architecture: RtDetrArchitecture = RtDetrArchitecture()
    side_px: int = Field(default=640, ge=64, le=4096, multiple_of=32)
    """Side of the square that every frame is scaled to."""

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """Names in the checkpoint registry."""
        return ("rtdetr-r50",)


class GroundingDinoArchitecture(StageConfig):
    """Sizes of Grounding DINO's networks; the defaults are those of the tiny model."""

    swin_width: int = Field(default=96, ge=2, le=4096)
    """Channels of the image backbone's first stage."""
    swin_depths: tuple[Annotated[int, Field(ge=1, le=100)], ...] = Field(
        default=(2, 2, 6, 2), min_length=4, max_length=4
    )
    """Blocks of the image backbone's stages."""
    swin_heads: tuple[Annotated[int, Field(ge=1, le=128)], ...] = Field(
        default=(3, 6, 12, 24), min_length=4, max_length=4
    )
    """Attention heads of the image backbone's stages."""
    swin_window: int = Field(default=7, ge=2, le=64)
    """Side of the image backbone's windows, tokens."""
    text_width: int = Field(default=768, ge=8, le=8192)
    """Channels of the text backbone."""
    text_depth: int = Field(default=12, ge=1, le=100)
    """Layers of the text backbone."""
    text_heads: int = Field(default=12, ge=1, le=128)
    """Attention heads of the text backbone."""
    text_hidden: int = Field(default=3072, ge=8, le=32768)
    """Width of the text backbone's hidden layers."""
    width: int = Field(default=256, ge=32, le=4096, multiple_of=32)
    """Channels of encoder and decoder."""
    heads: int = Field(default=8, ge=1, le=64)
    """Attention heads of encoder and decoder."""
    hidden: int = Field(default=2048, ge=8, le=32768)
    """Width of their hidden layers."""
    layers: int = Field(default=6, ge=1, le=24)
    """Layers of the encoder, and of the decoder."""
    queries: int = Field(default=900, ge=1, le=10000)
    """Boxes that the decoder proposes."""


BASE_GROUNDING_DINO = GroundingDinoArchitecture(
    swin_width=128, swin_depths=(2, 2, 18, 2), swin_heads=(4, 8, 16, 32), swin_window=12
)


class GroundingDinoConfig(BoxDetectorConfig):
    """Grounding DINO, asked for "person."."""

    name: Literal["grounding_dino"] = "grounding_dino"
    size: Literal["tiny", "base"] = "tiny"
    """Which of the released models: with a Swin-T or a Swin-B backbone."""
    architecture: GroundingDinoArchitecture | None = None
    """Sizes of the networks; null for those of the released model."""
    min_score: float = Field(default=0.3, gt=0, lt=1)
    """Boxes with a lower score (the best of the text's tokens) are dropped."""
    batch: int = Field(default=4, ge=1, le=1024)
    """Frames per forward pass; halved where a CUDA device runs out of memory."""
    shortest_px: int = Field(default=800, ge=64, le=4096)
    """Frames are scaled until their shorter side is this ..."""
    longest_px: int = Field(default=1333, ge=64, le=8192)
    """... or their longer side would be larger than this."""

    @property
    def sizes(self) -> GroundingDinoArchitecture:
        """The networks' sizes."""
        if self.architecture is not None:
            return self.architecture
        return BASE_GROUNDING_DINO if self.size == "base" else GroundingDinoArchitecture()

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """Names in the checkpoint registry."""
        return (f"grounding-dino-{self.size}",)


class YoloConfig(BoxDetectorConfig):
    """A YOLO of the `ultralytics` package, which is not part of multithumbs (AGPL-3.0)."""

    name: Literal["yolo"] = "yolo"
    weights: Path | None = None
    """The weight file. `ultralytics` runs code that it may hold: use only what you trust."""
    min_score: float = Field(default=0.4, gt=0, lt=1)
    """Boxes with a lower score are dropped."""
    side_px: int = Field(default=640, ge=64, le=4096, multiple_of=32)
    """Longer side that every frame is scaled to."""
    person_label: int = Field(default=0, ge=0, le=10000)
    """Which of the model's classes is a person."""


DetectionsConfig = Annotated[
    BlazePoseDetectionsConfig | RtDetrConfig | GroundingDinoConfig | YoloConfig,
    Field(discriminator="name"),
]
