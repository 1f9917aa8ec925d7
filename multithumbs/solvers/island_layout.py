"""Where the floor of each island is laid on those of the earlier ones.

Nothing relates the worlds of two islands, so that origin and heading of each are free. The least
surprising choice is the one that leaves everybody where they were: whoever is recognised in both
stands in the same place and faces the same way. That is what a viewer takes for granted at a cut,
and a far better guess than cameras that stand in one place.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Complex128, Float64, Int64

ITERATIONS: Final = 10
"""Of reweighting."""
ROBUST_SCALE: Final = 2.0
"""Of Cauchy's weight, in standard deviations: one who is mistaken for another, or runs."""

Floor = Complex128[np.ndarray, " N"]
"""Points or directions on a floor, ``x + iz``: a turn about +y is a factor of length one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Person-frames of all islands, each in its own island's ground; sorted by person, then
    time."""

    person: Int64[np.ndarray, " N"]
    island: Int64[np.ndarray, " N"]
    time_s: Float64[np.ndarray, " N"]
    place: Floor
    """Metres."""
    facing: Floor
    """Forward, projected to the floor: of length one where somebody is upright."""


def lay_islands(
    standing: Standing,
    camera_place: Floor,
    camera_island: Int64[np.ndarray, " N"],
    *,
    place_std_m: float,
    walk_m_s: float,
    facing_std_rad: float,
) -> Float64[np.ndarray, "I 4 4"]:
    """``laid_from_ground`` of every island: a turn about +y and a shift along the floor.

    The first island stays. Each later one is fitted to those before it by the people known from
    both, each at the two moments that are nearest in time. Where nobody is, the middle of its
    people stands on the middle of all before, unturned; an island without people is represented
    by its cameras, which stand around people, so that their middle is the least wrong guess.

    Args:
        standing: everybody, metres.
        camera_place: of every frame's camera, in the ground of its island, metres.
        camera_island: island of each camera.
        place_std_m: how exactly somebody seen on both sides of a cut stays where they were.
        walk_m_s: how much farther they may go per second between the two moments.
        facing_std_rad: how exactly they face as before.
    """
    count = int(camera_island.max()) + 1
    turn, shift = np.ones(count, complex), np.zeros(count, complex)
    for island in range(1, count):
        earlier = standing.island < island
        mine = standing.island == island
        place = turn[standing.island] * standing.place + shift[standing.island]
        facing = turn[standing.island] * standing.facing
        then, now = _same_people(standing, earlier, mine)
        if len(then):
            apart_s = np.abs(standing.time_s[now] - standing.time_s[then])
            turn[island], shift[island] = _fit(
                place[then],
                facing[then],
                standing.place[now],
                standing.facing[now],
                np.hypot(place_std_m, walk_m_s * apart_s),
                facing_std_rad,
            )
            continue
        known = camera_island < island
        cameras = turn[camera_island] * camera_place + shift[camera_island]
        middle = place[earlier].mean() if earlier.any() else cameras[known].mean()
        own = standing.place[mine] if mine.any() else camera_place[camera_island == island]
        shift[island] = middle - own.mean()
    out = np.tile(np.eye(4), (count, 1, 1))
    out[:, 0, 0], out[:, 0, 2], out[:, 0, 3] = np.real(turn), -np.imag(turn), np.real(shift)
    out[:, 2, 0], out[:, 2, 2], out[:, 2, 3] = np.imag(turn), np.real(turn), np.imag(shift)
    return out


def _same_people(
    standing: Standing, earlier: np.ndarray, mine: np.ndarray
) -> tuple[Int64[np.ndarray, " P"], Int64[np.ndarray, " P"]]:
    """For everyone in both sets of rows, the row of each that is nearest in time to the other."""
    pairs = []
    for person in np.intersect1d(standing.person[earlier], standing.person[mine]):
        a, b = (np.flatnonzero(rows & (standing.person == person)) for rows in (earlier, mine))
        times_a, times_b = standing.time_s[a], standing.time_s[b]
        after = np.searchsorted(times_a, times_b).clip(max=len(a) - 1)
        before = np.maximum(after - 1, 0)
        later = np.abs(times_a[after] - times_b) < np.abs(times_a[before] - times_b)
        nearest = np.where(later, after, before)
        best = np.abs(times_a[nearest] - times_b).argmin()
        pairs.append((a[nearest[best]], b[best]))
    then, now = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return then, now


def _fit(
    place: Floor,
    facing: Floor,
    own_place: Floor,
    own_facing: Floor,
    std_m: Float64[np.ndarray, " N"],
    facing_std_rad: float,
) -> tuple[complex, complex]:
    """Turn and shift that bring ``own`` to the others; weighted Procrustes with directions,
    reweighted by Cauchy's function of the distances that are left."""
    turning = (facing * own_facing.conj()).sum() / facing_std_rad**2
    trust = np.ones(len(place))
    for _ in range(ITERATIONS):
        weight = trust / std_m**2
        middle, own_middle = (
            (weight * points).sum() / weight.sum() for points in (place, own_place)
        )
        correlation = (weight * (place - middle) * (own_place - own_middle).conj()).sum() + turning
        length = abs(correlation)
        turn = correlation / length if length > 0 else 1.0 + 0.0j
        shift = middle - turn * own_middle
        left = np.abs(place - turn * own_place - shift) / std_m
        trust = 1 / (1 + (left / ROBUST_SCALE) ** 2)
    return complex(turn), complex(shift)
