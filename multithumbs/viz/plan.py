"""The floor plan of each island: where everyone walked and where the cameras stood.

Plan coordinates are metres on the floor: ``x`` to the right and ``z`` towards the reader, as
seen from above with the head of the page towards -z.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64, Int64

from multithumbs.types.outputs import Result

MARGIN_M: Final = 0.6
REACH_M: Final = 1.0
"""Length of a drawn viewing wedge."""
FAR_CAMERA: Final = 3.0
"""Cameras further from the people than this many times their spread do not widen the plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """One person's way over the floor without a gap."""

    person: int
    frame: Int64[np.ndarray, " M"]
    xz: Float64[np.ndarray, "M 2"]
    observed: bool
    """False where the motion bridges a gap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One shot's camera."""

    shot: int
    xz: Float64[np.ndarray, "T 2"]
    """Its way over the floor."""
    wedge: Float64[np.ndarray, "3 2"]
    """Where it stands first, and the left and right end of what it sees there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One island from above."""

    island: int
    low: Float64[np.ndarray, "2"]
    high: Float64[np.ndarray, "2"]
    """Corners of what is drawn, metres."""
    paths: tuple[Path, ...]
    views: tuple[View, ...]

    @property
    def tick_m(self) -> float:
        """Distance of the grid's lines: 1, 2 or 5 times a power of ten."""
        target = float((self.high - self.low).max()) / 14
        power = 10.0 ** np.floor(np.log10(max(target, 1e-3)))
        return float(next(power * step for step in (1, 2, 5, 10) if power * step >= target))

    def ticks(self, axis: int) -> Float64[np.ndarray, " Q"]:
        """Grid positions along x (0) or z (1)."""
        first = np.ceil(self.low[axis] / self.tick_m)
        last = np.floor(self.high[axis] / self.tick_m)
        return np.arange(first, last + 1) * self.tick_m


def make_plans(result: Result) -> tuple[Plan, ...]:
    """One plan per island that holds a camera."""
    return tuple(_plan(result, island) for island in np.unique(result.camera_island).tolist())


def _plan(result: Result, island: int) -> Plan:
    paths = _paths(result, island)
    views = _views(result, island)
    points = [path.xz for path in paths]
    wedges = [view.wedge for view in views] + [view.xz for view in views]
    if points:
        people = np.concatenate(points)
        centre = (people.min(0) + people.max(0)) / 2
        reach = FAR_CAMERA * max(float(np.ptp(people, axis=0).max()), 2.0)
        points += [w for w in wedges if np.abs(w - centre).max() <= reach]
    else:
        points = wedges
    everything = np.concatenate(points)
    return Plan(
        island=island,
        low=everything.min(0) - MARGIN_M,
        high=everything.max(0) + MARGIN_M,
        paths=paths,
        views=views,
    )


def _paths(result: Result, island: int) -> tuple[Path, ...]:
    paths = []
    for person in result.people.tolist():
        rows = np.flatnonzero((result.person == person) & (result.island == island))
        breaks = np.diff(result.frame[rows]) != 1
        turns = np.diff(result.observed[rows].astype(int)) != 0
        ends = [*(np.flatnonzero(breaks | turns) + 1).tolist(), len(rows)]
        start = 0
        for end in ends:
            if end == start:
                continue
            # A bridge begins and ends where the seen path does, so that no gap shows.
            bridge = not result.observed[rows[start]]
            joined_before = bridge and start > 0 and not breaks[start - 1]
            joined_after = bridge and end < len(rows) and not breaks[end - 1]
            part = rows[start - joined_before : end + joined_after]
            paths.append(
                Path(
                    person=person,
                    frame=result.frame[part],
                    xz=result.joints_world[part, 0][:, [0, 2]],
                    observed=not bridge,
                )
            )
            start = end
    return tuple(paths)


def _views(result: Result, island: int) -> tuple[View, ...]:
    views = []
    shots = zip(result.shot_start.tolist(), result.shot_end.tolist(), strict=True)
    for shot, (start, end) in enumerate(shots):
        inside = (result.camera_frame >= start) & (result.camera_frame < end)
        rows = np.flatnonzero(inside & (result.camera_island == island))
        if len(rows) == 0:
            continue
        views.append(
            View(
                shot=shot,
                xz=result.world_from_cam[rows][:, [0, 2], 3],
                wedge=view_wedge(result.K[rows[0]], result.world_from_cam[rows[0]]),
            )
        )
    return tuple(views)


def view_wedge(
    K: Float64[np.ndarray, "3 3"], world_from_cam: Float64[np.ndarray, "4 4"]
) -> Float64[np.ndarray, "3 2"]:
    """Where a camera stands on the floor, and the left and right end of what it sees there."""
    width, middle = 2 * K[0, 2], K[1, 2]
    edges = np.array([[0, middle, 1], [width, middle, 1]]) @ np.linalg.inv(K).T
    # Seen from above, a camera that looks down still shows its direction, not its length.
    rays = (edges @ world_from_cam[:3, :3].T)[:, [0, 2]]
    rays *= REACH_M / np.maximum(np.linalg.norm(rays.mean(0)), 1e-6)
    centre = world_from_cam[[0, 2], 3]
    return np.stack([centre, *(centre + rays)])
