"""Configuration of `textures`: what each track looks like, on the body's UV map."""

from typing import Literal

from pydantic import Field

from multithumbs.config.base import StageConfig


class RaycastTexturesConfig(StageConfig):
    """Colours of visible texels, merged over a few frames of the shot."""

    name: Literal["raycast"] = "raycast"
    size: int = Field(default=64, ge=8, le=1024)
    """Side of the UV map, texels."""
    frames_per_track: int = Field(default=6, ge=1, le=1000)
    """Frames that are merged per track: its first and last ones, which lie at the cuts, and
    others spread evenly between."""
    min_cosine: float = Field(default=0.3, ge=0, lt=1)
    """Texels seen at a flatter angle are left out (cosine between normal and view)."""
    min_confidence: float = Field(default=0.2, ge=0, le=1)
    """Bodies of lower confidence paint nothing (they still hide others)."""
    occlusion_tolerance_m: float = Field(default=0.02, gt=0, le=0.5)
    """A surface nearer than this before a texel does not hide it, metres."""


TexturesConfig = RaycastTexturesConfig
