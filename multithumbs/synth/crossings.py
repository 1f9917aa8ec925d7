"""Shots in which people pass before one another: what a tracker is scored on.

Six kinds of scene, each random by seed. Everyone moves by `multithumbs.synth.motion`.
"""

from collections.abc import Callable
from fractions import Fraction
from types import MappingProxyType
from typing import Final

import numpy as np

from multithumbs.synth.cameras import CameraKey, CameraScript
from multithumbs.synth.scene import Actor, Scene, ShotScript
from multithumbs.synth.suite_people import (
    Ground,
    random_betas,
    random_outfit,
    stander,
    team_kit,
    walker,
)

FPS: Final = 25
SECONDS: Final = 4.4
HW: Final = (270, 480)
EYE_M: Final = 6.0
"""From the camera to the middle of the scene."""


def crossing_scene(kind: str, seed: int) -> Scene:
    """The scene of one of `CROSSINGS`; equal seeds give equal scenes."""
    rng = np.random.default_rng([seed, sorted(CROSSINGS).index(kind)])
    actors = CROSSINGS[kind](rng)
    pan = rng.uniform(1.0, 2.0) * rng.choice([-1, 1]) if kind == "pan" else 0.0
    focal = 0.95 * HW[1]
    keys = tuple(
        CameraKey(
            time_s=float(time),
            eye=(0.0, 1.5, EYE_M),
            target=(float(pan * (time / SECONDS - 0.5)), 0.95, 0.0),
            focal_px=focal,
        )
        for time in ((0.0, SECONDS) if pan else (0.0,))
    )
    shot = ShotScript(start=0, end=round(FPS * SECONDS), camera=CameraScript(keys=keys))
    return Scene(name=f"{kind}-{seed}", actors=actors, shots=(shot,), fps=Fraction(FPS), hw=HW)


def _walks(
    rng: np.random.Generator,
    paths: list[list[Ground]],
    speed: tuple[float, float],
    hue: float | None,
) -> tuple[Actor, ...]:
    actors = []
    for index, path in enumerate(paths):
        outfit = random_outfit(rng) if hue is None else team_kit(rng, hue)
        start = float(rng.uniform(-0.3, 0.2))
        actors.append(walker(rng, f"P{index}", path, rng.uniform(*speed), start, SECONDS, outfit))
    return tuple(
        Actor(name=a.name, script=a.script, outfit=a.outfit, betas=random_betas(rng))
        for a in actors
    )


def _across(rng: np.random.Generator, depth: float, side: int, reach: float = 2.2) -> list[Ground]:
    wobble = rng.normal(0, 0.15, 2)
    return [(-side * reach, depth + wobble[0]), (side * reach, depth + wobble[1])]


def _pass(rng: np.random.Generator) -> tuple[Actor, ...]:
    """Two go opposite ways, one behind the other."""
    gap = rng.uniform(0.5, 1.3)
    paths = [_across(rng, gap / 2, 1), _across(rng, -gap / 2, -1)]
    return _walks(rng, paths, (0.9, 1.5), None)


def _kit(rng: np.random.Generator) -> tuple[Actor, ...]:
    """Three of one team: their clothes tell little."""
    depths = rng.permutation([-1.0, 0.0, 1.0]) + rng.normal(0, 0.15, 3)
    paths = [_across(rng, depths[i], (1, -1, 1)[i]) for i in range(3)]
    return _walks(rng, paths, (0.9, 1.8), float(rng.uniform()))


def _meet(rng: np.random.Generator) -> tuple[Actor, ...]:
    """Two meet, stay one before the other for a while, and go on or turn back."""
    actors = []
    for side, depth in ((-1, 0.45), (1, -0.45)):
        onward = -side if rng.uniform() < 0.5 else side
        middle = float(rng.normal(0, 0.08))
        path = [(side * 1.7, depth), (middle, depth), (middle + 0.1 * onward, depth)]
        path.append((onward * 1.7, depth))
        actors.append(path)
    return _walks(rng, actors, (1.0, 1.5), None)


def _weave(rng: np.random.Generator) -> tuple[Actor, ...]:
    """Five go across in all directions."""
    paths = []
    for _ in range(5):
        start = rng.uniform([-2.0, -1.8], [2.0, 1.6])
        path: list[Ground] = [(float(start[0]), float(start[1]))]
        for _ in range(2):
            goal = (-np.sign(path[-1][0]) * rng.uniform(0.6, 2.1), rng.uniform(-1.8, 1.6))
            path.append((float(goal[0]), float(goal[1])))
        paths.append(path)
    return _walks(rng, paths, (0.9, 1.6), None)


def _behind(rng: np.random.Generator) -> tuple[Actor, ...]:
    """Two stand and talk; two go by behind them."""
    standing = tuple(
        Actor(name=a.name, script=a.script, outfit=a.outfit, betas=random_betas(rng))
        for a in (
            stander(rng, "A", (-0.5, 1.2), 80.0, SECONDS, random_outfit(rng)),
            stander(rng, "B", (0.35, 1.3), -80.0, SECONDS, random_outfit(rng)),
        )
    )
    paths = [_across(rng, -0.3, 1), _across(rng, -1.2, -1)]
    return standing + _walks(rng, paths, (0.8, 1.4), None)


CROSSINGS: Final[MappingProxyType[str, Callable[[np.random.Generator], tuple[Actor, ...]]]] = (
    MappingProxyType(
        {
            "pass": _pass,
            "kit": _kit,
            "meet": _meet,
            "weave": _weave,
            "behind": _behind,
            "pan": _weave,
        }
    )
)
"""Everyone in each kind of scene."""
