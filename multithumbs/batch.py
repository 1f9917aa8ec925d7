"""Many clips, one after the other; a clip that fails is told and does not stop the others."""

import logging
import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from multithumbs.config.root import Config
from multithumbs.errors import ConfigError, MultithumbsError
from multithumbs.io.atomic import replacing
from multithumbs.pipeline import Run, run_video
from multithumbs.runner import Progress

SUFFIXES: Final = frozenset(
    {".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts"}
    | {".mxf", ".ogv", ".ts", ".webm", ".wmv", ".y4m"}
)
"""What counts as a video in a folder; a list may name any file."""
REPORT: Final = "batch.json"

logger = logging.getLogger(__name__)


class Status(StrEnum):
    """What became of one clip."""

    DONE = "done"
    UNCHANGED = "unchanged"
    FAILED = "failed"


class ClipReport(BaseModel):
    """One clip of `batch.json`."""

    model_config = ConfigDict(frozen=True)

    path: str
    status: Status
    seconds: float
    out: str = ""
    error: str = ""


class BatchReport(BaseModel):
    """`batch.json`."""

    model_config = ConfigDict(frozen=True)

    clips: tuple[ClipReport, ...]

    @property
    def failed(self) -> int:
        """Number of clips that failed."""
        return sum(clip.status is Status.FAILED for clip in self.clips)


def clips_of(source: Path, out: Path) -> tuple[Path, ...]:
    """Videos of a folder (with subfolders, sorted) or of a list, one path per line.

    What earlier runs wrote under ``out`` is no input. Paths in a list are relative to it;
    empty lines and lines that begin with ``#`` are left out.

    Raises:
        ConfigError: there is no such folder or list, or it names no video.
    """
    if source.is_dir():
        paths = sorted(p for p in source.rglob("*") if p.suffix.lower() in SUFFIXES)
        written = out.resolve()
        clips = [p for p in paths if p.is_file() and written not in p.resolve().parents]
        expected = f"a folder with {', '.join(sorted(SUFFIXES))} files"
    else:
        try:
            lines = [line.strip() for line in source.read_text(encoding="utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{source} is neither a folder nor a text file with one path per line; give one"
            ) from error
        clips = [source.parent / line for line in lines if line and not line.startswith("#")]
        expected = "a text file with one path per line"
    if not clips:
        raise ConfigError(f"{source} names no video; expected {expected}")
    return tuple(dict.fromkeys(clips))


def run_batch(
    clips: Sequence[Path],
    config: Config,
    *,
    out: Path,
    until: str | None = None,
    redo: Sequence[str] = (),
    progress: Progress,
    run: Callable[..., Run] = run_video,
) -> BatchReport:
    """Process every clip; ``out/batch.json`` is brought up to date after each.

    Raises:
        ArtifactError: the report itself cannot be written.
    """
    reports: list[ClipReport] = []
    for number, clip in enumerate(clips, start=1):
        progress.note(f"clip {number} of {len(clips)}: {clip}")
        began = time.perf_counter()
        try:
            done = run(clip, config, out=out, until=until, redo=redo, progress=progress)
        except MultithumbsError as error:
            reports.append(_failed(clip, began, str(error)))
            progress.warn(f"{clip}: {error}")
        except Exception as error:
            logger.exception("unexpected failure in %s", clip)
            reports.append(_failed(clip, began, f"bug: {type(error).__name__}: {error}"))
        else:
            reports.append(
                ClipReport(
                    path=str(clip),
                    status=Status.UNCHANGED if done.unchanged else Status.DONE,
                    seconds=round(time.perf_counter() - began, 3),
                    out=str(done.folder),
                )
            )
        _save(BatchReport(clips=tuple(reports)), out / REPORT)
    return BatchReport(clips=tuple(reports))


def _failed(clip: Path, began: float, error: str) -> ClipReport:
    return ClipReport(
        path=str(clip),
        status=Status.FAILED,
        seconds=round(time.perf_counter() - began, 3),
        error=" ".join(error.split()),
    )


def _save(report: BatchReport, path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
