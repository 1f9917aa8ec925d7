"""What a person does, as a script: where they go, how they gesture, where they look."""

from dataclasses import dataclass
from typing import Literal

GestureKind = Literal["talk", "wave", "reach", "point", "hips", "chin"]
Side = Literal["left", "right"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Be here then; between marks the body walks (or turns, or sits down)."""

    time_s: float
    x: float
    z: float
    facing_deg: float
    """Heading about +y; 0 faces +z, 90 faces +x."""
    seated: float = 0.0
    """0 standing, 1 sitting on a seat of `SEAT_HEIGHT_M` (behind this place by its depth)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gesture:
    """One arm's gesture over an interval, faded in and out."""

    kind: GestureKind
    side: Side
    start_s: float
    end_s: float
    fade_s: float = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The head turns to this world point (metres, y up) from this time on."""

    time_s: float
    x: float
    y: float
    z: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One person's whole motion; a function of time, so any frame rate samples the same world."""

    marks: tuple[Mark, ...]
    gestures: tuple[Gesture, ...] = ()
    looks: tuple[Look, ...] = ()
    seed: int = 0
    """Of sway, gait phase and hand motion."""
    step_period_s: float = 0.54
    """Time between a left and a right step."""
