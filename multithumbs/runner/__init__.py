"""Runs the stage table: keys, resume, atomic commit, progress. Only this touches artifacts."""

from multithumbs.runner.execute import Finished, Job, Outcome, run_stages
from multithumbs.runner.lock import locked
from multithumbs.runner.progress import Progress, Silent
from multithumbs.runner.reporters import choose_reporter
from multithumbs.runner.table import Item, Over, Stage, check_table, stage_names

__all__ = [
    "Finished",
    "Item",
    "Job",
    "Outcome",
    "Over",
    "Progress",
    "Silent",
    "Stage",
    "check_table",
    "choose_reporter",
    "locked",
    "run_stages",
    "stage_names",
]
