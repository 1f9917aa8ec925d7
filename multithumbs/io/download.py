"""Fetching one file from one of several sources: resumable, verified, atomic.

A file is downloaded into ``<destination>.part`` and renamed only after its sha256 matches, so
a destination that exists is whole. An interrupted URL download resumes where it stopped.
"""

import hashlib
import http.client
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Protocol, runtime_checkable

from multithumbs.errors import CheckpointError

_CHUNK = 1 << 20
Progress = Callable[[int, int], None]
"""``progress(bytes done, bytes in all)``; 0 in all where unknown."""


class SourceUnavailable(Exception):
    """This source cannot deliver; the message says why."""


@runtime_checkable
class Source(Protocol):
    """A place that may have a file; ``str(source)`` names it in messages."""

    def fetch(self, part: Path, progress: Progress) -> None:
        """Write the file to ``part``, going on from what is there where that is possible.

        Raises:
            SourceUnavailable: this source cannot deliver.
        """
        ...


@dataclass(frozen=True, slots=True)
class UrlSource:
    """A plain download over https."""

    url: str
    timeout_s: float = 10.0

    def __str__(self) -> str:
        return self.url

    def fetch(self, part: Path, progress: Progress) -> None:
        """Append the missing bytes to ``part``, or start again where it cannot be resumed."""
        if not self.url.startswith("https://"):
            raise SourceUnavailable("only https sources are allowed")
        have = part.stat().st_size if part.exists() else 0
        request = urllib.request.Request(self.url)  # noqa: S310 - https only, checked above
        if have:
            request.add_header("Range", f"bytes={have}-")
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s) as response:  # noqa: S310
                if not response.geturl().startswith("https://"):
                    raise SourceUnavailable("it leads to a place without https")
                if response.headers.get_content_type() == "text/html":
                    raise SourceUnavailable("it answers with a web page, not with a file")
                resumed = response.status == HTTPStatus.PARTIAL_CONTENT
                done = have if resumed else 0
                length = int(response.headers.get("Content-Length") or 0)
                total = done + length
                with part.open("ab" if resumed else "wb") as file:
                    while chunk := response.read(_CHUNK):
                        file.write(chunk)
                        done += len(chunk)
                        progress(done, total)
                if length and done < total:
                    raise SourceUnavailable(f"cut short after {done} of {total} bytes; try again")
        except urllib.error.HTTPError as error:
            if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                _, _, size = error.headers.get("Content-Range", "").partition("/")
                if size.isdigit() and int(size) != have:
                    part.unlink()
                    raise SourceUnavailable("the file there has changed; try again") from error
                return  # the part is already whole
            raise SourceUnavailable(f"HTTP {error.code}") from error
        except (
            urllib.error.URLError,
            TimeoutError,
            ConnectionError,
            http.client.HTTPException,
        ) as error:
            raise SourceUnavailable(str(getattr(error, "reason", error))) from error


