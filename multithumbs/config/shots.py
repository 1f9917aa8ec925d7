"""Where one shot ends and the next begins."""

from typing import Literal

from pydantic import Field

from multithumbs.config.base import StageConfig


class ShotsConfig(StageConfig):
    """PySceneDetect's adaptive and content detectors, with fades, dissolves and flashes.

    Scores are PySceneDetect's: the mean absolute change of saturation and value between
    neighbouring frames, in 8-bit levels. Thumbnails are grey, a few hundred pixels each.
    """

    name: Literal["scenedetect"] = "scenedetect"
    width_px: int = Field(default=256, ge=32, le=2048)
    """Frames are reduced to at most this width (pixels) before they are scored."""
    adaptive_ratio: float = Field(default=3.0, gt=1, le=100)
    """A score this many times the mean of its neighbours' is a cut."""
    adaptive_window: int = Field(default=2, ge=1, le=30)
    """Neighbours on either side (frames) that scores are compared with."""
    adaptive_min_score: float = Field(default=6.0, gt=0, le=255)
    """Lower scores (levels) are no cut. Two views of one room share their colours, so a cut
    between them may score low; noise and compression score lower still."""
    content_score: float = Field(default=27.0, gt=0, le=255)
    """A score this high (levels) is a cut if it exceeds its neighbours by `content_ratio`."""
    content_ratio: float = Field(default=1.8, ge=1, le=100)
    """Least ratio to the neighbours' mean score: fast pans score high in every frame."""
    min_shot_s: float = Field(default=0.4, ge=0, le=60)
    """Shorter shots (seconds) are joined to a neighbour; shorter excursions that return to the
    same picture are flashes, not cuts."""
    min_shot_frames: int = Field(default=1, ge=1, le=1000)
    """Shots are never shorter than this (frames), whatever the frame rate."""
    flash_return: float = Field(default=0.5, gt=0, lt=1)
    """A picture has returned when it differs from the one before the excursion by less than
    this fraction of the excursion's own difference."""
    flat_contrast: float = Field(default=5.0, gt=0, le=64)
    """Frames whose thumbnail's standard deviation (levels) is less are blank: inside a fade."""
    max_transition_s: float = Field(default=2.0, gt=0, le=10)
    """Longest dissolve, and longest ramp of a fade (seconds)."""
    dissolve_difference: float = Field(default=12.0, gt=0, le=255)
    """Least mean difference (levels) of the two pictures that a dissolve blends."""
    dissolve_correlation: float = Field(default=0.6, gt=-1, le=1)
    """Largest correlation of those pictures: beyond it the light changes, not the shot."""
    dissolve_residual: float = Field(default=0.3, gt=0, lt=1)
    """Largest part of the difference that blending the two pictures may leave unexplained."""

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """Names in the checkpoint registry: none."""
        return ()
