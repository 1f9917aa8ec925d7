"""Footsteps: which foot stands where, planned so that a standing foot never slides.

A step is taken in every slot of the gait's rhythm in which the foot would otherwise be left
behind: it lands where the body will be at the middle of the stance to come. Walking, turning in
place, side steps and closing the feet at the end all follow from that one rule.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from multithumbs.synth.curves import smoothstep

SWING_SHARE = 0.40
"""Of a gait cycle (two steps); the rest is stance, so both feet stand for a fifth of the time."""

HEEL_RISE_RAD = 0.95
HEEL_STRIKE_RAD = 0.30
FULL_STEP_M = 0.65
"""Feet roll in proportion to the distance a step covers, up to this."""

ROLL_ON_S = 0.10
ROLL_OFF_S = 0.30
LIFT_M = 0.045
MIN_MOVE_M = 0.05
MIN_TURN_RAD = 0.14

GroundPlace = Callable[[float], tuple[Float[np.ndarray, " 2"], float]]
"""Time -> where the body stands (x, z) and its heading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One swing of one foot, from one footprint to the next."""

    lift_s: float
    land_s: float
    origin: Float[np.ndarray, " 3"]
    """x, z, heading."""
    target: Float[np.ndarray, " 3"]

    @property
    def roll(self) -> float:
        """How much the foot rolls, 0 to 1."""
        distance = float(np.linalg.norm(self.target[:2] - self.origin[:2]))
        return min(distance / (2 * FULL_STEP_M), 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FootMotion:
    """One foot over time. The ankle is placed by the point about which the foot rolls."""

    flat: Float[np.ndarray, "T 3"]
    """x, z, heading of the flat footprint."""
    roll: Float[np.ndarray, " T"]
    """Pitch in radians: > 0 heel up about the ball, < 0 toes up about the heel."""
    lift: Float[np.ndarray, " T"]
    """Extra height in metres while swinging."""
    swing: Float[np.ndarray, " T"]
    """0 while standing, 0 to 1 across a swing."""


def plan_foot(
    place: GroundPlace,
    *,
    side: float,
    spread_m: float,
    toe_out_rad: float,
    start_s: float,
    end_s: float,
    period_s: float,
    phase_s: float,
) -> tuple[Float[np.ndarray, " 3"], list[Step]]:
    """First footprint and the steps of one foot (``side`` +1 left, -1 right)."""

    def footprint(time: float) -> Float[np.ndarray, " 3"]:
        (x, z), heading = place(time)
        left = np.array([np.cos(heading), -np.sin(heading)])
        return np.array(
            [*(np.array([x, z]) + side * spread_m * left), heading + side * toe_out_rad]
        )

    cycle = 2 * period_s
    swing = SWING_SHARE * cycle
    first = footprint(start_s)
    current, steps = first, []
    for lift in np.arange(start_s + phase_s, end_s, cycle):
        land = lift + swing
        target = footprint(land + (cycle - swing) / 2)
        far = np.linalg.norm(target[:2] - current[:2]) > MIN_MOVE_M
        if far or abs(target[2] - current[2]) > MIN_TURN_RAD:
            steps.append(Step(lift_s=lift, land_s=land, origin=current, target=target))
            current = target
    return first, steps


def trace_foot(
    first: Float[np.ndarray, " 3"], steps: list[Step], times: Float[np.ndarray, " T"]
) -> FootMotion:
    """Sample a plan: hold, roll off, swing, roll on."""
    flat = np.tile(first, (len(times), 1))
    roll, lift, swing = (np.zeros(len(times)) for _ in range(3))
    for step in steps:
        progress = np.clip((times - step.lift_s) / (step.land_s - step.lift_s), 0, 1)
        after = times > step.lift_s
        flat[after] = step.origin + smoothstep(progress[after])[:, None] * (
            step.target - step.origin
        )
        inside = after & (times < step.land_s)
        swing[inside] = progress[inside]
        lift[inside] = LIFT_M * (0.3 + step.roll) * np.sin(np.pi * progress[inside]) ** 2
        off = (
            HEEL_RISE_RAD * step.roll * smoothstep((times - step.lift_s + ROLL_OFF_S) / ROLL_OFF_S)
        )
        on = -HEEL_STRIKE_RAD * step.roll * (1 - smoothstep((times - step.land_s) / ROLL_ON_S))
        turn = smoothstep(progress / 0.85)
        part = (times > step.lift_s - ROLL_OFF_S) & (times < step.land_s + ROLL_ON_S)
        roll[part] += ((1 - turn) * off + turn * on)[part]
    return FootMotion(flat=flat, roll=roll, lift=lift, swing=swing)