@dataclass(frozen=True, slots=True)
class WheelMember:
    """One file inside a wheel of the Python package index, read as a zip; nothing is installed."""

    requirement: str
    """Pinned, such as ``mediapipe==0.10.21``."""
    python_version: str
    platform: str
    member: str
    timeout_s: float = 15.0

    def __str__(self) -> str:
        return f"the {self.requirement} wheel ({self.member})"

    def fetch(self, part: Path, progress: Progress) -> None:
        """Download the wheel with pip into a temporary folder and extract the member."""
        if importlib.util.find_spec("pip") is None:
            raise SourceUnavailable("pip is not installed in this environment")
        with tempfile.TemporaryDirectory(dir=part.parent) as folder:
            command = [
                sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
                "--only-binary=:all:", "--disable-pip-version-check", "--retries", "1",
                "--timeout", str(self.timeout_s),
                "--implementation", "cp", "--python-version", self.python_version,
                "--platform", self.platform, "--dest", folder, self.requirement,
            ]  # fmt: skip
            progress(0, 0)
            result = subprocess.run(  # noqa: S603 - a fixed argument list, no shell
                command, capture_output=True, text=True, check=False
            )
            wheels = list(Path(folder).glob("*.whl"))
            if result.returncode != 0 or not wheels:
                lines = result.stderr.strip().splitlines()
                raise SourceUnavailable(lines[-1] if lines else "pip download failed")
            try:
                with (
                    zipfile.ZipFile(wheels[0]) as wheel,
                    wheel.open(self.member) as source,
                    part.open("wb") as file,
                ):
                    shutil.copyfileobj(source, file, _CHUNK)
            except (zipfile.BadZipFile, KeyError) as error:
                raise SourceUnavailable(f"{self.member} is not in the wheel") from error
        progress(part.stat().st_size, part.stat().st_size)


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a Hugging Face repository, through ``huggingface_hub`` (extra ``paper``)."""

    repository: str
    filename: str
    revision: str = "main"

    def __str__(self) -> str:
        return f"Hugging Face {self.repository}:{self.filename}"

    def fetch(self, part: Path, progress: Progress) -> None:
        """Copy the hub's cached (and itself resumable) download into ``part``."""
        if importlib.util.find_spec("huggingface_hub") is None:
            raise SourceUnavailable("needs `pip install 'multithumbs[paper]'`")
        from huggingface_hub import hf_hub_download  # pyright: ignore[reportMissingImports]
        from huggingface_hub.errors import (  # pyright: ignore[reportMissingImports]
            HfHubHTTPError,
            LocalEntryNotFoundError,
        )

        progress(0, 0)
        try:
            cached = hf_hub_download(self.repository, self.filename, revision=self.revision)
        except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
            reason = str(error).strip().splitlines()
            raise SourceUnavailable(reason[0] if reason else "download failed") from error
        shutil.copyfile(cached, part)


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file, streamed."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch_file(
    sources: tuple[Source, ...], destination: Path, sha256: str | None, progress: Progress
) -> str:
    """Bring one file to ``destination`` from the first source that delivers it.

    Args:
        sources: tried in order; an unreachable one is passed over.
        destination: the final path; its folder is made.
        sha256: expected digest, or None to trust the first download (the caller records it).
        progress: called with bytes done and in all.

    Returns:
        The file's sha256.

    Raises:
        CheckpointError: no source delivered a file with the expected digest, or the disk
            refused it.
    """
    failures: list[str] = []
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        for number, source in enumerate(sources):
            # Without a digest, what one source left must not be completed by another.
            mark = str(number) if number and sha256 is None else ""
            part = destination.with_name(f"{destination.name}.part{mark}")
            try:
                source.fetch(part, progress)
            except SourceUnavailable as reason:
                failures.append(f"{source}: {reason}")
                continue
            digest = sha256_of(part)
            if sha256 is not None and digest != sha256:
                part.unlink()
                failures.append(f"{source}: sha256 is {digest[:12]}…, expected {sha256[:12]}…")
                continue
            with part.open("rb") as file:
                os.fsync(file.fileno())
            part.replace(destination)
            for left in destination.parent.glob(f"{destination.name}.part*"):
                left.unlink()
            return digest
    except OSError as error:
        raise CheckpointError(
            f"cannot write {destination}: {error.strerror or error}; "
            "free some space or set MULTITHUMBS_CHECKPOINTS to another folder"
        ) from error
    raise CheckpointError(
        f"no source delivered {destination.name} ({'; '.join(failures) or 'none is known'}); "
        f"check the network, or put the file at {destination} yourself"
    )


def record_path(path: Path) -> Path:
    """Where the verification record of a file lies."""
    return path.with_name(path.name + ".json")


def write_record(path: Path, sha256: str) -> None:
    """Remember that a file with this size and modification time had this digest."""
    stat = path.stat()
    record = {"sha256": sha256, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    temporary = record_path(path).with_name(path.name + ".json.tmp")
    temporary.write_text(json.dumps(record))
    temporary.replace(record_path(path))


def recorded_sha256(path: Path, *, unchanged: bool) -> str | None:
    """The digest remembered for a file, or None where there is no record.

    Args:
        path: the file.
        unchanged: give the digest only if size and modification time are still the recorded
            ones, so that it can stand in for hashing the file again.
    """
    try:
        record = json.loads(record_path(path).read_text())
        stat = path.stat()
        same = (record["size"], record["mtime_ns"]) == (stat.st_size, stat.st_mtime_ns)
        return str(record["sha256"]) if same or not unchanged else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
