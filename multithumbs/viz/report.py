"""`report.html`: one self-contained page about one run; it asks the network for nothing."""

import json
from collections.abc import Iterator
from html import escape
from importlib.resources import files
from pathlib import Path

from multithumbs.body import BodyModel
from multithumbs.config.outputs import OverlayConfig, ReportConfig
from multithumbs.io.atomic import replacing
from multithumbs.types import FrameReader
from multithumbs.types.outputs import CutSummary, Result, Score, Summary
from multithumbs.viz.overlay import FramePainter
from multithumbs.viz.plan import make_plans
from multithumbs.viz.plan_svg import PlanDrawing, motion_data
from multithumbs.viz.report_tables import (
    facts,
    jpeg_data_uri,
    licence_list,
    score_table,
    stage_bars,
    warning_list,
)
from multithumbs.viz.timeline_svg import hex_colour, timeline_svg

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""Even a name that got past escaping could load nothing."""


def write_report(
    result: Result,
    summary: Summary,
    body: BodyModel,
    video: FrameReader,
    path: Path,
    *,
    title: str,
    score: Score | None = None,
    config: ReportConfig | None = None,
    device: str = "cpu",
) -> None:
    """Write `report.html` atomically. ``title`` is the video's name, any text.

    Raises ArtifactError where it cannot be written.
    """
    config = config or ReportConfig()
    page = report_html(
        result, summary, body, video, title=title, score=score, config=config, device=device
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def report_html(
    result: Result,
    summary: Summary,
    body: BodyModel,
    video: FrameReader,
    *,
    title: str,
    score: Score | None,
    config: ReportConfig,
    device: str = "cpu",
) -> str:
    """The page as text."""
    drawings = {plan.island: PlanDrawing(plan) for plan in make_plans(result)}
    motion = motion_data(result, drawings, config.max_steps)
    pictures = _CutPictures(result, body, video, config, device)
    sections = [
        facts(result, summary),
        warning_list(summary.warnings),
        _card("Who is seen when", timeline_svg(result, summary) + _legend(result)),
        _plans(drawings, len(motion["frame"])),
        _cuts(summary, pictures),
        score_table(score) if score else "",
        _card("Time and memory", stage_bars(summary)),
        _card("Body, profile and licences", licence_list(result)),
    ]
    script = json.dumps(motion, separators=(",", ":")).replace("<", "\\u003c")
    name = escape(title)
    return "".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{name} - multithumbs</title><style>{_asset('report.css')}</style></head>",
            f'<body><main><header><h1>{name}</h1><p class="soft">multithumbs report</p></header>',
            *sections,
            f'</main><script type="application/json" id="motion">{script}</script>',
            f"<script>{_asset('report.js')}</script></body></html>\n",
        ]
    )


def _asset(name: str) -> str:
    return (files("multithumbs.viz") / name).read_text(encoding="utf-8")


def _card(heading: str, content: str) -> str:
    return f'<section class="card"><h2>{heading}</h2>{content}</section>'


def _legend(result: Result) -> str:
    items = [
        f'<span><i style="background:{hex_colour(person)}"></i>person {person}</span>'
        for person in result.people.tolist()
    ]
    items.append("<span>pale: not seen, motion bridged</span>")
    return f'<div class="legend">{"".join(items)}</div>'


def _plans(drawings: dict[int, PlanDrawing], steps: int) -> str:
    slider = (
        '<div class="slider"><button id="play" type="button">Play</button>'
        f'<input id="time" type="range" min="0" max="{steps - 1}" value="0" '
        'aria-label="time"><output id="now"></output></div>'
    )
    if len(drawings) == 1:
        (drawing,) = drawings.values()
        return _card("The world from above", slider + drawing.svg())
    plans = "".join(
        f'<div><p class="soft">World {island + 1}</p>{drawing.svg()}</div>'
        for island, drawing in drawings.items()
    )
    note = (
        '<p class="soft">These worlds share no space: a cut between them could not be aligned.</p>'
    )
    return _card("The worlds from above", f'{note}{slider}<div class="columns">{plans}</div>')


class _CutPictures:
    """The frames on both sides of a cut with the bodies over them."""

    def __init__(
        self,
        result: Result,
        body: BodyModel,
        video: FrameReader,
        config: ReportConfig,
        device: str,
    ) -> None:
        overlay = OverlayConfig(max_height=config.thumbnail_height, stride=1)
        self._painter = FramePainter(
            result, body, video.info.hw, config=overlay, device=device, captions=False
        )
        self._video, self._left = video, config.max_cut_pictures

    def of(self, cut: CutSummary) -> Iterator[str]:
        """Two figures, or none once there are enough."""
        if self._left <= 0:
            return
        self._left -= 1
        for frame, side in ((cut.frame - 1, "last before"), (cut.frame, "first after")):
            image = self._painter.paint(frame, self._video.frame(frame))
            yield (
                f'<figure><img alt="frame {frame}" src="{jpeg_data_uri(image)}">'
                f"<figcaption>{side} the cut: frame {frame}</figcaption></figure>"
            )


def _cuts(summary: Summary, pictures: _CutPictures) -> str:
    if not summary.cuts:
        return _card("Cuts", '<p class="soft">The video has one shot.</p>')
    items = []
    for number, cut in enumerate(summary.cuts, start=1):
        facts = [
            f"<b>Cut {number}</b>",
            f'<span class="pill {cut.status}">{escape(cut.status)}</span>',
            f'<span class="soft">frame {cut.frame}</span>',
            f'<span class="soft">{cut.matched} matched</span>',
        ]
        if cut.residual_px is not None:
            facts.append(f'<span class="soft">residual {cut.residual_px:.1f} px</span>')
        if cut.reason:
            facts.append(f"<span>{escape(cut.reason)}</span>")
        shown = "".join(pictures.of(cut))
        items.append(
            f'<div class="cut-item"><div class="cut-line">{"".join(facts)}</div>'
            + (f'<div class="pictures">{shown}</div>' if shown else "")
            + "</div>"
        )
    return _card("Cuts", "".join(items))
