"""THE stage table, and one run of it over one video."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import torch

from multithumbs.backends.checkpoints import CheckpointStatus, checkpoint_files
from multithumbs.backends.needs import body_path, require
from multithumbs.body import EMBEDDED_BODY
from multithumbs.body.storage import read_body_file
from multithumbs.config.compose import dump
from multithumbs.config.root import Config
from multithumbs.errors import BackendUnavailable
from multithumbs.io.atomic import sweep
from multithumbs.io.video_index import file_sha256
from multithumbs.publish import publish
from multithumbs.runner import (
    Clip,
    Job,
    Outcome,
    Over,
    Progress,
    Silent,
    Stage,
    available_cores,
    check_table,
    checkpoint_names,
    clip_folder,
    configured,
    locked,
    open_clip,
    redone,
    run_stages,
    span_of,
    stage_names,
)
from multithumbs.stages import (
    alignment,
    bodies,
    boundaries,
    cameras,
    detections,
    identities,
    intrinsics,
    keypoints,
    masks,
    odometry,
    people,
    shots,
    textures,
    tracks,
)
from multithumbs.types import (
    Alignment,
    Bodies,
    BoundaryScene,
    Cameras,
    Detections,
    Identities,
    Intrinsics,
    Keypoints,
    Masks,
    Odometry,
    People,
    Shots,
    Textures,
    Tracks,
)
from multithumbs.types.outputs import Result, Score, Summary
from multithumbs.types.result import Licensed, Parts, PipelineResult
from multithumbs.types.work import Runtime

# fmt: off
STAGES: Final = (
    Stage(name="shots", run=shots.run, artifact=Shots),
    Stage(name="detections", run=detections.run, artifact=Detections, over=Over.SHOT),
    Stage(name="keypoints", run=keypoints.run, artifact=Keypoints, over=Over.SHOT,
          reads=("detections",)),
    Stage(name="intrinsics", run=intrinsics.run, artifact=Intrinsics, over=Over.SHOT,
          uses_body=True, reads=("keypoints",)),
    Stage(name="masks", run=masks.run, artifact=Masks, over=Over.SHOT,
          reads=("detections",)),
    Stage(name="bodies", run=bodies.run, artifact=Bodies, over=Over.SHOT, uses_body=True,
          reads=("detections", "keypoints", "intrinsics")),
    Stage(name="tracks", run=tracks.run, artifact=Tracks, over=Over.SHOT, uses_body=True,
          reads=("detections", "keypoints", "bodies", "masks")),
    Stage(name="textures", run=textures.run, artifact=Textures, over=Over.SHOT, uses_body=True,
          reads=("detections", "masks", "bodies", "tracks")),
    Stage(name="boundaries", run=boundaries.run, artifact=BoundaryScene, over=Over.CUT,
          uses_body=True, version=2,
          reads=("detections", "keypoints", "masks", "bodies", "tracks", "textures")),
    Stage(name="alignment", run=alignment.run, artifact=Alignment, over=Over.CUT, uses_body=True,
          reads=("boundaries", "detections", "keypoints", "masks", "bodies", "tracks")),
    Stage(name="odometry", run=odometry.run, artifact=Odometry, over=Over.SHOT,
          reads=("detections", "masks", "intrinsics")),
    Stage(name="cameras", run=cameras.run, artifact=Cameras, version=2, uses_body=True,
          reads=("shots", "detections", "keypoints", "intrinsics", "masks", "bodies", "tracks",
                 "alignment", "odometry")),
    Stage(name="identities", run=identities.run, artifact=Identities, version=4, uses_body=True,
          reads=("shots", "detections", "tracks", "bodies", "keypoints", "textures", "alignment",
                 "cameras")),
    Stage(name="people", run=people.run, artifact=People, uses_body=True,
          reads=("shots", "detections", "keypoints", "masks", "bodies", "tracks", "alignment",
                 "odometry", "cameras", "identities")),
)
# fmt: on
"""Read this first. The rows of a shot's artifacts are shared: row n is one person in one frame.

What a stage reads here is what most of its back-ends read. A back-end that reads something else
says so in its configuration (`multithumbs.runner.configured`); the stages then run in an order
that allows it: ``keypoints.boxes=meshes`` comes after ``bodies``.
"""

check_table(STAGES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run left behind."""

    folder: Path
    """``OUT/<video stem>-<8 hex of its sha256>``."""
    summary: Summary | None
    """None where the run stopped before the last stage."""
    score: Score | None
    """None where there was no truth to compare with."""
    unchanged: bool
    """Nothing had to be computed or written."""
    seconds: float


