"""Configuration of what straight edges say of a room, shared by the stages that ask."""

from pydantic import Field

from multithumbs.config.base import StageConfig


class RoomViewConfig(StageConfig):
    """How a camera is turned against a room, a court or a street, from straight edges."""

    enabled: bool = True
    """Whether to look for them."""
    width_px: int = Field(default=1280, ge=320, le=4096)
    """Width to which frames are reduced (pixels)."""
    min_length: float = Field(default=0.02, gt=0, lt=1)
    """Shortest edge, as a fraction of the width."""
    tolerance_deg: float = Field(default=0.8, gt=0, le=10)
    """Angle up to which an edge follows a direction (degrees)."""
    max_tilt_deg: float = Field(default=20.0, gt=0, le=80)
    """How far people's trunks may lean away from the vertical (degrees)."""
    min_support: float = Field(default=0.6, gt=0, le=1)
    """Share of the edges, by length, that must run along three perpendicular directions."""
    min_contrast: float = Field(default=5.0, ge=1, le=100)
    """By how much the horizontal direction must stand out of all others."""
    rotation_std_deg: float = Field(default=1.0, gt=0, le=45)
    """Uncertainty of the relative rotation that a room gives (degrees)."""
