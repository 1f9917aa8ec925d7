"""`checkpoints list|fetch|verify|import`."""

import argparse

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TransferSpeedColumn
from rich.progress import Progress as Bars
from rich.table import Table

from multithumbs.backends.checkpoints import (
    CheckpointStatus,
    State,
    default_root,
    fetch,
    list_checkpoints,
    verify,
)
from multithumbs.cli.console import answers


def checkpoints(arguments: argparse.Namespace) -> int:
    """The exit code is 1 if `verify` finds a file missing or corrupt."""
    match arguments.action:
        case "list":
            _show(list_checkpoints(arguments.root))
            return 0
        case "fetch":
            _show(_fetch(arguments))
            return 0
        case "verify":
            statuses = verify(arguments.names, arguments.root)
            _show(statuses)
            return 0 if all(status.state is State.PRESENT for status in statuses) else 1
        case _:
            from multithumbs.body.safe_import import import_smpl

            target = (arguments.root or default_root()) / "smpl" / "smpl.npz"
            import_smpl(arguments.file, target)
            answers().print(f"{target}: imported; use it with body_model=smpl")
            return 0


def _fetch(arguments: argparse.Namespace) -> list[CheckpointStatus]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:

        def progress(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total)
            bars.update(tasks[name], completed=done, total=total)

        return fetch(arguments.names, arguments.root, progress)


def _show(statuses: list[CheckpointStatus]) -> None:
    table = Table("name", "state", "MB", "profile", "licence", "file")
    for status in statuses:
        checkpoint = status.checkpoint
        size = f"{checkpoint.size_bytes / 1e6:.1f}"
        table.add_row(
            checkpoint.name,
            status.state,
            size,
            checkpoint.profile,
            checkpoint.licence,
            str(status.path),
        )
    answers().print(table)
