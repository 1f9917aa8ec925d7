"""Configuration of `intrinsics`: the pinhole camera of a shot."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from multithumbs.config.base import StageConfig
from multithumbs.config.bodies import FitConfig


class AssumedIntrinsicsConfig(StageConfig):
    """The focal length as a multiple of the image's diagonal: right within some 30 %."""

    name: Literal["assumed"] = "assumed"
    focal_over_diagonal: float = Field(default=1.0, gt=0.05, le=20)
    """Focal length over the length of the image's diagonal, both pixels."""
    log_focal_std: float = Field(default=0.3, ge=0, le=3)
    """One standard deviation of the logarithm of the truth around it."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Nothing but the image's size."""
        return ()


class GivenIntrinsicsConfig(StageConfig):
    """A known camera: give exactly one of the two."""

    name: Literal["given"] = "given"
    focal_px: float | None = Field(default=None, gt=0)
    """Focal length in pixels."""
    horizontal_fov_deg: float | None = Field(default=None, gt=0, lt=180)
    """Horizontal field of view in degrees."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Nothing but the image's size."""
        return ()

    @model_validator(mode="after")
    def _one(self) -> "GivenIntrinsicsConfig":
        if (self.focal_px is None) == (self.horizontal_fov_deg is None):
            raise ValueError("give exactly one of focal_px and horizontal_fov_deg")
        return self


class RoomIntrinsicsConfig(StageConfig):
    """The focal length under which the straight edges of the room stand at right angles; where
    they do not show it beyond doubt, an assumed one."""

    name: Literal["room"] = "room"
    focal_over_diagonal: float = Field(default=1.0, gt=0.05, le=20)
    """What is assumed where no room shows it, and the middle of what is tried: focal length over
    the image's diagonal."""
    log_focal_std: float = Field(default=0.3, ge=0, le=3)
    """One standard deviation of the logarithm of the truth around what is assumed."""
    frames: int = Field(default=5, ge=1, le=100)
    """Frames that are looked at, spread evenly over the shot."""
    width_px: int = Field(default=960, ge=320, le=4096)
    """Width to which frames are reduced, pixels."""
    min_length: float = Field(default=0.02, gt=0, lt=1)
    """Shortest edge, as a fraction of the width."""
    margin: float = Field(default=0.05, ge=0, le=1)
    """People's boxes are left out, grown by this share of their shorter side."""
    min_edges: int = Field(default=12, ge=4, le=10000)
    """A frame with fewer edges says nothing."""
    reach: float = Field(default=0.9, gt=0, le=3)
    """Logarithm of the longest lens that is tried over the assumed one; as far below it."""
    grid: int = Field(default=19, ge=5, le=200)
    """Focal lengths that are tried."""
    tolerance_deg: float = Field(default=0.8, gt=0, le=10)
    """Angle up to which an edge follows a direction while they are searched, degrees."""
    max_tilt_deg: float = Field(default=25.0, gt=0, le=80)
    """How far the camera may be tilted up, down or aside, degrees."""
    min_support: float = Field(default=0.45, gt=0, le=1)
    """Share of the edges, by length, that must run along three perpendicular directions."""
    apart: float = Field(default=0.15, gt=0, le=1)
    """Logarithm of two focal lengths that are different answers."""
    min_margin: float = Field(default=25.0, ge=0, le=1000)
    """By how much other answers must cost more than the best one (squared standard deviations
    of edges)."""
    max_log_std: float = Field(default=0.016, gt=0, le=1)
    """Largest standard deviation of the logarithm that is believed, were edges independent."""
    least_log_std: float = Field(default=0.02, ge=0, le=1)
    """What lenses that distort and edges that are not quite straight add to it."""
    max_zoom: float = Field(default=0.06, gt=0, le=1)
    """Logarithm of the focal lengths of the first and of all frames: above it the lens zooms."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Where people are, for their edges are not the room's."""
        return ("detections",)


class PeopleIntrinsicsConfig(StageConfig):
    """The focal length that best explains the shot's people, weighed against a prior.

    Bodies are fitted under a grid of focal lengths. Perspective inside each body and people's
    uprightness on a common floor prefer some of them, but so weakly that `assumed` is the
    default.
    """

    name: Literal["people"] = "people"
    focal_over_diagonal: float = Field(default=1.06, gt=0.05, le=20)
    """Centre of the prior: focal length over the image's diagonal."""
    log_focal_std: float = Field(default=0.28, gt=0, le=3)
    """Standard deviation of the prior, of the focal length's logarithm."""
    grid: int = Field(default=7, ge=3, le=50)
    """Focal lengths that are tried, over two standard deviations to either side."""
    max_rows: int = Field(default=32, ge=1, le=10000)
    """Detections that are fitted, spread evenly over the shot."""
    min_keypoints: int = Field(default=12, ge=6, le=23)
    """Confident keypoints that a detection must have."""
    evidence_weight: float = Field(default=0.1, ge=0, le=1)
    """Share of the fits' cost that counts: errors of one person's keypoints repeat from frame to
    frame, and so do not average out."""
    floor_weight: float = Field(default=0.5, ge=0, le=10)
    """Share of the floor's cost that counts."""
    upright_std_rad: float = Field(default=0.14, gt=0, le=1.5)
    """Angle between a torso and the vertical, standard deviation, radians."""
    floor_std_m: float = Field(default=0.05, gt=0, le=1)
    """Height of the lowest foot above the floor, standard deviation, metres."""
    stature_std: float = Field(default=0.045, gt=0, le=1)
    """Relative spread of adults' statures, which is that of their depths."""
    fit: FitConfig = FitConfig()
    """The body fit that is repeated under each focal length."""


IntrinsicsConfig = Annotated[
    AssumedIntrinsicsConfig | GivenIntrinsicsConfig | PeopleIntrinsicsConfig | RoomIntrinsicsConfig,
    Field(discriminator="name"),
]
