"""Configuration of `intrinsics`: the pinhole camera of a shot."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from multithumbs.config.base import StageConfig


class AssumedIntrinsicsConfig(StageConfig):
    """The focal length as a multiple of the image's diagonal: right within some 30 %."""

    name: Literal["assumed"] = "assumed"
    focal_over_diagonal: float = Field(default=1.0, gt=0.05, le=20)
    """Focal length over the length of the image's diagonal, both pixels."""
    log_focal_std: float = Field(default=0.3, ge=0, le=3)
    """One standard deviation of the logarithm of the truth around it."""


class GivenIntrinsicsConfig(StageConfig):
    """A known camera: give exactly one of the two."""

    name: Literal["given"] = "given"
    focal_px: float | None = Field(default=None, gt=0)
    """Focal length in pixels."""
    horizontal_fov_deg: float | None = Field(default=None, gt=0, lt=180)
    """Horizontal field of view in degrees."""

    @model_validator(mode="after")
    def _one(self) -> "GivenIntrinsicsConfig":
        if (self.focal_px is None) == (self.horizontal_fov_deg is None):
            raise ValueError("give exactly one of focal_px and horizontal_fov_deg")
        return self


IntrinsicsConfig = Annotated[
    AssumedIntrinsicsConfig | GivenIntrinsicsConfig, Field(discriminator="name")
]
