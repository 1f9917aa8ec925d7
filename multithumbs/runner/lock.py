"""One run at a time in one output folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from multithumbs.errors import ArtifactError
from multithumbs.io.atomic import writing

LOCK: Final = ".lock"


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold ``directory`` for this process.

    The kernel drops the lock when its holder dies, however it dies, so none is ever stale.

    Raises:
        ArtifactError: another run holds it, or the folder cannot be written.
    """
    path = directory / LOCK
    with writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            raise ArtifactError(
                f"another run (process {holder}) is at work in {directory}; wait for it, "
                "or choose another --out"
            ) from error
        os.truncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)
