"""Floor plans as SVG, and the positions that the report's time slider moves through."""

from typing import Any, Final

import numpy as np
from jaxtyping import Float64, Int64

from multithumbs.types.outputs import Result
from multithumbs.viz.plan import Plan, view_wedge
from multithumbs.viz.timeline_svg import frame_scale, hex_colour

SIZE: Final = 620
"""Longer side of a plan, pixels."""
MAX_POINTS: Final = 800
"""Of one drawn way."""


class PlanDrawing:
    """One plan at its scale."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        extent = plan.high - plan.low
        self.scale = SIZE / float(extent.max())
        self.width, self.height = (round(float(side) * self.scale) for side in extent)

    def pixels(self, xz: Float64[np.ndarray, "N 2"]) -> Float64[np.ndarray, "N 2"]:
        """Plan metres to the drawing's pixels."""
        return (xz - self.plan.low) * self.scale

    def points(self, xz: Float64[np.ndarray, "N 2"]) -> str:
        """SVG's list of points, thinned to `MAX_POINTS`."""
        step = max(-(-len(xz) // MAX_POINTS), 1)
        thin = np.concatenate([xz[:-1][::step], xz[-1:]])
        return " ".join(f"{u:.1f},{v:.1f}" for u, v in self.pixels(thin))

    def svg(self) -> str:
        """Grid, viewing wedges, ways, and the dots and the wedge that the slider moves."""
        plan = self.plan
        parts = [
            f'<svg class="plan" viewBox="0 0 {self.width} {self.height}" role="img" '
            f'style="max-width:{self.width}px" '
            f'aria-label="floor plan of world {plan.island + 1}">',
            *self._grid(),
        ]
        for view in plan.views:
            u, v = self.pixels(view.wedge[:1])[0]
            parts += [
                f'<polygon class="wedge" points="{self.points(view.wedge)}"/>',
                f'<polyline class="camera-way" points="{self.points(view.xz)}"/>',
                f'<text x="{u:.1f}" y="{v:.1f}" dx="6" dy="-6">shot {view.shot + 1}</text>',
            ]
        for path in plan.paths:
            kind = "way" if path.observed else "way bridged"
            parts.append(
                f'<polyline class="{kind}" stroke="{hex_colour(path.person)}" '
                f'points="{self.points(path.xz)}"><title>person {path.person}</title></polyline>'
            )
        parts.append(f'<polygon class="wedge now" data-island="{plan.island}" points=""/>')
        for person in dict.fromkeys(path.person for path in plan.paths):
            parts.append(
                f'<circle class="dot" data-person="{person}" data-island="{plan.island}" r="7" '
                f'fill="{hex_colour(person)}" style="display:none">'
                f"<title>person {person}</title></circle>"
            )
        return "".join([*parts, "</svg>"])

    def _grid(self) -> list[str]:
        parts = []
        for value in self.plan.ticks(0).tolist():
            u = (value - self.plan.low[0]) * self.scale
            parts += [
                f'<line class="grid" x1="{u:.1f}" x2="{u:.1f}" y1="0" y2="{self.height}"/>',
                f'<text x="{u:.1f}" y="{self.height - 4}" dx="3">{value:g} m</text>',
            ]
        for value in self.plan.ticks(1).tolist():
            v = (value - self.plan.low[1]) * self.scale
            parts += [
                f'<line class="grid" y1="{v:.1f}" y2="{v:.1f}" x1="0" x2="{self.width}"/>',
                f'<text x="3" y="{v:.1f}" dy="-3">{value:g} m</text>',
            ]
        return parts


def motion_data(result: Result, drawings: dict[int, PlanDrawing], max_steps: int) -> dict[str, Any]:
    """What the slider shows at each of at most ``max_steps`` frames, for JSON.

    A person's entry is ``[island, u, v, observed]`` or null, the camera's
    ``[island, "points of its wedge"]``.
    """
    frames = result.camera_frame
    frames = frames[:: max(-(-len(frames) // max_steps), 1)]
    people = {
        str(person): _positions(result, person, frames, drawings)
        for person in result.people.tolist()
    }
    cameras: list[list[Any]] = []
    for index in np.searchsorted(result.camera_frame, frames).tolist():
        island = int(result.camera_island[index])
        wedge = view_wedge(result.K[index], result.world_from_cam[index])
        cameras.append([island, drawings[island].points(wedge)])
    return {
        "fps": float(result.fps),
        "first": int(result.shot_start[0]),
        "timeline": frame_scale(result),
        "frame": frames.tolist(),
        "people": people,
        "camera": cameras,
    }


def _positions(
    result: Result,
    person: int,
    frames: Int64[np.ndarray, " Q"],
    drawings: dict[int, PlanDrawing],
) -> list[list[Any] | None]:
    rows = np.flatnonzero(result.person == person)
    row_of = dict(zip(result.frame[rows].tolist(), rows.tolist(), strict=True))
    positions: list[list[Any] | None] = []
    for frame in frames.tolist():
        row = row_of.get(frame)
        drawing = None if row is None else drawings.get(int(result.island[row]))
        if row is None or drawing is None:
            positions.append(None)
            continue
        u, v = drawing.pixels(result.joints_world[row, :1, ::2])[0].round(1).tolist()
        positions.append([drawing.plan.island, u, v, int(result.observed[row])])
    return positions
