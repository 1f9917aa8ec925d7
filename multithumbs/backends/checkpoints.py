"""Weight files on this machine: their state, fetching, verifying.

What there is to fetch is in `registry`. Files lie in ``<root>/<name>/<filename>``. The root is
``$MULTITHUMBS_CHECKPOINTS``, else the ``checkpoints`` folder of a source checkout, else the
user's cache folder.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final

from multithumbs.backends.registry import ENTRIES, Checkpoint
from multithumbs.errors import CheckpointError
from multithumbs.io.download import (
    fetch_file,
    record_path,
    recorded_sha256,
    sha256_of,
    write_record,
)


class State(StrEnum):
    """What is known of a checkpoint's file."""

    MISSING = "missing"
    PRESENT = "present"
    CORRUPT = "corrupt"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointStatus:
    """A registry entry and the state of its file on this machine."""

    checkpoint: Checkpoint
    path: Path
    state: State
    sha256: str | None
    problem: str = ""
    """Why it could not be fetched: one line."""

    @property
    def finding(self) -> str:
        """The state in words."""
        if self.state is State.CORRUPT and self.checkpoint.sha256 is None:
            # Nobody published a hash: a person who means the change may say so.
            record = record_path(self.path)
            return f"corrupt or changed since its first use; delete {record} to trust it anew"
        return str(self.state)

    @property
    def by_hand(self) -> str:
        """How a person brings the file here: one line."""
        return f"{self.checkpoint.by_hand}, and save it as {self.path}"


CHECKPOINTS: Final[Mapping[str, Checkpoint]] = MappingProxyType({c.name: c for c in ENTRIES})


def default_root() -> Path:
    """Where checkpoints lie unless the user says otherwise."""
    if folder := os.environ.get("MULTITHUMBS_CHECKPOINTS"):
        return Path(folder).expanduser()
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "pyproject.toml").is_file() and (checkout / "checkpoints").is_dir():
        return checkout / "checkpoints"
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "multithumbs" / "checkpoints"


def resolve_names(names: Iterable[str]) -> tuple[str, ...]:
    """Checkpoint names from names and profiles; an empty request means ``embedded``.

    Raises:
        CheckpointError: a name is neither; the message lists both kinds.
    """
    profiles = sorted({c.profile for c in CHECKPOINTS.values()})
    resolved: dict[str, None] = {}
    for name in tuple(names) or ("embedded",):
        found = [c.name for c in CHECKPOINTS.values() if name in (c.name, c.profile)]
        if not found:
            raise CheckpointError(
                f"unknown checkpoint '{name}'; expected one of {', '.join(CHECKPOINTS)} "
                f"or a profile ({', '.join(profiles)})"
            )
        resolved.update(dict.fromkeys(found))
    return tuple(resolved)


def _path(root: Path, name: str) -> Path:
    return root / name / CHECKPOINTS[name].filename


def inspect(name: str, root: Path, *, rehash: bool = False) -> CheckpointStatus:
    """State of one checkpoint; ``rehash`` reads the whole file even where a record exists.

    A file that is read whole and found right is recorded, so that it is not read again.
    """
    checkpoint, path = CHECKPOINTS[name], _path(root, name)
    if not path.is_file():
        return CheckpointStatus(checkpoint=checkpoint, path=path, state=State.MISSING, sha256=None)
    known = None if rehash else recorded_sha256(path, unchanged=True)
    digest = known or sha256_of(path)
    # Without a published hash the first download's own record is what later ones must equal.
    expected = checkpoint.sha256 or recorded_sha256(path, unchanged=False) or digest
    state = State.PRESENT if digest == expected else State.CORRUPT
    if state is State.PRESENT and known is None and os.access(path.parent, os.W_OK):
        write_record(path, digest)
    return CheckpointStatus(checkpoint=checkpoint, path=path, state=state, sha256=digest)


def list_checkpoints(root: Path | None = None) -> list[CheckpointStatus]:
    """Every known checkpoint and its state on this machine."""
    root = root or default_root()
    return [inspect(name, root) for name in CHECKPOINTS]


def fetch(
    names: Iterable[str],
    root: Path | None = None,
    progress: Callable[[str, int, int], None] = lambda name, done, total: None,
) -> list[CheckpointStatus]:
    """Download what is missing or corrupt; files already verified are left alone.

    A checkpoint that no source delivers does not stop the others.

    Args:
        names: checkpoint names or profiles; empty means ``embedded``.
        root: folder of the checkpoints.
        progress: called with (name, bytes done, bytes in all; 0 where unknown).

    Returns:
        The state of each afterwards; ``problem`` says why one could not be fetched.

    Raises:
        CheckpointError: an unknown name.
    """
    root = root or default_root()
    statuses = []
    for name in resolve_names(names):
        status = inspect(name, root)
        if status.state is not State.PRESENT:
            status = _fetch(status, root, progress)
        statuses.append(status)
    return statuses


def _fetch(
    status: CheckpointStatus, root: Path, progress: Callable[[str, int, int], None]
) -> CheckpointStatus:
    checkpoint = status.checkpoint

    def report(done: int, total: int) -> None:
        progress(checkpoint.name, done, total or checkpoint.size_bytes)

    if not checkpoint.sources:
        return replace(status, problem="its publisher lets only registered people download it")
    try:
        digest = fetch_file(checkpoint.sources, status.path, checkpoint.sha256, report)
        write_record(status.path, digest)
    except CheckpointError as error:
        return replace(status, problem=str(error))
    return inspect(checkpoint.name, root)


def missing(names: Iterable[str], root: Path | None = None) -> list[CheckpointStatus]:
    """Those of the named checkpoints that are not here, or corrupt; read or hashed anew."""
    root = root or default_root()
    statuses = [inspect(name, root) for name in names]
    return [status for status in statuses if status.state is not State.PRESENT]


def verify(names: Iterable[str], root: Path | None = None) -> list[CheckpointStatus]:
    """Hash the files anew, whatever the records say."""
    root = root or default_root()
    return [inspect(name, root, rehash=True) for name in resolve_names(names)]


def checkpoint_files(names: Iterable[str], root: Path | None = None) -> dict[str, CheckpointStatus]:
    """Verified files of the named checkpoints, for the runner.

    Raises:
        CheckpointError: some are missing or corrupt; the message names all of them and the
            command that mends it.
    """
    root = root or default_root()
    statuses = {name: inspect(name, root) for name in names}
    absent = [s for s in statuses.values() if s.state is not State.PRESENT]
    if absent:
        listed = " ".join(status.checkpoint.name for status in absent)
        states = ", ".join(
            f"'{status.checkpoint.name}' is {status.finding} at {status.path}" for status in absent
        )
        by_hand = [f"{s.checkpoint.name}: {s.by_hand}" for s in absent if not s.checkpoint.sources]
        end = f"; by hand, {'; '.join(by_hand)}" if by_hand else ""
        raise CheckpointError(
            f"checkpoint{'s' * (len(absent) > 1)} {states}; "
            f"run `multithumbs checkpoints fetch {listed}`{end}"
        )
    return statuses
