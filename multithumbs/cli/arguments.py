"""What the command line accepts."""

import argparse
from pathlib import Path
from typing import NoReturn

from multithumbs import __version__
from multithumbs.errors import ConfigError

EXAMPLES = """\
examples:
  multithumbs demo
  multithumbs run film.mp4
  multithumbs run film.mp4 people=adamw intrinsics=given intrinsics.focal_px=1200 --end 0:30
  multithumbs batch clips/ --no-videos
"""


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` whose refusals are one line like any other error."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see `{self.prog} --help`")


def parse(argv: list[str]) -> argparse.Namespace:
    """The command and its options; ``overrides`` holds every ``key=value``, in order.

    Raises:
        ConfigError: an unknown command or option.
        SystemExit: after ``--help`` or ``--version``.
    """
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    if not hasattr(arguments, "command"):
        parser.print_help()
        raise SystemExit(2)
    takes_overrides = hasattr(arguments, "overrides")
    strays = [word for word in rest if word.startswith("-") or "=" not in word]
    if strays or (rest and not takes_overrides):
        word = (strays or rest)[0]
        expected = "expected key=value" if takes_overrides else "nothing more was expected"
        raise ConfigError(
            f"unknown argument '{word}' ({expected}); see `multithumbs {arguments.command} --help`"
        )
    if takes_overrides:  # words after an option come back in `rest`
        arguments.overrides = [*arguments.overrides, *rest, *_as_overrides(arguments)]
    return arguments


def _as_overrides(arguments: argparse.Namespace) -> list[str]:
    """Options that are short for configuration."""
    overrides = []
    if arguments.start is not None:
        overrides.append(f"video.start={arguments.start}")
    if arguments.end is not None:
        overrides.append(f"video.end={arguments.end}")
    if arguments.no_videos:
        overrides += ["outputs.overlay.enabled=false", "outputs.world.enabled=false"]
    return overrides


def _parser() -> Parser:
    parser = Parser(
        prog="multithumbs",
        description="Everyone's 3D motion from an edited video: one metric world, one identity "
        "per person across the cuts.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"multithumbs {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", parser_class=Parser)
    _add_run(commands)
    _add_batch(commands)
    _add_demo(commands)
    _add_bench(commands)
    _add_eval(commands)
    _add_checkpoints(commands)
    _add_doctor(commands)
    return parser


def _command(
    commands: "argparse._SubParsersAction[Parser]", name: str, text: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    command.set_defaults(command=name)
    return command


def _add_run(commands: "argparse._SubParsersAction[Parser]") -> None:
    command = _command(commands, "run", "Process one video.")
    command.add_argument("video", type=Path, metavar="VIDEO")
    _add_run_options(command)


def _add_batch(commands: "argparse._SubParsersAction[Parser]") -> None:
    command = _command(
        commands,
        "batch",
        "Process every video of a folder, or of a text file with one path per line; go on past "
        "failures and end with a report (OUT/batch.json).",
    )
    command.add_argument("source", type=Path, metavar="FOLDER|LIST")
    _add_run_options(command)


def _add_demo(commands: "argparse._SubParsersAction[Parser]") -> None:
    command = _command(
        commands, "demo", "Make a clip whose truth is known, process its pixels, score the result."
    )
    _add_run_options(command, span=False)


def _add_run_options(command: argparse.ArgumentParser, *, span: bool = True) -> None:
    command.add_argument(
        "overrides",
        nargs="*",
        default=[],
        metavar="key=value",
        help="configuration, such as people=adamw",
    )
    command.add_argument(
        "--out", type=Path, default=Path("outputs"), metavar="DIR", help="default: ./outputs"
    )
    command.add_argument("--until", metavar="STAGE", help="stop after this stage")
    command.add_argument(
        "--redo",
        action="append",
        default=[],
        metavar="STAGE",
        help="compute this stage (or 'all') even if its result is known; may be repeated",
    )
    command.set_defaults(start=None, end=None)
    if span:
        time = "seconds or [HH:]MM:SS from the first frame"
        command.add_argument("--start", metavar="TIME", help=f"leave out what is before: {time}")
        command.add_argument("--end", metavar="TIME", help="leave out this time and what follows")
    command.add_argument(
        "--no-videos", action="store_true", help="write no overlay and world video"
    )
    command.add_argument("--json-log", action="store_true", help="progress as JSON lines on stderr")


_NAMES = "default: all; an unknown one is answered with those that there are"


def _add_bench(commands: "argparse._SubParsersAction[Parser]") -> None:
    command = _command(
        commands, "bench", "The cross-shot benchmark: scenes whose truth is exact, and baselines."
    )
    suites = command.add_subparsers(metavar="SUITE", required=True, parser_class=Parser)
    for name, text in (
        ("oracle", "Perception replaced by truth plus noise: the geometry alone."),
        ("pixels", "The same scenes rendered, and the whole pipeline on their pixels (slow)."),
        ("speed", "Alignment and post-processing against the paper's solvers."),
        ("results", "Write the page of results from finished tables."),
    ):
        suite = suites.add_parser(name, help=text, description=text, allow_abbrev=False)
        suite.set_defaults(suite=name)
        place = {"metavar": "FILE", "help": "the page"}
        if name != "results":
            place = {"metavar": "DIR", "help": "what is written"}
        suite.add_argument("--out", type=Path, required=True, **place)
        if name in ("oracle", "pixels"):
            suite.add_argument("--scenes", nargs="+", default=[], metavar="NAME", help=_NAMES)
            suite.add_argument("--methods", nargs="+", default=[], metavar="NAME", help=_NAMES)
            suite.add_argument("--seeds", type=_count, default=1, metavar="N", help="per scene")
            suite.add_argument(
                "--first-seed", type=_index, default=1, metavar="N",
                help="default: 1; docs/results.md lists the seeds that were developed on",
            )  # fmt: skip
        if name == "speed":
            suite.add_argument("--cuts", type=_count, default=5, metavar="N")
            suite.add_argument(
                "--rows", type=_count, default=20000, metavar="N", help="person-frames at most"
            )
            suite.add_argument("--device", default="cpu", metavar="NAME", help="cpu, cuda, cuda:0")
        if name == "results":
            suite.add_argument("tables", type=Path, nargs="+", metavar="DIR", help="of each suite")


def _count(word: str) -> int:
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1 on, got '{word}'")
    return int(word)


def _index(word: str) -> int:
    if not word.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a number from 0 on, got '{word}'")
    return int(word)


def _rate(word: str) -> float:
    try:
        rate = float(word)
    except ValueError:
        rate = 0.0
    if not 0 < rate < 1000:
        raise argparse.ArgumentTypeError(f"expected frames per second, got '{word}'")
    return rate


def _add_eval(commands: "argparse._SubParsersAction[Parser]") -> None:
    command = _command(
        commands,
        "eval",
        "Run a dataset's sequences (or read another program's results of them), score them, and "
        "print the paper's tables with our column (docs/datasets.md).",
    )
    command.add_argument(
        "dataset", metavar="DATASET", help="egohumans, egobody, harmony4d, 3dpw, emdb or clips"
    )
    command.add_argument("root", type=Path, metavar="ROOT", help="where the dataset lies")
    command.add_argument("overrides", nargs="*", default=[], metavar="key=value")
    command.add_argument("--out", type=Path, default=Path("outputs/eval"), metavar="DIR")
    command.add_argument("--sequences", default="*", metavar="GLOB", help="by name; default: all")
    command.add_argument("--limit", type=_count, metavar="N", help="the first N of them")
    command.add_argument("--results", type=Path, metavar="DIR", help="of another program")
    command.add_argument("--program", metavar="NAME", help="whose results: gvhmr, wham, phalp, ...")
    command.add_argument("--method", default="ours", metavar="NAME", help="our column's name")
    command.add_argument("--frames", type=_count, metavar="N", help="of a sequence at most")
    command.add_argument("--fps", type=_rate, metavar="RATE", help="default: the dataset's")
    command.add_argument("--height", type=_count, metavar="PX", help="of larger pictures' videos")
    command.add_argument("--shot-frames", type=_count, metavar="N", help="between switched views")
    command.add_argument("--seed", type=int, default=0, metavar="N", help="of the views' order")
    command.add_argument("--views", metavar="A,B,...", help="to switch between; default: all")
    command.add_argument("--male", type=Path, metavar="FILE", help="SMPL_MALE.pkl")
    command.add_argument("--female", type=Path, metavar="FILE", help="SMPL_FEMALE.pkl")
    command.add_argument(
        "--videos-only", action="store_true", help="write the videos to run other programs on"
    )
    command.add_argument(
        "--redo", action="append", default=[], metavar="STAGE", help="compute this stage anew"
    )
    command.add_argument("--json-log", action="store_true", help="progress as JSON lines on stderr")
    command.set_defaults(start=None, end=None, no_videos=False)


def _add_checkpoints(commands: "argparse._SubParsersAction[Parser]") -> None:
    command = _command(commands, "checkpoints", "List, fetch, verify or import weight files.")
    actions = command.add_subparsers(metavar="ACTION", required=True, parser_class=Parser)
    for name, text in (
        ("list", "Every known weight file: state, size, licence."),
        ("fetch", "Download what is missing or corrupt."),
        ("verify", "Hash the files anew."),
        ("keys", "The tensors that our network of a checkpoint expects, one a line."),
        (
            "import",
            "Convert a licensed SMPL pickle into an npz file that `body_model=smpl` reads, or add "
            "its UV map (smpl_uv.obj) to it.",
        ),
    ):
        action = actions.add_parser(name, help=text, description=text, allow_abbrev=False)
        action.set_defaults(action=name)
        if name in ("fetch", "verify"):
            action.add_argument(
                "names", nargs="*", help="names or profiles; default: the embedded profile's"
            )
        if name == "keys":
            action.add_argument("name", metavar="NAME", help="such as hmr2")
        if name == "import":
            action.add_argument("file", type=Path, metavar="SMPL_NEUTRAL.pkl|smpl_uv.obj")
        action.add_argument("--root", type=Path, metavar="DIR", help="folder of the checkpoints")


def _add_doctor(commands: "argparse._SubParsersAction[Parser]") -> None:
    command = _command(commands, "doctor", "What this machine can run, and what is missing.")
    command.add_argument(
        "overrides",
        nargs="*",
        default=[],
        metavar="key=value",
        help="a configuration to check for, such as profile=paper",
    )
    command.set_defaults(start=None, end=None, no_videos=False)
    command.add_argument(
        "--out", type=Path, default=Path(), metavar="DIR", help="where results would be written"
    )
