"""`checkpoints list|fetch|verify|keys|import`."""

import argparse
from pathlib import Path

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
    missing,
    resolve_names,
    verify,
)
from multithumbs.backends.registry import Checkpoint
from multithumbs.cli.console import answers
from multithumbs.errors import CheckpointError


def checkpoints(arguments: argparse.Namespace) -> int:
    """The exit code is not 0 if `verify` or `fetch` leave a file missing or corrupt."""
    match arguments.action:
        case "list":
            _show(list_checkpoints(arguments.root))
            return 0
        case "fetch":
            return _fetch(arguments)
        case "verify":
            statuses = verify(arguments.names, arguments.root)
            _show(statuses)
            return 0 if all(status.state is State.PRESENT for status in statuses) else 1
        case "keys":
            from multithumbs.backends.catalog import expected_keys

            for line in expected_keys(arguments.name):
                answers().print(line)
            return 0
        case _:
            _import(arguments.file, (arguments.root or default_root()) / "smpl" / "smpl.npz")
            return 0


def _import(file: Path, body: Path) -> None:
    """A licensed pickle becomes the body; its publisher's UV map is written into it."""
    if file.suffix.lower() == ".obj":
        from multithumbs.body.atlas import import_atlas

        if not body.is_file():
            raise CheckpointError(f"{body} is not there yet; import SMPL_NEUTRAL.pkl first")
        import_atlas(file, body)
        answers().print(f"{body}: has the UV map of {file} now")
    else:
        from multithumbs.body.safe_import import import_smpl

        import_smpl(file, body)
        answers().print(f"{body}: imported; use it with body_model=smpl")


def _fetch(arguments: argparse.Namespace) -> int:
    """Say under which licences, download, say what is left to be done by hand."""
    err = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    for status in missing(resolve_names(arguments.names), arguments.root):
        checkpoint = status.checkpoint
        where = f"from {checkpoint.sources[0]}" if checkpoint.sources else "by hand only"
        err.print(f"{checkpoint.name}: {checkpoint.description}, {_size(checkpoint)}, {where}")
        err.print(f"    licence: {checkpoint.licence}")
    statuses = _download(arguments)
    _show(statuses)
    absent = [status for status in statuses if status.state is not State.PRESENT]
    if not absent:
        return 0
    for status in absent:
        err.print(f"{status.checkpoint.name}: {status.problem}")
        err.print(f"    by hand: {status.by_hand}")
    raise CheckpointError(
        f"{len(absent)} of {len(statuses)} checkpoints are missing: "
        f"{', '.join(status.checkpoint.name for status in absent)}; see above for each"
    )


def _download(arguments: argparse.Namespace) -> list[CheckpointStatus]:
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
                tasks[name] = bars.add_task(name, total=total or None)
            bars.update(tasks[name], completed=done, total=total or None)

        return fetch(arguments.names, arguments.root, progress)


def _size(checkpoint: Checkpoint) -> str:
    return f"{checkpoint.size_bytes / 1e6:.1f} MB" if checkpoint.size_bytes else "size unknown"


def _show(statuses: list[CheckpointStatus]) -> None:
    table = Table("name", "state", "size", "profile", "licence", "file")
    for status in statuses:
        checkpoint = status.checkpoint
        table.add_row(
            checkpoint.name,
            status.state,
            _size(checkpoint),
            checkpoint.profile,
            checkpoint.licence,
            str(status.path),
        )
    answers().print(table)
