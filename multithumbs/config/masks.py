"""Which pixels belong to every person."""

from typing import Literal

from pydantic import Field

from multithumbs.config.base import StageConfig


class BlazePoseMasksConfig(StageConfig):
    """BlazePose's segmentation of each detection's region."""

    name: Literal["blazepose"] = "blazepose"
    min_probability: float = Field(default=0.5, gt=0, lt=1)
    """Least probability of a pixel of the mask."""
    min_component: float = Field(default=0.05, ge=0, lt=1)
    """Parts of a mask smaller than this times its largest part are dropped."""

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """Names in the checkpoint registry."""
        return ("blazepose-landmarks",)


MasksConfig = BlazePoseMasksConfig
