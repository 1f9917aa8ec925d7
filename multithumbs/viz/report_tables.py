"""The report's numbers: facts, warnings, times, scores, licences."""

import base64
from collections.abc import Sequence
from html import escape
from typing import Final

import cv2
import numpy as np
from jaxtyping import UInt8

from multithumbs.types.outputs import Result, Score, Summary

JPEG_QUALITY: Final = 84

SCORES: Final = (
    ("ids", "", "identity switches across cuts"),
    ("w_mpjpe_mm", "mm", "joints in the world, aligned by the first two frames of each 100"),
    ("wa_mpjpe_mm", "mm", "joints in the world, aligned as a whole"),
    ("scene_mpjpe_mm", "mm", "everyone under one rigid alignment"),
    ("mpjpe_mm", "mm", "joints in the camera, from the hips"),
    ("pa_mpjpe_mm", "mm", "joints after Procrustes alignment"),
    ("mpvpe_mm", "mm", "vertices in the camera, from the hips"),
    ("accel", "m/s²", "acceleration error"),
    ("jitter", "× 10 m/s³", "jitter of the result"),
    ("ate_m", "m", "camera centres, one rigid alignment per world"),
    ("cut_rotation_deg", "°", "rotation error of the worst cut"),
    ("precision", "", "observed rows that lie on a true person"),
    ("recall", "", "visible true person-frames that are covered"),
)
"""Key of `Score`, unit, meaning."""


def facts(result: Result, summary: Summary) -> str:
    """The headline numbers."""
    seconds = summary.num_frames / float(result.fps)
    per_frame = summary.seconds_total / max(summary.num_frames, 1)
    aligned = sum(cut.residual_px is not None for cut in summary.cuts)
    cards = [
        (str(summary.num_people), _plural(summary.num_people, "person", "people")),
        (str(summary.num_shots), _plural(summary.num_shots, "shot", "shots")),
        (f"{aligned}/{len(summary.cuts)}", "cuts aligned"),
        (str(summary.num_islands), _plural(summary.num_islands, "shared world", "worlds")),
        (f"{seconds:.1f} s", f"{summary.num_frames} frames at {float(result.fps):.4g}/s"),
        (f"{summary.seconds_total:.0f} s", f"run time, {per_frame:.2f} s per frame"),
        (f"{summary.peak_rss_mb / 1000:.1f} GB", "peak memory"),
    ]
    inner = "".join(
        f'<div class="card"><b>{value}</b><span class="soft">{name}</span></div>'
        for value, name in cards
    )
    return f'<div class="facts">{inner}</div>'


def _plural(count: int, one: str, many: str) -> str:
    return one if count == 1 else many


def warning_list(warnings: Sequence[str]) -> str:
    """A card that stands out; nothing where there is nothing to warn of."""
    if not warnings:
        return ""
    items = "".join(f"<li>{escape(line)}</li>" for line in warnings)
    return f'<section class="card warnings"><h2>Read this first</h2><ul>{items}</ul></section>'


def stage_bars(summary: Summary) -> str:
    """Seconds of each stage as a bar; pale where an earlier run's artifact was used."""
    longest = max([stage.seconds for stage in summary.stages.values()], default=0) or 1
    rows = []
    for name, stage in summary.stages.items():
        cached = " cached" if stage.cached else ""
        note = f"{stage.seconds:.2f} s, {stage.peak_rss_mb:.0f} MB{',' + cached if cached else ''}"
        rows.append(
            f'<div class="bar"><span>{escape(name)}</span><div class="track{cached}">'
            f'<div class="fill" style="width:{100 * stage.seconds / longest:.1f}%"></div></div>'
            f"<span>{note}</span></div>"
        )
    return "".join(rows) or '<p class="soft">No stage was recorded.</p>'


def score_table(score: Score) -> str:
    """The result against exact truth, in all and per person."""
    rows = []
    for key, unit, meaning in SCORES:
        value = getattr(score, key)
        rows.append(
            f'<tr><td><b>{key}</b></td><td class="soft">{meaning}</td>'
            f'<td class="number">{_number(value, unit)}</td></tr>'
        )
    persons = "".join(
        f"<tr><td>{p.true_person}</td><td>{', '.join(map(str, p.predicted_persons)) or '-'}</td>"
        f'<td class="number">{p.frames_matched}/{p.frames_visible}</td>'
        f'<td class="number">{_number(p.w_mpjpe_mm, "mm")}</td>'
        f'<td class="number">{_number(p.mpjpe_mm, "mm")}</td></tr>'
        for p in score.persons
    )
    return (
        '<section class="card"><h2>Score against the exact truth</h2><table>'
        f"{''.join(rows)}</table></section>"
        '<section class="card"><h2>Score per true person</h2><table><tr><th>person</th>'
        '<th>identities given</th><th class="number">frames matched</th>'
        '<th class="number">W-MPJPE</th><th class="number">MPJPE</th></tr>'
        f"{persons}</table></section>"
    )


def _number(value: int | float | None, unit: str) -> str:
    if value is None:
        return "-"
    text = str(value) if isinstance(value, int) else f"{value:.4g}"
    return f"{text} {unit}".strip()


def licence_list(result: Result) -> str:
    """What the result rests on."""
    lines = [
        f"body model: {result.body_model}",
        f"profile: {result.profile}",
        *result.licences,
    ]
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def jpeg_data_uri(image: UInt8[np.ndarray, "H W 3"]) -> str:
    """An RGB image as a ``data:`` address."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), quality)
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")
