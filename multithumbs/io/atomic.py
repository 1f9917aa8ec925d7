"""Files that appear whole or not at all."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from multithumbs.errors import ArtifactError

TEMPORARY = ".tmp-"
"""Marks temporary siblings: what a killed process leaves behind is known by it."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failure to write under ``path`` into one line that says what to do.

    Raises:
        ArtifactError: no space, no permission, a read-only disk.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise ArtifactError(
            f"cannot write {path}: {reason}; free or unlock that disk, or choose another --out"
        ) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling (same suffix) that becomes ``path`` if the block succeeds.

    Raises:
        ArtifactError: as `writing`; the temporary file is gone and ``path`` is untouched.
    """
    temporary = temporary_sibling(path)
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            synchronise(temporary)
            temporary.replace(path)
    finally:
        with suppress(OSError):  # the disk may refuse this too; a later sweep removes it
            temporary.unlink(missing_ok=True)


@contextmanager
def replacing_directory(path: Path) -> Iterator[Path]:
    """Yield an empty temporary sibling directory that becomes ``path`` if the block succeeds.

    Raises:
        ArtifactError: as `writing`; the temporary directory is gone and ``path`` is untouched.
    """
    temporary, retired = temporary_sibling(path), temporary_sibling(path)
    try:
        with writing(path):
            temporary.mkdir(parents=True)
            yield temporary
            for file in temporary.iterdir():
                synchronise(file)
            synchronise(temporary)
            if path.exists():  # a rename cannot replace a directory that is not empty
                path.rename(retired)
            temporary.rename(path)
            synchronise(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(retired, ignore_errors=True)


def temporary_sibling(path: Path) -> Path:
    """An unused name beside ``path``, hidden, with its suffix."""
    return path.with_name(f".{path.stem}{TEMPORARY}{uuid.uuid4().hex[:12]}{path.suffix}")


def sweep(directory: Path) -> None:
    """Remove temporary siblings that killed processes left anywhere under ``directory``."""
    for leftover in sorted(directory.rglob(f".*{TEMPORARY}*")):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def synchronise(path: Path) -> None:
    """Flush a file or a directory to the disk, so that a rename cannot overtake its content."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
