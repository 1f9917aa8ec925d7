"""Dispatch, and the one place where errors become a line and an exit code."""

import json
import os
import sys
from collections.abc import Sequence

from multithumbs.cli.arguments import parse
from multithumbs.cli.interrupts import heard
from multithumbs.errors import MultithumbsError

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. Errors that are the user's are one line on stderr."""
    words = list(sys.argv[1:] if argv is None else argv)
    # Our banded systems are small: OpenBLAS' second thread only spins, at four times the cost.
    # It reads this when NumPy is imported, which happens later.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    as_json = "--json-log" in words
    try:
        with heard():
            return _dispatch(words)
    except MultithumbsError as error:
        _say(
            f"multithumbs: error: {_one_line(error)}",
            {"event": "error", "type": type(error).__name__, "message": _one_line(error)}
            | {"exit_code": error.exit_code},
            as_json,
        )
        return error.exit_code
    except KeyboardInterrupt:
        advice = "finished parts are kept, the same command goes on"
        event = {"event": "interrupted", "message": advice, "exit_code": INTERRUPTED}
        _say(f"multithumbs: interrupted; {advice}", event, as_json)
        return INTERRUPTED


def _dispatch(words: list[str]) -> int:
    arguments = parse(words)
    # Commands are imported one by one: `--help` and `doctor` must not wait for torch.
    match arguments.command:
        case "run":
            from multithumbs.cli.run import run

            return run(arguments)
        case "batch":
            from multithumbs.cli.run import batch

            return batch(arguments)
        case "demo":
            from multithumbs.cli.run import demo

            return demo(arguments)
        case "bench":
            from multithumbs.cli.bench import bench

            return bench(arguments)
        case "eval":
            from multithumbs.cli.eval import evaluate_dataset

            return evaluate_dataset(arguments)
        case "checkpoints":
            from multithumbs.cli.checkpoints import checkpoints

            return checkpoints(arguments)
        case _:
            from multithumbs.cli.doctor import doctor

            return doctor(arguments)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _say(line: str, event: dict[str, str | int], as_json: bool) -> None:
    sys.stderr.write((json.dumps(event) if as_json else line) + "\n")
