"""Where every person's joints are."""

from typing import Literal

from pydantic import Field

from multithumbs.config.base import StageConfig


class BlazePoseKeypointsConfig(StageConfig):
    """BlazePose's landmark network on each detection's region."""

    name: Literal["blazepose"] = "blazepose"
    mirror: bool = True
    """Also read the mirrored region, and average the two readings."""
    max_disagreement: float = Field(default=0.05, gt=0, lt=1)
    """Joints of the two readings further apart than this, over the region's side, are not
    averaged: the more confident reading is taken, with its confidence lowered."""

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """Names in the checkpoint registry."""
        return ("blazepose-landmarks",)


KeypointsConfig = BlazePoseKeypointsConfig
