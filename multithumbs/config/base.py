"""The base of every configuration model."""

from pydantic import BaseModel, ConfigDict


class StageConfig(BaseModel):
    """Frozen, refuses unknown keys; a docstring under a field is its description."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