def run_video(
    video: Path,
    config: Config,
    *,
    out: Path,
    until: str | None = None,
    redo: Sequence[str] = (),
    progress: Progress | None = None,
    scorer: Callable[[Result], Score] | None = None,
) -> Run:
    """Process one video; what earlier runs computed is reused wherever it is still right.

    Args:
        video: the file.
        config: the whole configuration.
        out: parent of the folder that is written.
        until: last stage to run.
        redo: stages to compute even if they are known.
        progress: told what happens; None keeps quiet.
        scorer: compares the finished result with a truth that no stage sees.

    Raises:
        MultithumbsError: one line: the input, the configuration or the machine is at fault.
    """
    progress = progress or Silent()
    began = time.perf_counter()
    stages = configured(STAGES, config)
    names = stage_names(stages, until)
    redo = redone(redo, names)
    require(config, names)
    checkpoints = _checkpoints(config, names)
    body_npz, body = _body(config)
    runtime = _prepare_machine(config)
    sha256 = file_sha256(video)
    folder = clip_folder(out, video, sha256)
    with locked(folder):
        sweep(folder)
        clip = _open(video, folder, sha256, progress)
        job = Job(
            video=clip.video,
            span=span_of(clip.video.info, config.video.start, config.video.end),
            config=config,
            runtime=runtime,
            body_npz=body_npz,
            body_sha256=body.sha256,
            checkpoints={n: (c.path, c.sha256 or "") for n, c in checkpoints.items()},
            root=folder / "stages",
            until=until,
            redo=redo,
        )
        outcome = run_stages(stages, job, progress)
        cached = clip.index_cached and all(stage.cached for stage in outcome.stages.values())
        published = None
        if len(names) == len(stages):
            result = _result(clip, job, outcome, config, body, checkpoints)
            published = publish(
                result,
                folder,
                config.outputs,
                digests=outcome.digests(),
                device=runtime.device,
                progress=progress,
                elapsed=lambda: time.perf_counter() - began,
                scorer=scorer,
            )
            cached = cached and not published.written
    return Run(
        folder=folder,
        summary=published.summary if published else None,
        score=published.score if published else None,
        unchanged=cached,
        seconds=time.perf_counter() - began,
    )


def _open(video: Path, folder: Path, sha256: str, progress: Progress) -> Clip:
    progress.stage_begins("index", 1, 1)
    progress.item_begins("index", video.name, 1)
    began = time.perf_counter()
    clip = open_clip(video, folder, sha256, progress.item_advances)
    seconds = time.perf_counter() - began
    progress.item_ends(clip.index_cached, seconds)
    progress.stage_ends("index", clip.index_cached, seconds)
    if clip.video.index.warning:
        progress.warn(clip.video.index.warning)
    return clip


def _checkpoints(config: Config, stages: Sequence[str]) -> dict[str, CheckpointStatus]:
    """Verified files of every checkpoint that the stages need, before any work begins."""
    needed = {name for stage in stages for name in checkpoint_names(getattr(config, stage))}
    return checkpoint_files(sorted(needed), config.runtime.checkpoints)


def _body(config: Config) -> tuple[Path, Licensed]:
    path = body_path(config) or EMBEDDED_BODY
    tables, sha256 = read_body_file(path)
    return path, Licensed(name=tables.name, licence=tables.licence, sha256=sha256)


def _prepare_machine(config: Config) -> Runtime:
    """Set thread counts once; refuse a device that is not there."""
    device = config.runtime.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise BackendUnavailable(f"runtime.device={device}: no CUDA device here; use cpu")
    threads = config.runtime.threads or available_cores()
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    return Runtime(device=device, threads=threads)


def _result(
    clip: Clip,
    job: Job,
    outcome: Outcome,
    config: Config,
    body: Licensed,
    checkpoints: Mapping[str, CheckpointStatus],
) -> PipelineResult:
    parts: dict[str, Any] = {
        stage.name: outcome.finished[stage.name][0].load()
        if stage.over is Over.VIDEO
        else Parts(tuple(part.load for part in outcome.finished[stage.name]))
        for stage in STAGES
    }
    warning = clip.video.index.warning
    return PipelineResult(
        video=clip.video,
        video_path=clip.video.path,
        span=job.span,
        config=dump(config),
        profile=config.profile,
        body=body,
        body_npz=job.body_npz,
        checkpoints=tuple(
            Licensed(name=name, licence=c.checkpoint.licence, sha256=c.sha256 or "")
            for name, c in checkpoints.items()
        ),
        warnings=(warning,) if warning else (),
        stages=outcome.stages,
        **parts,
    )
