"""Who is seen when, across the shots, as SVG."""

from collections.abc import Callable
from html import escape
from typing import Final

import numpy as np
from jaxtyping import Int64

from multithumbs.render.overlay import identity_colour
from multithumbs.types.outputs import Result, Summary

WIDTH: Final = 1060
LEFT: Final = 74
"""Room for the names."""
ROW: Final = 24
HEAD: Final = 26
MIN_LABEL: Final = 44
"""Shots narrower than this have no label, pixels."""


def frame_scale(result: Result) -> tuple[float, float]:
    """Where the first frame begins, and the width of a frame, in the drawing's pixels."""
    first, last = int(result.shot_start[0]), int(result.shot_end[-1])
    return float(LEFT), (WIDTH - LEFT - 4) / max(last - first, 1)


def timeline_svg(result: Result, summary: Summary) -> str:
    """One bar per person: full where seen, pale where bridged; cuts in the colour of their fate."""
    first = int(result.shot_start[0])
    left, per_frame = frame_scale(result)
    bottom = HEAD + ROW * len(result.people)

    def x(frame: int | float) -> str:
        return f"{left + (frame - first) * per_frame:.1f}"

    parts = [f'<svg viewBox="0 0 {WIDTH} {bottom + 24}" role="img" aria-label="identity timeline">']
    for shot, (start, end) in enumerate(
        zip(result.shot_start.tolist(), result.shot_end.tolist(), strict=True)
    ):
        width = (end - start) * per_frame
        if shot % 2 == 0:
            parts.append(
                f'<rect class="band" x="{x(start)}" y="0" width="{width:.1f}" height="{bottom}"/>'
            )
        if width >= MIN_LABEL:
            parts.append(f'<text x="{x(start)}" dx="5" y="16">shot {shot + 1}</text>')
    for index, person in enumerate(result.people.tolist()):
        top = HEAD + ROW * index
        colour = hex_colour(person)
        parts.append(f'<text class="name" x="0" y="{top + 16}">person {person}</text>')
        rows = np.flatnonzero(result.person == person)
        for start, end, observed in _runs(result, rows):
            opacity = "1" if observed else "0.35"
            kind = "seen" if observed else "bridged"
            parts.append(
                f'<rect x="{x(start)}" y="{top + 4}" width="{(end - start) * per_frame:.1f}" '
                f'height="{ROW - 9}" rx="3" fill="{colour}" fill-opacity="{opacity}">'
                f"<title>person {person} {kind}, frames {start} to {end - 1}</title></rect>"
            )
    for cut in summary.cuts:
        where = x(cut.frame)
        parts.append(
            f'<line class="cut {cut.status}" x1="{where}" x2="{where}" y1="0" y2="{bottom}">'
            f"<title>cut at frame {cut.frame}: {escape(cut.status)}</title></line>"
        )
    parts += _seconds(result, x, bottom)
    parts.append(
        f'<line id="playhead" class="playhead" x1="{x(first)}" x2="{x(first)}" y1="0" '
        f'y2="{bottom}"/></svg>'
    )
    return "".join(parts)


def hex_colour(person: int) -> str:
    """The identity's colour for HTML."""
    red, green, blue = identity_colour(person)
    return f"#{red:02x}{green:02x}{blue:02x}"


def _runs(result: Result, rows: Int64[np.ndarray, " M"]) -> list[tuple[int, int, bool]]:
    """Half-open runs of consecutive frames that are all seen or all bridged."""
    frame, observed = result.frame[rows], result.observed[rows]
    breaks = (np.diff(frame) != 1) | (np.diff(observed.astype(int)) != 0)
    pieces = np.split(np.arange(len(rows)), np.flatnonzero(breaks) + 1)
    return [(int(frame[p[0]]), int(frame[p[-1]]) + 1, bool(observed[p[0]])) for p in pieces]


def _seconds(result: Result, x: Callable[[float], str], bottom: int) -> list[str]:
    """Tick labels in seconds, about ten."""
    first, last = int(result.shot_start[0]), int(result.shot_end[-1])
    fps = float(result.fps)
    duration = (last - first) / fps
    power = 10.0 ** np.floor(np.log10(max(duration / 10, 1e-3)))
    step = next(power * s for s in (1, 2, 5, 10) if power * s >= duration / 10)
    marks = []
    for second in np.arange(0, duration, step):
        where = x(first + second * fps)
        marks.append(f'<text x="{where}" y="{bottom + 16}">{second:g} s</text>')
    return marks
