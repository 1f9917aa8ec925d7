"""Where every person's joints are."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from multithumbs.config.base import StageConfig


class FacingConfig(StageConfig):
    """When people are taken to face the camera or to turn their back on it, over time.

    Widths are those of shoulders and hips over the torso's length, signed: 1 from the front, -1
    from behind. Costs are logarithms of odds.
    """

    enabled: bool = True
    """False takes every reading's left and right as they are."""
    side_width: float = Field(default=0.2, ge=0, lt=1)
    """Width up to which a reading, nearly from the side, says nothing."""
    full_width: float = Field(default=0.6, gt=0, le=2)
    """Width from which it says all it can; above `side_width`."""
    front_read_cost: float = Field(default=0.5, ge=0, le=100)
    """Of a reading that sees the front of somebody who turns the back: the network often does."""
    back_read_cost: float = Field(default=3.0, ge=0, le=100)
    """Of a reading that sees the back of somebody who faces the camera: it hardly ever does."""
    face: bool = True
    """Whether the face network looks at every head: without it nothing tells of somebody who is
    read from the wrong side throughout."""
    face_logit: float = Field(default=-3.0, ge=-50, le=50)
    """Logit of the face network from which on there rather is a face."""
    min_sharpness: float = Field(default=0.018, ge=0, le=1)
    """A head without a face says nothing where its picture is blurred more: the 90th percentile of
    the Laplacian's size, of values in [0, 1]."""
    face_cost: float = Field(default=1.0, ge=0, le=100)
    """Of a face on somebody who turns the back."""
    no_face_cost: float = Field(default=1.5, ge=0, le=100)
    """Of no face on somebody who faces the camera and is seen wide: more than what two readings
    that see a front are worth."""
    narrow_width: float = Field(default=0.5, ge=0, lt=2)
    """Width up to which a missing face says nothing: the head may be seen in profile."""
    wide_width: float = Field(default=0.9, gt=0, le=3)
    """Width from which it says all it can; above `narrow_width`."""
    turn_cost: float = Field(default=1.0, ge=0, le=1000)
    """Of turning round."""
    turn_rate: float = Field(default=8.0, gt=0, le=100)
    """Fastest change of the width, per second."""
    leap_cost: float = Field(default=12.0, ge=0, le=1000)
    """Of turning round faster than that, per width beyond it: what two thirds of a second of
    readings outweigh."""
    window_s: float = Field(default=0.2, ge=0, le=10)
    """The usual width is the median over this long before and after (seconds)."""
    max_deviation: float = Field(default=0.4, gt=0, le=10)
    """A reading whose width differs by more from the usual one is torn between the sides."""
    doubtful_confidence: float = Field(default=0.6, gt=0, le=1)
    """Factor on the confidence of keypoints of which no reading is right."""

    @model_validator(mode="after")
    def _ordered(self) -> "FacingConfig":
        for small, large in (("side_width", "full_width"), ("narrow_width", "wide_width")):
            if getattr(self, large) <= getattr(self, small):
                raise ValueError(
                    f"{large} {getattr(self, large):g} must exceed {small} {getattr(self, small):g}"
                )
        return self


class BlazePoseKeypointsConfig(StageConfig):
    """BlazePose's landmark network on each detection's region."""

    name: Literal["blazepose"] = "blazepose"
    mirror: bool = True
    """Also read the mirrored region, and average the two readings."""
    max_disagreement: float = Field(default=0.05, gt=0, lt=1)
    """Joints of the two readings further apart than this, over the region's side, are not
    averaged: the more confident reading is taken, with its confidence lowered."""
    facing: FacingConfig = FacingConfig()

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """Names in the checkpoint registry."""
        faces = self.facing.enabled and self.facing.face
        return ("blazepose-landmarks", *(("face-landmarks",) if faces else ()))


class ViTPoseArchitecture(StageConfig):
    """Sizes of the network; the defaults are ViTPose-H's."""

    hidden_size: int = Field(default=1280, ge=8, le=8192)
    """Width of the transformer."""
    layers: int = Field(default=32, ge=1, le=200)
    """Transformer blocks."""
    heads: int = Field(default=16, ge=1, le=256)
    """Attention heads per block."""
    deconvolution_channels: int = Field(default=256, ge=1, le=4096)
    """Channels of the two up-sampling layers of the head."""


class ViTPoseConfig(StageConfig):
    """ViTPose on a crop of each person (paper section 3.1)."""

    name: Literal["vitpose"] = "vitpose"
    head: Literal["coco", "wholebody"] = "wholebody"
    """``coco`` gives 17 keypoints and leaves the feet at confidence 0, ``wholebody`` all 23."""
    boxes: Literal["auto", "detections", "meshes"] = "auto"
    """What is cropped: the detected box, or the box of the person's projected mesh inside the
    image, as in the paper. A person whose body failed keeps the detected box. ``auto``: meshes
    where `bodies` and `intrinsics` need no keypoints, detections where they do."""
    padding: float = Field(default=1.25, ge=1, le=3)
    """Side of the crop over the box's, once the box has the crop's aspect."""
    flip: bool = True
    """Also read the mirrored crop, and average the heat-maps."""
    decoding: Literal["trained", "udp", "quarter", "dark", "argmax"] = "trained"
    """How a peak becomes a place. ``trained``: as the head was trained, which is ``udp``
    (unbiased crop and DARK refinement) for ``coco`` and ``quarter`` (a quarter pixel towards the
    larger neighbour) for ``wholebody``. ``dark`` and ``argmax`` are read on the biased crop."""
    batch: int = Field(default=32, ge=1, le=4096)
    """Crops that the network sees at once; halved where a CUDA device runs out of memory."""
    architecture: ViTPoseArchitecture = ViTPoseArchitecture()

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """Names in the checkpoint registry."""
        return (f"vitpose-h-{self.head}",)

    @property
    def reads(self) -> tuple[str, ...]:
        """Stages that come first (see `multithumbs.runner.configured`)."""
        return ("detections", "bodies") if self.reads_bodies else ("detections",)

    @property
    def uses_body(self) -> bool:
        """Whether results depend on the body model."""
        return self.reads_bodies

    @property
    def reads_bodies(self) -> bool:
        """Whether the stage needs `Bodies` and the body model, to render its boxes."""
        return self.boxes == "meshes"


KeypointsConfig = Annotated[BlazePoseKeypointsConfig | ViTPoseConfig, Field(discriminator="name")]
