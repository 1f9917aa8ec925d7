"""A frozen dataclass on disk: ``data.npz`` (no pickle) and ``manifest.json``.

The directory is written beside its place and renamed, so that a manifest means that the
artifact is whole. The digest is of the content (names, dtypes, shapes, bytes and plain
values), not of the zip file, so that equal results have equal digests.
"""

import hashlib
import json
import types
import typing
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np

from multithumbs.errors import ArtifactError
from multithumbs.io.atomic import replacing_directory

FORMAT: Final = 1
DATA: Final = "data.npz"
MANIFEST: Final = "manifest.json"

T = TypeVar("T")
Plain = str | int | bool | list[Any] | None
"""What a manifest holds of a field that is not an array."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What is known of a stored artifact without reading its arrays."""

    type: str
    key: str
    digest: str
    """sha256 over the content."""
    stage_version: int
    seconds: float
    """Wall time that its computation took."""
    peak_rss_mb: float
    """Largest resident memory of the process meanwhile."""
    plain: dict[str, Plain]
    """Values of the fields that are not arrays."""
    format: int = FORMAT


def write_artifact(
    directory: Path,
    artifact: Any,
    *,
    key: str,
    stage_version: int = 1,
    seconds: float = 0.0,
    peak_rss_mb: float = 0.0,
) -> Manifest:
    """Store a frozen dataclass as ``directory``, atomically.

    Raises:
        ArtifactError: the disk is full or refuses; what was at ``directory`` is untouched.
        TypeError: a field that cannot be stored without a pickle (a bug of the stage).
    """
    arrays, plain = _split(artifact)
    manifest = Manifest(
        type=type(artifact).__name__,
        key=key,
        digest=_digest(type(artifact).__name__, arrays, plain),
        stage_version=stage_version,
        seconds=seconds,
        peak_rss_mb=peak_rss_mb,
        plain=plain,
    )
    with replacing_directory(directory) as temporary:
        np.savez(temporary / DATA, allow_pickle=False, **arrays)
        (temporary / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1) + "\n")
    return manifest


def read_manifest(directory: Path) -> Manifest | None:
    """The manifest of a finished artifact; None where there is none.

    Raises:
        ArtifactError: it is damaged, or of another format.
    """
    path = directory / MANIFEST
    try:
        content = json.loads(path.read_text())
        manifest = Manifest(**content)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError) as error:
        raise ArtifactError(f"{path} is damaged: expected a manifest; delete it to redo") from error
    if manifest.format != FORMAT:
        raise ArtifactError(f"{path} has format {manifest.format}, expected {FORMAT}; delete it")
    return manifest


def read_artifact(directory: Path, kind: type[T]) -> T:
    """Read and verify the artifact of type ``kind`` stored at ``directory``.

    Raises:
        ArtifactError: absent, half-written, of another type, or its digest disagrees.
    """
    manifest = read_manifest(directory)
    if manifest is None:
        raise ArtifactError(f"{directory} holds no finished {kind.__name__}; run its stage first")
    if manifest.type != kind.__name__:
        raise ArtifactError(f"{directory} holds {manifest.type}, expected {kind.__name__}")
    try:
        with np.load(directory / DATA, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        intact = _digest(manifest.type, arrays, manifest.plain) == manifest.digest
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
        raise ArtifactError(f"{directory / DATA} is damaged; delete it to redo") from error
    if not intact:
        raise ArtifactError(f"{directory / DATA} is damaged: its digest disagrees; delete it")
    return _join(kind, arrays, manifest.plain, directory)


def _split(artifact: Any) -> tuple[dict[str, np.ndarray], dict[str, Plain]]:
    """The fields that are arrays or floats, and the others as JSON values.

    Floats count as arrays: JSON has neither NaN nor exact bits.
    """
    arrays: dict[str, np.ndarray] = {}
    plain: dict[str, Plain] = {}
    for field in fields(artifact):
        value = getattr(artifact, field.name)
        if isinstance(value, np.ndarray | float | np.floating):
            array = np.asarray(value)
            if array.dtype.hasobject:
                raise TypeError(f"{type(artifact).__name__}.{field.name} holds Python objects")
            arrays[field.name] = array
        else:
            plain[field.name] = _to_plain(value, f"{type(artifact).__name__}.{field.name}")
    return arrays, plain


def _to_plain(value: Any, name: str) -> Plain:
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Fraction):
        return [value.numerator, value.denominator]
    if isinstance(value, tuple):
        return [_to_plain(entry, name) for entry in value]
    if isinstance(value, np.integer | np.bool_):
        return value.item()
    if value is None or isinstance(value, str | int | bool):
        return value
    raise TypeError(f"{name} is a {type(value).__name__}, which no artifact can hold")


def _join(
    kind: type[T], arrays: Mapping[str, np.ndarray], plain: Mapping[str, Plain], directory: Path
) -> T:
    hints = typing.get_type_hints(kind)
    expected = {field.name for field in fields(kind)}  # pyright: ignore[reportArgumentType]
    if expected != {*arrays, *plain}:
        raise ArtifactError(
            f"{directory} holds another version's {kind.__name__}; delete it to redo"
        )
    values = {name: _from_array(hints[name], array) for name, array in arrays.items()}
    values |= {name: _from_plain(hints[name], value) for name, value in plain.items()}
    return kind(**values)


def _from_array(hint: Any, array: np.ndarray) -> Any:
    return array.item() if array.ndim == 0 and float in _options(hint) else array


def _from_plain(hint: Any, value: Plain) -> Any:
    for option in _options(hint):
        origin = typing.get_origin(option)
        if origin is tuple and isinstance(value, list):
            inner = typing.get_args(option)[0]
            return tuple(_from_plain(inner, entry) for entry in value)
        if option is Fraction and isinstance(value, list):
            return Fraction(*value)
        if isinstance(option, type) and issubclass(option, StrEnum) and isinstance(value, str):
            return option(value)
    return value


def _options(hint: Any) -> tuple[Any, ...]:
    """The members of a union, or the hint alone."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return typing.get_args(hint)
    return (hint,)


def _digest(kind: str, arrays: Mapping[str, np.ndarray], plain: Mapping[str, Plain]) -> str:
    """sha256 of the content, independent of the zip container and of field order."""
    digest = hashlib.sha256(json.dumps([kind, plain], sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {arrays[name].shape}".encode())
        digest.update(array.reshape(-1).view(np.uint8).data if array.size else b"")
    return digest.hexdigest()
