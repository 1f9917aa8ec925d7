"""Configuration of what a finished run writes besides `result.npz` and `summary.json`.

Nothing here changes a result; outputs are made again from the result at any time.
"""

from pydantic import Field

from multithumbs.config.base import StageConfig


class OverlayConfig(StageConfig):
    """`overlay.mp4`: the bodies over the frames."""

    enabled: bool = True
    """Whether to write it."""
    max_height: int = Field(default=720, ge=64, le=4320)
    """Larger videos are scaled down to this height, pixels."""
    opacity: float = Field(default=0.8, gt=0, le=1)
    """Of a body that was seen."""
    bridged_opacity: float = Field(default=0.35, ge=0, le=1)
    """Of a body whose motion bridges a gap."""
    stride: int = Field(default=2, ge=1, le=8)
    """Pixels per ray along each axis; 1 is sharp and four times slower than 2."""
    crf: int = Field(default=21, ge=0, le=51)
    """x264's constant quality; lower is better and larger."""


class WorldConfig(StageConfig):
    """`world.mp4`: everyone in their one world, seen from above at an angle."""

    enabled: bool = True
    """Whether to write it."""
    height: int = Field(default=720, ge=144, le=2160)
    """Pixels; the width follows at 16:9."""
    elevation_deg: float = Field(default=26.0, ge=5, le=85)
    """Angle of the view above the floor, degrees."""
    swing_deg: float = Field(default=14.0, ge=0, le=180)
    """How far the view swings to either side over the video, degrees; parallax shows depth."""
    trail_s: float = Field(default=2.5, ge=0, le=60)
    """Length of the bright part of a trail, seconds."""
    inset: float = Field(default=0.25, ge=0, le=0.6)
    """Width of the inset that shows the video's frame, as a fraction; 0 leaves it out."""
    stride: int = Field(default=1, ge=1, le=8)
    """Pixels per ray along each axis; bodies are small here, so that 1 costs little."""
    crf: int = Field(default=21, ge=0, le=51)
    """x264's constant quality; lower is better and larger."""


class ReportConfig(StageConfig):
    """`report.html`."""

    enabled: bool = True
    """Whether to write it."""
    thumbnail_height: int = Field(default=216, ge=64, le=720)
    """Of the pictures at each cut, pixels."""
    max_cut_pictures: int = Field(default=40, ge=0, le=1000)
    """Cuts beyond this many are listed without pictures, to bound the file's size."""
    max_steps: int = Field(default=600, ge=2, le=10_000)
    """Positions per person that the time slider knows."""


class GlbConfig(StageConfig):
    """`people.glb`."""

    enabled: bool = True
    """Whether to write it."""


class OutputsConfig(StageConfig):
    """One field per file."""

    overlay: OverlayConfig = OverlayConfig()
    world: WorldConfig = WorldConfig()
    report: ReportConfig = ReportConfig()
    glb: GlbConfig = GlbConfig()
