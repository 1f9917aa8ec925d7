"""`run`, `batch` and `demo`."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from rich.table import Table

from multithumbs.cli.console import answers
from multithumbs.config.compose import load_config
from multithumbs.runner.progress import Progress
from multithumbs.runner.reporters import choose_reporter
from multithumbs.types.outputs import Summary


def run(arguments: argparse.Namespace) -> int:
    """Process one video."""
    config = load_config(arguments.overrides)  # before torch is imported: typos answer at once
    from multithumbs.pipeline import run_video

    with _reporting(arguments) as progress:
        done = run_video(
            arguments.video,
            config,
            out=arguments.out,
            until=arguments.until,
            redo=arguments.redo,
            progress=progress,
        )
        for warning in done.summary.warnings if done.summary else ():
            progress.warn(warning)
    console = answers()
    what = f": {describe(done.summary)}" if done.summary else f": up to {arguments.until}"
    state = "unchanged" if done.unchanged else f"{done.seconds:.1f} s"
    console.print(f"{done.folder}{what} ({state})")
    return 0


def batch(arguments: argparse.Namespace) -> int:
    """Process many videos; the exit code says whether any failed."""
    config = load_config(arguments.overrides)
    from multithumbs.batch import Status, clips_of, run_batch

    with _reporting(arguments) as progress:
        report = run_batch(
            clips_of(arguments.source, arguments.out),
            config,
            out=arguments.out,
            until=arguments.until,
            redo=arguments.redo,
            progress=progress,
        )
    console = answers()
    table = Table("clip", "status", "seconds", "result", title=f"{len(report.clips)} clips")
    for clip in report.clips:
        outcome = clip.error if clip.status is Status.FAILED else clip.out
        table.add_row(clip.path, clip.status, f"{clip.seconds:.1f}", outcome)
    console.print(table)
    console.print(f"{arguments.out / 'batch.json'}: {report.failed} of {len(report.clips)} failed")
    return 1 if report.failed else 0


def demo(arguments: argparse.Namespace) -> int:
    """Make the demo clip, process it, score it."""
    config = load_config(arguments.overrides)
    from multithumbs.demo import run_demo

    with _reporting(arguments) as progress:
        done = run_demo(
            config,
            out=arguments.out,
            until=arguments.until,
            redo=arguments.redo,
            progress=progress,
        )
    console = answers()
    if done.summary is None or done.score is None:
        console.print(f"{done.folder}: up to {arguments.until}")
        return 0
    console.print(f"{done.folder}: {describe(done.summary)}")
    table = Table("measure", "value")
    for name, value in done.score.model_dump().items():
        if value is None or isinstance(value, int | float):
            table.add_row(name, "-" if value is None else f"{value:.4g}")
    console.print(table)
    return 0


def describe(summary: Summary) -> str:
    """``3 people in 120 frames, 3 shots, 1 world``."""
    counts = (
        (summary.num_people, "person", "people"),
        (summary.num_frames, "frame", "frames"),
        (summary.num_shots, "shot", "shots"),
        (summary.num_islands, "world", "worlds"),
    )
    return ", ".join(f"{n} {one if n == 1 else many}" for n, one, many in counts)


@contextmanager
def _reporting(arguments: argparse.Namespace) -> Iterator[Progress]:
    progress = choose_reporter(json_log=arguments.json_log)
    try:
        yield progress
    finally:
        progress.close()
