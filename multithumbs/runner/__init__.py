"""Runs the stage table: keys, resume, atomic commit, progress. Only this touches artifacts."""

from multithumbs.runner.clip import Clip, clip_folder, open_clip, span_of
from multithumbs.runner.execute import Finished, Job, Outcome, checkpoint_names, run_stages
from multithumbs.runner.lock import locked
from multithumbs.runner.machine import available_cores, peak_rss_mb, reset_peak
from multithumbs.runner.progress import Progress, Silent
from multithumbs.runner.reporters import choose_reporter
from multithumbs.runner.table import Item, Over, Stage, check_table, configured, redone, stage_names

__all__ = [
    "Clip",
    "Finished",
    "Item",
    "Job",
    "Outcome",
    "Over",
    "Progress",
    "Silent",
    "Stage",
    "available_cores",
    "check_table",
    "checkpoint_names",
    "choose_reporter",
    "clip_folder",
    "configured",
    "locked",
    "open_clip",
    "peak_rss_mb",
    "redone",
    "reset_peak",
    "run_stages",
    "span_of",
    "stage_names",
]
