"""`doctor`."""

import argparse

from rich.table import Table

from multithumbs.cli.console import answers
from multithumbs.config.compose import load_config
from multithumbs.doctor import Level, report


def doctor(arguments: argparse.Namespace) -> int:
    """Show all checks; the exit code is 1 if anything that a run needs is missing.

    A run of the configuration that is given, or of the embedded profile.
    """
    folder = arguments.out
    while not folder.exists():  # the output folder itself may be made later
        folder = folder.parent
    checks = report(folder, load_config(arguments.overrides) if arguments.overrides else None)
    table = Table("", "what", "found", "remedy", box=None)
    marks = {Level.OK: "ok", Level.NOTE: "note", Level.MISSING: "MISSING"}
    for check in checks:
        table.add_row(marks[check.level], check.name, check.detail, check.remedy)
    answers().print(table)
    return 1 if any(check.level is Level.MISSING for check in checks) else 0
