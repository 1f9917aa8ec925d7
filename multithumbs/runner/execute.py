"""Walk the table: take what is known, compute what is not, commit item by item.

Items that a later configuration no longer produces stay on disk: they are small, named by
their frames, read by nobody, and valid again if their shots come back.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from multithumbs.errors import ArtifactError, MultithumbsError
from multithumbs.io.artifacts import Manifest, read_artifact, read_manifest, write_artifact
from multithumbs.io.atomic import sweep
from multithumbs.runner.keys import item_key
from multithumbs.runner.machine import peak_rss_mb, reset_peak
from multithumbs.runner.progress import Progress
from multithumbs.runner.table import Item, Over, Stage, configured, items_over, redone, stage_names
from multithumbs.types import FrameReader, Shots
from multithumbs.types.outputs import StageSummary
from multithumbs.types.work import Kept, Runtime, Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run over one video."""

    video: FrameReader
    span: tuple[int, int]
    """Half-open interval of the frames to process."""
    config: Any
    """Holds one configuration model per stage, as attributes of their names."""
    runtime: Runtime
    body_npz: Path
    body_sha256: str
    checkpoints: Mapping[str, tuple[Path, str]]
    """Verified file and sha256 of each checkpoint that any stage needs, by name."""
    root: Path
    """Artifacts lie in ``root/<stage>/<item>/``."""
    until: str | None = None
    """Last stage to run."""
    redo: tuple[str, ...] = ()
    """Stages to compute even if they are known; ``all`` for every one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A stored artifact."""

    directory: Path
    kind: type
    manifest: Manifest
    cached: bool

    def load(self) -> Any:
        """Read it, verifying its digest."""
        return read_artifact(self.directory, self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Artifacts of all stages that ran, by stage, in order of their frames."""

    finished: Mapping[str, tuple[Finished, ...]]
    stages: Mapping[str, StageSummary]
    """``seconds`` is what the artifacts took to compute, in this run or an earlier one."""

    def digests(self) -> dict[str, list[str]]:
        """Content digests by stage."""
        return {name: [f.manifest.digest for f in parts] for name, parts in self.finished.items()}


def run_stages(stages: Sequence[Stage], job: Job, progress: Progress) -> Outcome:
    """Bring every stage up to ``job.until`` up to date.

    Raises:
        ConfigError: ``until`` or ``redo`` name no stage, or a redone stage comes after ``until``;
            or the configuration's back-ends wait for one another.
        ArtifactError: an artifact cannot be written.
        MultithumbsError: a stage refuses its input; the message begins with stage and item.
    """
    stages = configured(stages, job.config)
    names = stage_names(stages, job.until)
    job = replace(job, redo=redone(job.redo, names))
    sweep(job.root)
    finished: dict[str, tuple[Finished, ...]] = {}
    overs = {stage.name: stage.over for stage in stages}
    shots: Shots | None = None
    for stage in stages[: len(names)]:
        items = items_over(stage.over, job.span, shots)
        progress.stage_begins(stage.name, len(items), sum(item.length for item in items))
        parts, kept = [], Kept()
        for item in items:
            inputs = {
                read: _parts(finished[read], stage.over, overs[read], item.index)
                for read in stage.reads
            }
            progress.item_begins(stage.name, item.name, item.length)
            parts.append(_finish(stage, item, inputs, job, progress, kept))
            progress.item_ends(parts[-1].cached, parts[-1].manifest.seconds)
        finished[stage.name] = tuple(parts)
        cost = _cost(parts)
        progress.stage_ends(stage.name, cost.cached, cost.seconds)
        if stage.artifact is Shots:
            shots = parts[0].load()
    summaries = {name: _cost(parts) for name, parts in finished.items()}
    return Outcome(finished=finished, stages=summaries)


def _parts(
    parts: tuple[Finished, ...], reader: Over, source: Over, index: int
) -> Finished | tuple[Finished, ...]:
    """What an item reads of a stage: all, its own part, or a cut's shots (before, after)."""
    if source is Over.VIDEO:
        return parts[0]
    if reader is Over.VIDEO:
        return parts
    if reader is source:
        return parts[index]
    return parts[index], parts[index + 1]


def _finish(
    stage: Stage,
    item: Item,
    inputs: Mapping[str, Finished | tuple[Finished, ...]],
    job: Job,
    progress: Progress,
    kept: Kept,
) -> Finished:
    config = getattr(job.config, stage.name)
    names = checkpoint_names(config)
    key = item_key(
        stage,
        item,
        video_sha256=job.video.info.sha256,
        config=config,
        checkpoints={name: job.checkpoints[name][1] for name in names},
        body_sha256=job.body_sha256,
        inputs={
            read: tuple(f.manifest.digest for f in (parts if isinstance(parts, tuple) else [parts]))
            for read, parts in inputs.items()
        },
    )
    directory = job.root / stage.name / item.name
    if stage.name not in job.redo:
        manifest = _known(directory, stage.artifact, key, progress)
        if manifest is not None:
            return Finished(
                directory=directory, kind=stage.artifact, manifest=manifest, cached=True
            )
    work = Work(
        video=job.video,
        config=config,
        runtime=job.runtime,
        shot=item.shot,
        cut=item.cut,
        body_npz=job.body_npz,
        checkpoints={name: job.checkpoints[name][0] for name in names},
        progress=progress.item_advances,
        span=job.span,
        kept=kept,
    )
    reset_peak()
    began = time.perf_counter()
    artifact = _call(stage, item, work, {read: _load(parts) for read, parts in inputs.items()})
    manifest = write_artifact(
        directory,
        artifact,
        key=key,
        stage_version=stage.version,
        seconds=time.perf_counter() - began,
        peak_rss_mb=peak_rss_mb(),
    )
    return Finished(directory=directory, kind=stage.artifact, manifest=manifest, cached=False)


def _known(directory: Path, kind: type, key: str, progress: Progress) -> Manifest | None:
    """The manifest of an intact artifact with this key; damage is told and counts as absent."""
    try:
        manifest = read_manifest(directory)
        if manifest is None or manifest.key != key:
            return None
        read_artifact(directory, kind)
    except ArtifactError as error:
        progress.warn(f"{error}; computing it again")
        return None
    return manifest


def _call(stage: Stage, item: Item, work: Work[Any], artifacts: Mapping[str, Any]) -> Any:
    try:
        artifact = stage.run(work, **artifacts)
    except MultithumbsError as error:
        raise type(error)(f"{stage.name} {item.name}: {error}") from error
    if not isinstance(artifact, stage.artifact):
        raise TypeError(
            f"stage {stage.name} gave {type(artifact).__name__}, not {stage.artifact.__name__}"
        )
    return artifact


def _load(parts: Finished | tuple[Finished, ...]) -> Any:
    return tuple(part.load() for part in parts) if isinstance(parts, tuple) else parts.load()


def _cost(parts: Sequence[Finished]) -> StageSummary:
    return StageSummary(
        seconds=sum(part.manifest.seconds for part in parts),
        peak_rss_mb=max((part.manifest.peak_rss_mb for part in parts), default=0.0),
        cached=all(part.cached for part in parts),
    )


def checkpoint_names(config: BaseModel) -> tuple[str, ...]:
    """Checkpoints that a stage's configuration needs: its ``checkpoints``, if it has any."""
    return tuple(getattr(config, "checkpoints", ()))
