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
    AssumedIntrinsicsConfig | GivenIntrinsicsConfig | PeopleIntrinsicsConfig,
    Field(discriminator="name"),
]
