"""Where the arms point: hanging, swinging with the gait, resting on the lap, gesturing.

Directions of the upper arm and forearm in the *facing* frame (+x the person's left, +y up,
+z ahead), written for the left arm; the right arm is its mirror image.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from multithumbs.synth.curves import wander, window
from multithumbs.synth.limbs import turn, unit
from multithumbs.synth.script import Gesture, GestureKind

Vectors = Float[np.ndarray, "T 3"]


@dataclass(frozen=True, slots=True)
class ArmAim:
    """Unit directions of one arm over time, in the facing frame."""

    upper: Vectors
    fore: Vectors


def aim_of_arm(
    times: Float[np.ndarray, " T"],
    *,
    side: float,
    swing: Float[np.ndarray, " T"],
    seated: Float[np.ndarray, " T"],
    gestures: tuple[Gesture, ...],
    rng: np.random.Generator,
) -> ArmAim:
    """One arm's directions (``side`` +1 left, -1 right; ``swing`` > 0 forward, radians)."""
    loose = wander(times, rng, period_s=3.0, count=2) * 0.03
    upper = _steady(times, (0.20, -1.0, -0.06)) + np.c_[loose, np.zeros(len(times))]
    fore = _steady(times, (0.10, -1.0, 0.22))
    forward = turn("x", -swing)
    upper = np.einsum("tij,tj->ti", forward, upper)
    # A forearm swings further than its arm going forward, and hangs going back.
    fore = np.einsum("tij,tj->ti", turn("x", -swing - 0.5 * np.maximum(swing, 0)), fore)
    upper = _blend(upper, _steady(times, (0.22, -1.0, 0.30)), seated)
    fore = _blend(fore, _steady(times, (-0.12, -0.40, 1.0)), seated)
    name = "left" if side > 0 else "right"
    for gesture in gestures:
        if gesture.side != name:
            continue
        weight = window(times, gesture.start_s, gesture.end_s, gesture.fade_s)
        aim = _gesture(gesture.kind, times, gesture.start_s, rng)
        upper = _blend(upper, aim.upper, weight)
        fore = _blend(fore, aim.fore, weight)
    mirror = np.array([side, 1.0, 1.0])
    return ArmAim(unit(upper) * mirror, unit(fore) * mirror)


def _gesture(
    kind: GestureKind, times: Float[np.ndarray, " T"], start: float, rng: np.random.Generator
) -> ArmAim:
    beat = wander(times, rng, period_s=0.9, count=3)
    match kind:
        case "talk":
            upper = _steady(times, (0.30, -1.0, 0.28)) + 0.10 * beat
            fore = _steady(times, (-0.20, 0.10, 1.0)) + np.array([0.30, 0.32, 0.15]) * beat
        case "wave":
            upper = _steady(times, (1.0, -0.05, 0.35))
            fore = _steady(times, (0.10, 1.0, 0.20))
            fore[:, 0] += 0.45 * np.sin(2 * np.pi * 1.6 * (times - start))
        case "reach":
            upper = _steady(times, (0.05, -0.35, 1.0)) + 0.03 * beat
            fore = _steady(times, (-0.05, -0.05, 1.0)) + 0.04 * beat
        case "point":
            upper = _steady(times, (0.75, -0.25, 0.75)) + 0.03 * beat
            fore = _steady(times, (0.60, 0.10, 0.80)) + 0.03 * beat
        case "hips":
            upper = _steady(times, (0.75, -1.0, -0.35)) + 0.02 * beat
            fore = _steady(times, (-0.75, -0.55, 0.45))
        case "chin":
            upper = _steady(times, (0.05, -1.0, 0.55)) + 0.02 * beat
            fore = _steady(times, (-0.42, 0.95, 0.42)) + 0.03 * beat
    return ArmAim(upper, fore)


def _steady(times: Float[np.ndarray, " T"], direction: tuple[float, float, float]) -> Vectors:
    return unit(np.tile(np.array(direction), (len(times), 1)))


def _blend(base: Vectors, other: Vectors, weight: Float[np.ndarray, " T"]) -> Vectors:
    """Along the great circle, so that an arm swings at an even pace."""
    base, other = unit(base), unit(other)
    angle = np.arccos(np.clip((base * other).sum(-1), -1, 1))
    sine = np.maximum(np.sin(angle), 1e-6)
    near = angle < 1e-3
    from_base = np.where(near, 1 - weight, np.sin((1 - weight) * angle) / sine)
    from_other = np.where(near, weight, np.sin(weight * angle) / sine)
    return from_base[:, None] * base + from_other[:, None] * other
