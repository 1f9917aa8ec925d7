"""How far a body's size can be trusted."""

from pydantic import Field

from multithumbs.config.base import StageConfig


class SizesConfig(StageConfig):
    """Everybody's size from all shots and cuts at once."""

    own_std: float = Field(default=0.06, gt=0, le=1)
    """Of the size that one shot's fits give a person who is seen whole, as a fraction."""
    unseen_std: float = Field(default=0.2, ge=0, le=2)
    """Added for a person of whom nothing is seen, and in proportion for parts."""
    aligned_std: float = Field(default=0.025, gt=0, le=1)
    """Of the ratio between two people's sizes at an aligned cut."""
    max_change: float = Field(default=0.3, gt=0, le=2)
    """Alignments that change a size by more than this factor's logarithm are not believed."""
    min_keypoint_confidence: float = Field(default=0.3, gt=0, le=1)
    """A keypoint with less is not seen."""
