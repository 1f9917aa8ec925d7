"""`Detections` by BlazePose: a tiled detector on key frames, its landmark network between."""

from collections.abc import Iterable, Iterator

import numpy as np

from multithumbs.backends.detections.follow import Follower, Run
from multithumbs.backends.detections.tiles import tile_windows
from multithumbs.config.detections import BlazePoseDetectionsConfig
from multithumbs.models.blazepose import DetectorNetwork, LandmarkNetwork
from multithumbs.types import Detections, Frame
from multithumbs.types.work import ShotItem, Work


def detect(work: Work[BlazePoseDetectionsConfig], shot: ShotItem) -> Detections:
    """Everyone in the frames of ``shot``."""
    config, threads = work.config, work.runtime.threads
    follower = Follower(
        DetectorNetwork(work.checkpoints["blazepose-detector"], threads=threads),
        LandmarkNetwork(work.checkpoints["blazepose-landmarks"], threads=threads),
        tile_windows(work.video.info.hw, config.tile_fractions, config.tile_overlap),
        config,
    )
    total = shot.end - shot.start
    frames = work.video.frames(shot.start, shot.end)
    for done in follower.follow(chunked(frames, config.key_every)):
        work.progress(done, total)
    follower.rewind(work.video.frames)
    return detections_of([run for run in follower.runs if is_person(run, total, config)])


def is_person(run: Run, total: int, config: BlazePoseDetectionsConfig) -> bool:
    """Whether somebody was followed long and surely enough in a shot of ``total`` frames."""
    sightings = run.sightings.values()
    return bool(
        len(sightings) >= min(config.min_run_frames, total)
        and np.median([s.quality for s in sightings]) >= config.run_quality
        and np.median([s.doubt for s in sightings]) <= config.run_disagreement
        and np.median([s.hidden for s in sightings]) <= config.run_hidden
    )


def chunked(frames: Iterable[Frame], size: int) -> Iterator[list[Frame]]:
    """The first frame alone, then groups of ``size``: the last of each is a key frame."""
    chunk: list[Frame] = []
    wanted = 1
    for frame in frames:
        chunk.append(frame)
        if len(chunk) == wanted:
            yield chunk
            chunk, wanted = [], size
    if chunk:
        yield chunk


def detections_of(runs: list[Run]) -> Detections:
    """All sightings as rows, by frame, then by run."""
    rows = sorted(
        (
            (frame, index, sighting)
            for index, run in enumerate(runs)
            for frame, sighting in run.sightings.items()
        ),
        key=lambda row: row[:2],
    )
    sightings = [row[2] for row in rows]
    return Detections(
        frame=np.array([row[0] for row in rows], dtype=np.int64),
        box_xyxy=np.array([s.box_xyxy for s in sightings]).reshape(-1, 4),
        score=np.array([s.quality for s in sightings], dtype=np.float64),
        roi=np.array([s.roi for s in sightings]).reshape(-1, 4),
    )
