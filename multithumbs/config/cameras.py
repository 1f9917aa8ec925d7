"""How every shot's odometry is placed, in metres, in the world of its island."""

from typing import Annotated, Literal

from pydantic import Field

from multithumbs.config.base import StageConfig
from multithumbs.config.room import RoomViewConfig
from multithumbs.config.sizes import SizesConfig


class ScaleConfig(StageConfig):
    """Metres per unit of a moving camera's odometry, from the people it films."""

    window_s: float = Field(default=0.3, gt=0.02, le=2)
    """A foot on the floor is compared with itself this much later (seconds)."""
    still_m: float = Field(default=0.06, gt=0, le=1)
    """Displacement in the window beyond which a foot counts as moving (metres)."""
    depth_noise: float = Field(default=0.02, gt=0, le=0.5)
    """Noise of a body's depth from frame to frame, as a fraction of its depth."""
    min_keypoint_confidence: float = Field(default=0.3, gt=0, le=1)
    """Feet that were seen with less do not vote."""
    min_pairs: int = Field(default=12, ge=1)
    """Fewer comparisons than this say nothing about the scale."""
    min_still: float = Field(default=0.15, gt=0, le=1)
    """Fraction of the comparisons that must agree with the scale."""
    min_contrast: float = Field(default=1.15, ge=1, le=10)
    """By how much more of them must agree with it than with a typical other scale."""
    prior_depth: float = Field(default=1.5, gt=0.1, le=20)
    """The background's median depth is expected at this multiple of the people's."""
    prior_log_std: float = Field(default=0.8, gt=0, le=5)
    """One standard deviation of the logarithm of that."""


class RevisitConfig(StageConfig):
    """Shots filmed by a camera that was there before (shot / reverse shot)."""

    enabled: bool = True
    """Whether to look for them."""
    window: int = Field(default=8, ge=1, le=200)
    """Each shot is compared with this many before it."""
    features: int = Field(default=800, ge=100, le=5000)
    """Background features per shot."""
    min_matches: int = Field(default=40, ge=10)
    """Matches that must follow one rotation."""
    min_inliers: float = Field(default=0.35, gt=0, le=1)
    """Fraction of all matches that must follow it."""
    min_zoomed_inliers: float = Field(default=0.6, gt=0, le=1)
    """The same where the lens has to be another one: a step forward looks much like a zoom."""
    tolerance_px: float = Field(default=2.0, gt=0, le=20)
    """Residual of a match that follows the rotation, in an image 640 pixels wide."""


class RoomConfig(RoomViewConfig):
    """Straight edges of rooms, courts and streets: the relative rotation at a cut."""

    max_turn_deg: float = Field(default=15.0, gt=0, lt=45)
    """A room that wants to turn a cut's cameras by more is not believed (degrees)."""
    depth_std: float = Field(default=0.03, gt=0, le=1)
    """Noise of a person's depth at given size, as a fraction."""
    lateral_std_m: float = Field(default=0.05, gt=0, le=1)
    """Noise of a person's place across the ray (metres)."""
    size_std: float = Field(default=0.06, gt=0, le=1)
    """Of a person's true size over the one that the monocular fit assumed."""


class PoseGraphCamerasConfig(StageConfig):
    """Shots as nodes, cuts and returns to an earlier camera as edges; scales from the people."""

    name: Literal["pose_graph"] = "pose_graph"
    scale: ScaleConfig = ScaleConfig()
    revisits: RevisitConfig = RevisitConfig()
    room: RoomConfig = RoomConfig()
    sizes: SizesConfig | None = SizesConfig()
    """Everybody's size from all shots and cuts; null: as each fit has it."""
    cut_rotation_std_deg: float = Field(default=3.0, gt=0, le=90)
    """Uncertainty of a cut's relative rotation (degrees); only ratios between edges count."""
    cut_translation_std_m: float = Field(default=0.2, gt=0, le=10)
    """Uncertainty of a cut's relative translation (metres)."""
    revisit_rotation_std_deg: float = Field(default=0.3, gt=0, le=90)
    """Uncertainty of the rotation between two visits of one camera (degrees)."""
    revisit_translation_std_m: float = Field(default=0.05, gt=0, le=10)
    """How far a camera may stand from where it stood before (metres)."""
    scale_log_std: float = Field(default=0.2, gt=0, le=2)
    """Uncertainty of the logarithm of a scale that the people gave."""


class LiteralCamerasConfig(StageConfig):
    """The paper's Eq. 6 as printed: a rigid anchor at the boundary, odometry units as metres."""

    name: Literal["literal"] = "literal"


CamerasConfig = Annotated[
    PoseGraphCamerasConfig | LiteralCamerasConfig, Field(discriminator="name")
]
