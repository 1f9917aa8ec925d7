"""What a row of the stage table says, and which items a stage is divided into."""

import difflib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from multithumbs.errors import ConfigError
from multithumbs.types import Shots
from multithumbs.types.work import CutItem, ShotItem


class Over(StrEnum):
    """What a stage is called for once."""

    VIDEO = "video"
    SHOT = "shot"
    CUT = "cut"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One row: a function from frozen artifacts to one frozen artifact.

    Its configuration is the field of its name in the root configuration; the checkpoints that
    it needs are that configuration's ``checkpoints``.
    """

    name: str
    run: Callable[..., Any]
    artifact: type
    over: Over = Over.VIDEO
    reads: tuple[str, ...] = ()
    """Stages whose artifacts arrive as keywords (see `Work`), unless the configuration's own
    ``reads`` says otherwise (see `configured`)."""
    version: int = 1
    """Raise it when the same input and configuration give another output than before."""
    uses_body: bool = False
    """Whether the body model's content is part of the key, unless the configuration's own
    ``uses_body`` says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One call of one stage, and one artifact on disk."""

    name: str
    """Of its folder, from its frames: ``000000-000050``, a cut ``000050`` after its frame."""
    index: int
    frames: tuple[int, ...]
    """Part of the key: start and end (and clean start and end), or a cut's boundary frames."""
    length: int
    """Number of frames, for progress; 1 for a cut."""
    shot: ShotItem | None = None
    cut: CutItem | None = None


def stage_names(stages: Sequence[Stage], until: str | None = None) -> tuple[str, ...]:
    """Names of the stages up to and including ``until``.

    Raises:
        ConfigError: ``until`` names no stage.
    """
    names = tuple(stage.name for stage in stages)
    if until is None:
        return names
    return names[: names.index(known_stage(until, names)) + 1]


def redone(redo: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """Stages to compute anew: those named, or all for ``all``.

    Raises:
        ConfigError: a name is no stage that will run.
    """
    if "all" in redo:
        return tuple(names)
    return tuple(known_stage(name, names) for name in redo)


def known_stage(name: str, names: Sequence[str]) -> str:
    """``name`` itself if it is one of ``names``.

    Raises:
        ConfigError: it is not; the message gives the nearest and all of them.
    """
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    raise ConfigError(f"there is no stage '{name}': {hint}expected one of {', '.join(names)}")


def configured(stages: Sequence[Stage], config: Any) -> tuple[Stage, ...]:
    """The stages as one configuration wants them, in an order in which they can run.

    A stage's configuration may have a property ``reads`` and a property ``uses_body``; these
    replace the row's. Each stage then comes as early as what it reads allows, in the table's
    order where that leaves a choice.

    Args:
        stages: the table.
        config: holds one configuration model per stage, as attributes of their names.

    Raises:
        ConfigError: back-ends that wait for one another, or one per shot that waits for cuts.
        ValueError: a bug in the table or in a ``reads``.
    """
    chosen = tuple(_as_configured(stage, getattr(config, stage.name, None)) for stage in stages)
    names = {stage.name for stage in chosen}
    for stage in chosen:
        if unknown := set(stage.reads) - names:
            raise ValueError(f"stage {stage.name} reads {min(unknown)}, which is no stage")
    ordered: list[Stage] = []
    waiting = list(chosen)
    while waiting:
        done = {stage.name for stage in ordered}
        ready = next((stage for stage in waiting if done.issuperset(stage.reads)), None)
        if ready is None:
            raise ConfigError(_circle(waiting, config))
        ordered.append(ready)
        waiting.remove(ready)
    overs = {stage.name: stage.over for stage in chosen}
    for stage in ordered:
        cuts = [read for read in stage.reads if overs[read] is Over.CUT]
        if stage.over is Over.SHOT and cuts:
            raise ConfigError(
                f"{_choice(stage, config)} works shot by shot and reads {cuts[0]}, which is known "
                f"cut by cut; choose another back-end for {stage.name}"
            )
    return tuple(ordered)


def _as_configured(stage: Stage, config: Any) -> Stage:
    return replace(
        stage,
        reads=tuple(_own(config, "reads", stage.reads)),
        uses_body=bool(_own(config, "uses_body", stage.uses_body)),
    )


def _own(config: Any, name: str, default: Any) -> Any:
    """The configuration's own word; `getattr`'s default would hide a mistake inside of it."""
    declared = hasattr(type(config), name) or name in getattr(type(config), "model_fields", ())
    return getattr(config, name) if declared else default


def _circle(waiting: Sequence[Stage], config: Any) -> str:
    """One line about a circle among stages, each of which waits for another of them."""
    rows = {stage.name: stage for stage in waiting}
    path = [waiting[0]]
    while path.count(path[-1]) == 1:
        path.append(next(rows[read] for read in path[-1].reads if read in rows))
    circle = path[path.index(path[-1]) : -1]
    links = [
        f"{_choice(stage, config)} needs {after.name} first"
        for stage, after in zip(circle, [*circle[1:], circle[0]], strict=True)
    ]
    return f"{', '.join(links)}: none can begin; choose another back-end or option for one of them"


def _choice(stage: Stage, config: Any) -> str:
    """``bodies=fit``."""
    name = getattr(getattr(config, stage.name, None), "name", None)
    return f"{stage.name}={name}" if name else stage.name


def check_table(stages: Sequence[Stage]) -> None:
    """Refuse a table whose rows read what is not above them.

    Raises:
        ValueError: a bug in the table.
    """
    seen: dict[str, Stage] = {}
    for stage in stages:
        for read in stage.reads:
            if read not in seen:
                raise ValueError(f"stage {stage.name} reads {read}, which is not above it")
            if stage.over is Over.SHOT and seen[read].over is Over.CUT:
                raise ValueError(
                    f"stage {stage.name} is per shot and reads {read}, which is per cut"
                )
        if stage.name in seen:
            raise ValueError(f"stage {stage.name} stands twice in the table")
        if stage.over is not Over.VIDEO and Shots not in {s.artifact for s in seen.values()}:
            raise ValueError(f"stage {stage.name} is per {stage.over} above the stage of the shots")
        seen[stage.name] = stage


def items_over(over: Over, span: tuple[int, int], shots: Shots | None) -> tuple[Item, ...]:
    """The items of a stage, in order of their frames."""
    if over is Over.VIDEO or shots is None:
        start, end = span
        return (Item(name=_interval(start, end), index=0, frames=span, length=end - start),)
    rows = list(
        zip(
            shots.start.tolist(),
            shots.end.tolist(),
            shots.clean_start.tolist(),
            shots.clean_end.tolist(),
            strict=True,
        )
    )
    if over is Over.SHOT:
        return tuple(_shot(index, *row) for index, row in enumerate(rows))
    return tuple(
        _cut(index, frame=after[0], before=before[3] - 1, after=after[2])
        for index, (before, after) in enumerate(itertools.pairwise(rows))
    )


def _shot(index: int, start: int, end: int, clean_start: int, clean_end: int) -> Item:
    return Item(
        name=_interval(start, end),
        index=index,
        frames=(start, end, clean_start, clean_end),
        length=end - start,
        shot=ShotItem(
            index=index, start=start, end=end, clean_start=clean_start, clean_end=clean_end
        ),
    )


def _cut(index: int, *, frame: int, before: int, after: int) -> Item:
    return Item(
        name=f"{frame:06d}",
        index=index,
        frames=(before, after),
        length=1,
        cut=CutItem(index=index, before=before, after=after),
    )


def _interval(start: int, end: int) -> str:
    return f"{start:06d}-{end:06d}"
