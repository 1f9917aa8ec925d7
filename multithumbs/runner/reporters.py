"""Progress for people (a live bar or plain lines) and for machines (JSON lines)."""

import json
import sys
import time
from typing import IO, Any, Final, Protocol, cast, runtime_checkable

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

from multithumbs.runner.progress import Progress, Silent

PLAIN_EVERY_S: Final = 20.0
JSON_EVERY_S: Final = 1.0
TELLING_S: Final = 0.5
"""A rate measured over less time says nothing."""


@runtime_checkable
class Stream(Protocol):
    """What of a text file is used here."""

    def write(self, text: str, /) -> int: ...

    def flush(self) -> None: ...

    def isatty(self) -> bool: ...


def choose_reporter(*, json_log: bool = False, stream: Stream | None = None) -> Progress:
    """JSON lines if asked for, a live bar on a terminal, plain lines otherwise."""
    target: Stream = stream or sys.stderr
    if json_log:
        return JsonLines(target)
    return LiveBar(target) if target.isatty() else PlainLines(target)


class PlainLines(Silent):
    """A line when a stage ends, and now and then in between."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._stage, self._item = "", ""
        self._frames = self._items = 0
        self._said = 0.0

    def stage_begins(self, stage: str, items: int, frames: int) -> None:
        self._stage, self._items, self._frames = stage, items, frames
        self._said = time.monotonic()

    def item_begins(self, stage: str, item: str, frames: int) -> None:
        self._item = item

    def item_advances(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._said >= PLAIN_EVERY_S:
            self._said = now
            self._write(f"{self._stage:<11} {self._item}: {done} of {total}")

    def stage_ends(self, stage: str, cached: bool, seconds: float) -> None:
        self._write(f"{stage:<11} {summary(self._items, self._frames, cached, seconds)}")

    def warn(self, line: str) -> None:
        self._write(f"warning: {line}")

    def note(self, line: str) -> None:
        self._write(line)

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


class LiveBar(Silent):
    """One bar for the stage at work: its item, frames per second, time left."""

    def __init__(self, stream: Stream) -> None:
        self._console = Console(file=cast(IO[str], stream), highlight=False)
        self._bars = Bars(
            TextColumn("{task.description:<11}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:>9}  {task.fields[item]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._bars.start()
        self._task: TaskID | None = None
        self._items = self._frames = self._item_frames = 0
        self._before = 0.0
        self._began = 0.0

    def stage_begins(self, stage: str, items: int, frames: int) -> None:
        self._items, self._frames, self._before = items, frames, 0.0
        self._began = time.monotonic()
        self._task = self._bars.add_task(stage, total=max(frames, 1), rate="", item="")

    def item_begins(self, stage: str, item: str, frames: int) -> None:
        self._item_frames = frames
        if self._task is not None:
            self._bars.update(self._task, item=item)

    def item_advances(self, done: int, total: int) -> None:
        self._show(self._before + self._item_frames * min(done / max(total, 1), 1.0))

    def item_ends(self, cached: bool, seconds: float) -> None:
        self._before += self._item_frames
        self._show(self._before)

    def stage_ends(self, stage: str, cached: bool, seconds: float) -> None:
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None
        self._console.print(f"{stage:<11} {summary(self._items, self._frames, cached, seconds)}")

    def warn(self, line: str) -> None:
        self._console.print(f"warning: {line}", style="yellow", soft_wrap=True, markup=False)

    def note(self, line: str) -> None:
        self._console.print(line, style="bold", soft_wrap=True, markup=False)

    def close(self) -> None:
        self._bars.stop()

    def _show(self, frames: float) -> None:
        if self._task is not None:
            rate = frames / max(time.monotonic() - self._began, 1e-3)
            self._bars.update(self._task, completed=int(frames), rate=f"{rate:.1f} fps")


class JsonLines:
    """Every event as one JSON object on a line of its own."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._said = 0.0

    def stage_begins(self, stage: str, items: int, frames: int) -> None:
        self._write("stage_begins", stage=stage, items=items, frames=frames)

    def item_begins(self, stage: str, item: str, frames: int) -> None:
        self._write("item_begins", stage=stage, item=item, frames=frames)

    def item_advances(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._said >= JSON_EVERY_S:
            self._said = now
            self._write("item_advances", done=done, total=total)

    def item_ends(self, cached: bool, seconds: float) -> None:
        self._write("item_ends", cached=cached, seconds=round(seconds, 3))

    def stage_ends(self, stage: str, cached: bool, seconds: float) -> None:
        self._write("stage_ends", stage=stage, cached=cached, seconds=round(seconds, 3))

    def warn(self, line: str) -> None:
        self._write("warning", message=line)

    def note(self, line: str) -> None:
        self._write("note", message=line)

    def close(self) -> None:
        """Nothing is held."""

    def _write(self, event: str, **values: Any) -> None:
        line = {"time": round(time.time(), 3), "event": event, **values}
        self._stream.write(json.dumps(line) + "\n")
        self._stream.flush()


def summary(items: int, frames: int, cached: bool, seconds: float) -> str:
    """``3 items, 120 frames, 12.3 s, 9.8 fps``, or that all of it was known."""
    parts = f"{items} item{'s' * (items != 1)}"
    if items == 0:
        return "nothing to do"
    if cached:
        return f"{parts}, unchanged"
    rate = f", {frames / seconds:.1f} fps" if seconds >= TELLING_S and frames > items else ""
    return f"{parts}, {seconds:.1f} s{rate}"
