"""A scene: who does what, where, and how it is filmed. Pure data; everything follows from it."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Float64

from multithumbs.synth.appearance import Outfit
from multithumbs.synth.cameras import CameraScript
from multithumbs.synth.room import RoomStyle
from multithumbs.synth.script import Script


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """One identity: a body, its clothes, its motion."""

    name: str
    script: Script
    outfit: Outfit
    betas: tuple[float, ...] = (0.0,) * 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ShotScript:
    """Frames [start, end) through one camera."""

    start: int
    end: int
    camera: CameraScript
    room: int = 0
    """Index into `Scene.rooms`: another room is another place, which must not be linked."""
    cast: tuple[int, ...] | None = None
    """The actors who are in this room; None is everyone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Time is continuous across cuts: frame t is the instant ``t / fps`` whatever the shot."""

    name: str
    actors: tuple[Actor, ...]
    shots: tuple[ShotScript, ...]
    rooms: tuple[RoomStyle, ...] = (RoomStyle(),)
    fps: Fraction = Fraction(30)
    hw: tuple[int, int] = (720, 1280)
    texture_size: int = 1024

    def __post_init__(self) -> None:
        edges = [0, *(shot.end for shot in self.shots)]
        if [shot.start for shot in self.shots] != edges[:-1]:
            raise ValueError("expected shots that follow one another from frame 0")

    @property
    def num_frames(self) -> int:
        return self.shots[-1].end

    @property
    def times(self) -> Float64[np.ndarray, " T"]:
        """Seconds of every frame."""
        return np.arange(self.num_frames) / float(self.fps)

    def shot_of(self, frame: int) -> ShotScript:
        """The shot that shows a frame."""
        return next(shot for shot in self.shots if shot.start <= frame < shot.end)

    def cast_of(self, shot: ShotScript) -> tuple[int, ...]:
        """Indices of the actors in a shot's room."""
        return tuple(range(len(self.actors))) if shot.cast is None else shot.cast
