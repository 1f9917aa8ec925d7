"""Whose body is fitted."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from multithumbs.config.base import StageConfig


class EmbeddedBodyConfig(StageConfig):
    """The CC0 body that comes with multithumbs."""

    name: Literal["embedded"] = "embedded"


class SmplBodyConfig(StageConfig):
    """A licensed SMPL body, imported by `multithumbs checkpoints import`."""

    name: Literal["smpl"] = "smpl"
    path: Path | None = None
    """The imported npz file; null for the one in the checkpoints folder."""


BodyModelConfig = Annotated[EmbeddedBodyConfig | SmplBodyConfig, Field(discriminator="name")]
