"""Dispatch, and the one place where errors become a line and an exit code."""

import json
import sys
from collections.abc import Sequence

from multithumbs.cli.arguments import parse
from multithumbs.errors import MultithumbsError

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. Errors that are the user's are one line on stderr."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(words)
    except MultithumbsError as error:
        _complain(error, as_json="--json-log" in words)
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write(
            "multithumbs: interrupted; finished parts are kept, the same command goes on\n"
        )
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
        case "checkpoints":
            from multithumbs.cli.checkpoints import checkpoints

            return checkpoints(arguments)
        case _:
            from multithumbs.cli.doctor import doctor

            return doctor(arguments)


def _complain(error: MultithumbsError, *, as_json: bool) -> None:
    line = " ".join(str(error).split())
    if as_json:
        event = {"event": "error", "type": type(error).__name__, "message": line}
        sys.stderr.write(json.dumps({**event, "exit_code": error.exit_code}) + "\n")
    else:
        sys.stderr.write(f"multithumbs: error: {line}\n")
