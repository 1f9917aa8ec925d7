"""Multi-view recordings turned into multi-shot videos (paper section 4.1): the view is switched
at chosen frames, time goes on, people stay where they are and the camera is another one.

The paper publishes neither its sequences nor its views nor its cuts ("provided in the
supplementary material", which is not public): the schedule here is ours, the same for everybody
who gives the same numbers.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from multithumbs.errors import ArtifactError
from multithumbs.evaluation.datasets.layout import picture_hw
from multithumbs.evaluation.datasets.sequence import (
    Bodies,
    EvalSequence,
    Lens,
    TruePerson,
    true_scene,
)
from multithumbs.evaluation.readers.motions import CameraPath


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When the view is switched, and to which."""

    shot_frames: int = 50
    """Length of a shot; the last one may be shorter."""
    frames: int = 150
    """Length of the video at most."""
    seed: int = 0
    views: tuple[str, ...] = ()
    """Views to choose from; empty: all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One camera of a recording."""

    name: str
    pictures: Mapping[int, Path]
    """By time stamp."""
    K: Float64[np.ndarray, "3 3"]
    lens: Lens | None
    world_from_cam: Callable[[int], Float64[np.ndarray, "4 4"]]
    """At a time stamp."""
    hw: tuple[int, int] | None = None
    """Size of the pictures that were calibrated, where the dataset says it."""


def views_of_shots(names: Sequence[str], shots: int, *, seed: int, salt: str) -> list[str]:
    """The view of each shot: drawn from all but the one before.

    ``salt`` (the sequence's name) makes sequences differ; equal arguments give equal views.
    """
    digest = hashlib.sha256(f"{seed} {salt}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    ordered = sorted(names)
    chosen: list[str] = []
    for _ in range(shots):
        others = [name for name in ordered if not chosen or name != chosen[-1]]
        chosen.append(others[int(rng.integers(len(others)))])
    return chosen


def longest_run(times: Sequence[int]) -> Int64[np.ndarray, " T"]:
    """The longest stretch of consecutive time stamps; the first of equally long ones."""
    ordered = np.unique(np.asarray(times, np.int64))
    runs = np.split(ordered, np.flatnonzero(np.diff(ordered) != 1) + 1)
    return max(runs, key=len)


def multi_shot(
    name: str,
    views: Sequence[View],
    times: Sequence[int],
    people_at: Callable[[Int64[np.ndarray, " T"]], Sequence[TruePerson]],
    schedule: Schedule,
    bodies: Bodies,
    *,
    fps: float,
    note: str = "",
) -> EvalSequence:
    """A video of one recording.

    Args:
        name: of the recording.
        views: its cameras.
        times: time stamps that have a truth.
        people_at: everyone at these time stamps; a motion's ``frame`` is the position in them.
        schedule: of the cuts.
        bodies: whose motion the truth is.
        fps: pictures per second.
        note: of the dataset.

    Raises:
        ArtifactError: fewer than two views, no time that all views show, sizes that differ.
    """
    views = _chosen(name, views, schedule)
    common = set(times)
    for view in views:
        common &= set(view.pictures)
    if not common:
        raise ArtifactError(
            f"{name}: no time stamp has a truth and a picture in each of "
            f"{', '.join(v.name for v in views)}; choose views that overlap with --views"
        )
    stamps = longest_run(sorted(common))[: schedule.frames]
    starts = np.arange(0, len(stamps), schedule.shot_frames)
    by_name = {view.name: view for view in views}
    chosen = views_of_shots(list(by_name), len(starts), seed=schedule.seed, salt=name)
    of_frame = [by_name[chosen[i // schedule.shot_frames]] for i in range(len(stamps))]
    hw = _size(name, [by_name[v] for v in sorted(set(chosen))], int(stamps[0]))
    cameras = CameraPath(
        frame=np.arange(len(stamps)),
        K=np.stack([view.K for view in of_frame]),
        world_from_cam=np.stack(
            [v.world_from_cam(int(t)) for v, t in zip(of_frame, stamps, strict=True)]
        ),
    )
    truth = true_scene(people_at(stamps), cameras, hw, bodies, shot_start=starts)
    return EvalSequence(
        name=name,
        fps=fps,
        hw=hw,
        frames=tuple(v.pictures[int(t)] for v, t in zip(of_frame, stamps, strict=True)),
        lenses=tuple(view.lens for view in of_frame),
        truth=truth,
        views=tuple(chosen),
        note=note,
    )


def _size(name: str, views: Sequence[View], time: int) -> tuple[int, int]:
    sizes = {view.name: picture_hw(view.pictures[time]) for view in views}
    for view in views:
        (h, w), calibrated = sizes[view.name], view.hw
        if calibrated is not None and calibrated != (h, w):
            raise ArtifactError(
                f"{view.pictures[time]} is {h}x{w}, its calibration is of "
                f"{calibrated[0]}x{calibrated[1]}; expected the pictures as they were published"
            )
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{view} {h}x{w}" for view, (h, w) in sizes.items())
        raise ArtifactError(
            f"{name}: pictures of several sizes ({listed}) are no video; name views of one size "
            "with --views"
        )
    return sizes[views[0].name]


def _chosen(name: str, views: Sequence[View], schedule: Schedule) -> list[View]:
    known = {view.name: view for view in views}
    unknown = [view for view in schedule.views if view not in known]
    if unknown:
        raise ArtifactError(
            f"{name} has no view '{unknown[0]}'; it has {', '.join(sorted(known)) or 'none'}"
        )
    found = [known[view] for view in schedule.views] if schedule.views else list(views)
    if len(found) < 2:
        raise ArtifactError(
            f"{name} has {len(found)} view to switch between; expected two or more calibrated ones"
        )
    return found
