"""One file out of a published archive: downloaded whole, resumable, then streamed out."""

import shutil
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from multithumbs.io.download import Progress, Source, SourceUnavailable

_CHUNK: Final = 1 << 20
_MAX_MEMBER: Final = 32 << 30
"""Bytes; more than any network, so that an archive cannot fill the disk."""


@dataclass(frozen=True, slots=True)
class ArchiveMember:
    """One regular file inside a tar (however compressed) or zip file.

    The member is found by its name and written to the destination that the caller gives;
    no path inside the archive is ever followed, and nothing else of it is unpacked.
    """

    archive: Source
    member: str
    """Path inside the archive, without a leading ``./``; folders before it may differ."""

    def __str__(self) -> str:
        return f"{self.archive} ({self.member})"

    def fetch(self, part: Path, progress: Progress) -> None:
        """Download the archive beside ``part``, stream the member out, remove the archive."""
        archive = part.with_name(part.name + ".archive")
        self.archive.fetch(archive, progress)
        part.unlink(missing_ok=True)
        try:
            if zipfile.is_zipfile(archive):
                self._from_zip(archive, part)
            else:
                self._from_tar(archive, part)
        except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk's fault: keep the archive, a later try goes on
            archive.unlink()
            raise SourceUnavailable(f"the archive is damaged ({error})") from error
        except SourceUnavailable:
            archive.unlink()
            raise
        archive.unlink()

    def _from_tar(self, archive: Path, part: Path) -> None:
        with tarfile.open(archive, "r|*") as tar:
            for info in tar:
                if info.isfile() and _same(info.name, self.member):
                    _copy(lambda info=info: tar.extractfile(info), info.size, part)
                    return
        raise SourceUnavailable(f"{self.member} is not in the archive")

    def _from_zip(self, archive: Path, part: Path) -> None:
        with zipfile.ZipFile(archive) as content:
            for info in content.infolist():
                if not info.is_dir() and _same(info.filename, self.member):
                    _copy(lambda info=info: content.open(info), info.file_size, part)
                    return
        raise SourceUnavailable(f"{self.member} is not in the archive")


def _same(name: str, member: str) -> bool:
    return name.removeprefix("./") == member or name.endswith(f"/{member}")


def _copy(read: Callable[[], IO[bytes] | None], size: int, part: Path) -> None:
    if size > _MAX_MEMBER:
        raise SourceUnavailable(f"the archive claims a file of {size} bytes")
    source = read()
    if source is None:
        raise SourceUnavailable("the archive holds no such regular file")
    with closing(source), part.open("wb") as file:
        shutil.copyfileobj(source, file, _CHUNK)
    if part.stat().st_size != size:
        part.unlink()
        raise EOFError("cut short")
