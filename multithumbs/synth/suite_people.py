"""Random actors of the benchmark's scenes: bodies, clothes, and what they do."""

import numpy as np

from multithumbs.synth.appearance import Outfit, Pattern
from multithumbs.synth.scene import Actor
from multithumbs.synth.script import Gesture, GestureKind, Look, Mark, Script, Side

Ground = tuple[float, float]
"""x and z on the floor, metres."""

_PATTERNS: tuple[Pattern, ...] = ("plain", "stripes", "checks", "print", "band")
_GESTURES: tuple[GestureKind, ...] = ("talk", "wave", "reach", "point", "hips", "chin", "talk")
_SIDES: tuple[Side, ...] = ("left", "right")


def random_outfit(rng: np.random.Generator) -> Outfit:
    """Clothes of one person; like people in a room, some have much the same."""

    def colour(saturation: tuple[float, float], value: tuple[float, float]) -> tuple:
        return (float(rng.uniform()), float(rng.uniform(*saturation)), float(rng.uniform(*value)))

    return Outfit(
        skin=(0.06, float(rng.uniform(0.3, 0.6)), float(rng.uniform(0.4, 0.92))),
        hair=(0.08, 0.55, float(rng.uniform(0.05, 0.6))),
        shirt=colour((0.1, 0.7), (0.25, 0.95)),
        accent=colour((0.1, 0.7), (0.25, 0.95)),
        pattern=_PATTERNS[int(rng.integers(len(_PATTERNS)))],
        sleeves=float(rng.uniform(0.3, 0.98)),
        trousers=colour((0.1, 0.5), (0.15, 0.6)),
        long_hair=bool(rng.uniform() < 0.4),
        beard=bool(rng.uniform() < 0.2),
        seed=int(rng.integers(1 << 30)),
    )


def team_kit(rng: np.random.Generator, shirt_hue: float) -> Outfit:
    """The same kit for a whole team: only heads and legs differ."""
    return Outfit(
        skin=(0.06, float(rng.uniform(0.3, 0.6)), float(rng.uniform(0.5, 0.92))),
        hair=(0.08, 0.55, float(rng.uniform(0.05, 0.5))),
        shirt=(shirt_hue, 0.7, 0.8),
        pattern="plain",
        trousers=(shirt_hue, 0.2, 0.9),
        legs=0.45,
        seed=int(rng.integers(1 << 30)),
    )


def random_betas(rng: np.random.Generator) -> tuple[float, ...]:
    """Stature and build of an adult; stature (the first) about as among adults of one sex."""
    return (float(0.8 * rng.normal()), *(float(b) for b in 0.5 * rng.normal(size=9)))


def stander(
    rng: np.random.Generator, name: str, at: Ground, facing_deg: float, end_s: float,
    outfit: Outfit | None = None,
) -> Actor:  # fmt: skip
    """Stands, gestures, shifts their feet and now and then turns a little."""
    marks, t, (x, z), facing = [], 0.0, at, facing_deg
    while t < end_s + 1.0:
        marks.append(Mark(time_s=t, x=x, z=z, facing_deg=facing))
        t += float(rng.uniform(0.9, 2.2))
        x, z = (float(v + rng.normal() * 0.12) for v in (x, z))
        facing = float(facing + rng.normal() * 14)
    return _actor(rng, name, tuple(marks), end_s, outfit)


def walker(
    rng: np.random.Generator, name: str, path: list[Ground], speed: float, start_s: float,
    end_s: float, outfit: Outfit | None = None, step_period_s: float = 0.54,
) -> Actor:  # fmt: skip
    """Goes along a path at ``speed`` (m/s) from ``start_s`` on, and stays at its end."""
    marks, t = [], start_s
    for index, (x, z) in enumerate(path):
        near, far = path[max(index - 1, 0)], path[min(index + 1, len(path) - 1)]
        facing = float(np.degrees(np.arctan2(far[0] - near[0], far[1] - near[1])))
        if index:
            before = path[index - 1]
            t += float(np.hypot(x - before[0], z - before[1])) / speed
        marks.append(Mark(time_s=t, x=x, z=z, facing_deg=facing))
    return _actor(rng, name, tuple(marks), end_s, outfit, step_period_s)


def _actor(
    rng: np.random.Generator, name: str, marks: tuple[Mark, ...], end_s: float,
    outfit: Outfit | None, step_period_s: float = 0.54,
) -> Actor:  # fmt: skip
    gestures, t = [], float(rng.uniform(-0.8, 0.4))
    while t < end_s:
        length = float(rng.uniform(1.2, 2.8))
        gestures.append(
            Gesture(
                kind=_GESTURES[int(rng.integers(len(_GESTURES)))],
                side=_SIDES[int(rng.integers(2))],
                start_s=t,
                end_s=t + length,
            )
        )
        t += length + float(rng.uniform(0.1, 1.0))
    look = rng.normal(size=2)
    return Actor(
        name=name,
        script=Script(
            marks=marks,
            gestures=tuple(gestures),
            looks=(Look(time_s=-2.0, x=float(look[0]), y=1.55, z=float(look[1])),),
            seed=int(rng.integers(1 << 30)),
            step_period_s=step_period_s,
        ),
        outfit=outfit or random_outfit(rng),
        betas=random_betas(rng),
    )
