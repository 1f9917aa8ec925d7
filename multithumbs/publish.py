"""What a finished run writes beside its artifacts: result, pictures, report, summary."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from multithumbs.body import BodyModel, load_body
from multithumbs.config.outputs import OutputsConfig
from multithumbs.export.glb import write_glb
from multithumbs.export.result import build_result, save_result
from multithumbs.export.summary import build_summary, collect_warnings, save_summary
from multithumbs.io.atomic import replacing
from multithumbs.runner import Progress, peak_rss_mb, reset_peak
from multithumbs.types.outputs import Result, Score, StageSummary, Summary
from multithumbs.types.result import PipelineResult
from multithumbs.viz.overlay import write_overlay
from multithumbs.viz.report import write_report
from multithumbs.viz.world import write_world

PUBLISH_VERSION: Final = 1
"""Raise it when the same result gives other files than before."""
STAMPS: Final = "outputs.json"

Advance = Callable[[int, int], None]


class Stamp(BaseModel):
    """What a costly output shows, so that it is written again only if that changed."""

    model_config = ConfigDict(frozen=True)

    key: str
    size: int
    """Bytes."""
    seconds: float
    peak_rss_mb: float


class Stamps(BaseModel):
    """`outputs.json`: one stamp per file."""

    model_config = ConfigDict(frozen=True)

    files: dict[str, Stamp] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What came of it."""

    summary: Summary
    score: Score | None
    written: bool
    """Whether any costly output had to be written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Output:
    """One costly file."""

    stage: str
    """Its name among the stages of `summary.json`."""
    name: str
    """Of the file."""
    config: Any
    """Its section of the configuration; ``enabled`` says whether to write it."""
    shows: Sequence[str]
    """Digests of all that it shows."""
    write: Callable[[Path, Advance], None]

    @property
    def key(self) -> str:
        parts = [PUBLISH_VERSION, self.name, self.config.model_dump(mode="json"), *self.shows]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def publish(
    run: PipelineResult,
    folder: Path,
    config: OutputsConfig,
    *,
    digests: Mapping[str, Sequence[str]],
    device: str,
    progress: Progress,
    elapsed: Callable[[], float],
    scorer: Callable[[Result], Score] | None = None,
) -> Published:
    """Write every output into ``folder``: `result.npz`, what ``config`` enables, `summary.json`.

    Args:
        run: the finished run.
        folder: of the video's outputs.
        config: which costly outputs to write, and how.
        digests: content digests of all artifacts, by stage.
        device: of the renderer.
        progress: told what happens.
        elapsed: seconds since the run began.
        scorer: compares the result with a truth, for the report.

    Raises:
        ArtifactError: the disk refuses; what was there stays whole.
    """
    body = load_body(run.body_npz)
    result = build_result(
        info=run.video.info,
        shots=run.shots,
        cameras=run.cameras,
        people=run.people,
        body_model=run.body.name,
        profile=run.profile,
        licences=run.licences,
    )
    save_result(result, folder / "result.npz")
    score = scorer(result) if scorer else None
    stages = dict(run.stages)
    seen = [run.video.info.sha256, run.body.sha256, *run.licences]
    seen += [digest for stage in ("shots", "cameras", "people") for digest in digests[stage]]
    for output in _pictures(run, result, body, config, seen, device):
        stages |= _bring_up_to_date(output, folder, progress)
    summary = _summary(run, result, stages, elapsed())
    known = [digest for parts in digests.values() for digest in parts]
    known.append("" if score is None else score.model_dump_json())
    report = _report(run, result, summary, body, score, config, [*seen, *known], device)
    stages |= _bring_up_to_date(report, folder, progress)
    summary = _summary(run, result, stages, elapsed())
    save_summary(summary, folder / "summary.json")
    written = any(not cost.cached for name, cost in stages.items() if name not in run.stages)
    return Published(summary=summary, score=score, written=written)


def _pictures(
    run: PipelineResult,
    result: Result,
    body: BodyModel,
    config: OutputsConfig,
    shows: Sequence[str],
    device: str,
) -> tuple[_Output, ...]:
    def overlay(path: Path, advance: Advance) -> None:
        write_overlay(
            result, body, run.video, path, config=config.overlay, device=device, progress=advance
        )

    def world(path: Path, advance: Advance) -> None:
        write_world(
            result, body, run.video, path, config=config.world, device=device, progress=advance
        )

    def glb(path: Path, advance: Advance) -> None:
        write_glb(result, body, path)

    return (
        _Output(
            stage="overlay", name="overlay.mp4", config=config.overlay, shows=shows, write=overlay
        ),
        _Output(stage="world", name="world.mp4", config=config.world, shows=shows, write=world),
        _Output(stage="glb", name="people.glb", config=config.glb, shows=shows, write=glb),
    )


def _report(
    run: PipelineResult,
    result: Result,
    summary: Summary,
    body: BodyModel,
    score: Score | None,
    config: OutputsConfig,
    shows: Sequence[str],
    device: str,
) -> _Output:
    title = run.video_path.name

    def report(path: Path, advance: Advance) -> None:
        write_report(
            result, summary, body, run.video, path,
            title=title, score=score, config=config.report, device=device,
        )  # fmt: skip

    return _Output(
        stage="report",
        name="report.html",
        config=config.report,
        shows=[title, *shows],
        write=report,
    )


def _summary(
    run: PipelineResult, result: Result, stages: Mapping[str, StageSummary], seconds: float
) -> Summary:
    warnings = collect_warnings(
        result=result, alignments=run.alignment, odometry=run.odometry, cameras=run.cameras
    )
    return build_summary(
        result=result,
        alignments=run.alignment,
        stages=stages,
        seconds_total=seconds,
        peak_rss_mb=max([peak_rss_mb(), *(stage.peak_rss_mb for stage in stages.values())]),
        warnings=(*run.warnings, *warnings),
    )


def _bring_up_to_date(output: _Output, folder: Path, progress: Progress) -> dict[str, StageSummary]:
    """Write the file unless it is there and shows the same; its cost by its name, if enabled."""
    if not output.config.enabled:
        return {}
    path, stage = folder / output.name, output.stage
    progress.stage_begins(stage, 1, 1)
    progress.item_begins(stage, output.name, 1)
    stamps = _read_stamps(folder)
    stamp = stamps.files.get(output.name)
    size = path.stat().st_size if path.is_file() else None
    cached = stamp is not None and (stamp.key, stamp.size) == (output.key, size)
    if stamp is None or not cached:
        reset_peak()
        began = time.perf_counter()
        output.write(path, progress.item_advances)
        stamp = Stamp(
            key=output.key,
            size=path.stat().st_size,
            seconds=time.perf_counter() - began,
            peak_rss_mb=peak_rss_mb(),
        )
        with replacing(folder / STAMPS) as temporary:
            updated = Stamps(files={**stamps.files, output.name: stamp})
            temporary.write_text(updated.model_dump_json(indent=1) + "\n")
    progress.item_ends(cached, stamp.seconds)
    progress.stage_ends(stage, cached, stamp.seconds)
    cost = StageSummary(seconds=stamp.seconds, peak_rss_mb=stamp.peak_rss_mb, cached=cached)
    return {stage: cost}


def _read_stamps(folder: Path) -> Stamps:
    """What is known of the files; nothing where the stamps are missing or damaged."""
    try:
        return Stamps.model_validate_json((folder / STAMPS).read_bytes())
    except (OSError, ValidationError):
        return Stamps()
