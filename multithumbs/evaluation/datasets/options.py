"""What a user may choose of how a dataset is read."""

from dataclasses import dataclass, field

from multithumbs.evaluation.datasets.multiview import Schedule
from multithumbs.evaluation.datasets.sequence import Bodies


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Shared by all datasets; each reads what concerns it."""

    bodies: Bodies
    schedule: Schedule = field(default_factory=Schedule)
    frames: int | None = None
    """Pictures of a single-shot sequence at most; None: all."""
    fps: float | None = None
    """None: the dataset's own."""
    height: int | None = None
    """Of the video at most, pixels; None: the pictures' own."""
