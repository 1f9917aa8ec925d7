"""What a watcher is told: plain lines, a live bar, JSON."""

import io
import json

import pytest

from multithumbs.runner.progress import Progress
from multithumbs.runner.reporters import JsonLines, LiveBar, PlainLines, choose_reporter


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def play(progress: Progress) -> None:
    """Two shots, the second cached; a warning and a note in between."""
    progress.stage_begins("bodies", 2, 30)
    progress.item_begins("bodies", "000000-000020", 20)
    for done in range(0, 41, 10):
        progress.item_advances(done, 40)
    progress.item_ends(False, 2.0)
    progress.warn("[red]brackets[/red] stay")
    progress.note("half way")
    progress.item_begins("bodies", "000020-000030", 10)
    progress.item_ends(True, 1.0)
    progress.stage_ends("bodies", False, 3.0)
    progress.stage_begins("alignment", 0, 0)
    progress.stage_ends("alignment", True, 0.0)
    progress.close()


def test_the_stream_decides() -> None:
    assert isinstance(choose_reporter(stream=io.StringIO()), PlainLines)
    live = choose_reporter(stream=Terminal())
    assert isinstance(live, LiveBar)
    live.close()
    assert isinstance(choose_reporter(json_log=True, stream=Terminal()), JsonLines)


def test_plain_lines() -> None:
    stream = io.StringIO()
    play(PlainLines(stream))
    assert stream.getvalue().splitlines() == [
        "warning: [red]brackets[/red] stay",
        "half way",
        "bodies      2 items, 3.0 s, 10.0 fps",
        "alignment   nothing to do",
    ]


def test_plain_lines_speak_up_in_long_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multithumbs.runner.reporters.PLAIN_EVERY_S", 0.0)
    stream = io.StringIO()
    play(PlainLines(stream))
    assert "bodies      000000-000020: 10 of 40" in stream.getvalue()


def test_the_live_bar_keeps_the_same_lines() -> None:
    stream = Terminal()
    play(LiveBar(stream))
    text = stream.getvalue()
    for line in ("[red]brackets[/red] stay", "half way", "2 items, 3.0 s, 10.0 fps"):
        assert line in text


def test_json_lines() -> None:
    stream = io.StringIO()
    play(JsonLines(stream))
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    names = [event["event"] for event in events]
    assert names.count("stage_ends") == 2
    assert names.count("item_ends") == 2
    assert names.count("item_advances") == 1  # not more than one a second
    assert events[names.index("warning")]["message"] == "[red]brackets[/red] stay"
    assert all(isinstance(event["time"], float) for event in events)
