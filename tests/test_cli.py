"""The command line as a user calls it: answers, exit codes, one line per mistake."""

import importlib.util
import json
import os
import subprocess
import sys
import typing
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import multithumbs
from multithumbs.batch import REPORT, clips_of
from multithumbs.body import EMBEDDED_BODY
from multithumbs.body.storage import read_body_file, write_body_file
from multithumbs.cli import main
from multithumbs.config.root import Config
from multithumbs.errors import ConfigError
from multithumbs.io.artifacts import MANIFEST
from multithumbs.io.download import SourceUnavailable, UrlSource
from multithumbs.pipeline import STAGES


def make_clip(path: Path, count: int = 30, *, cut: int | None = None, seed: int = 0) -> Path:
    """Noise blobs without people; another picture from frame ``cut`` on."""
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 255, (2, 6, 8, 3), dtype=np.uint8).repeat(16, 1).repeat(16, 2)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 96, 128, "yuv420p"
        for index in range(count):
            picture = pictures[int(cut is not None and index >= cut)]
            frame = av.VideoFrame.from_ndarray(np.roll(picture, index, axis=1), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "two shots.mp4", cut=15)


def complaint(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str]:
    """Exit code and the one line on stderr."""
    code = main([str(word) for word in words])
    lines = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert len(lines) == 1
    return code, lines[0]


def shell(*words: str | Path, **kwargs: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "multithumbs.cli", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **kwargs)


def test_the_installed_command_answers() -> None:
    command = Path(sys.executable).with_name("multithumbs")
    done = subprocess.run([command, "--help"], capture_output=True, text=True, check=True)
    for name in ("run", "batch", "demo", "checkpoints", "doctor"):
        assert name in done.stdout
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("multithumbs 0.")


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2
    assert "usage: multithumbs" in capsys.readouterr().out


def test_a_user_without_a_terminal(clip: Path, tmp_path: Path) -> None:
    done = shell("run", clip, "--until", "shots", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.split(": up to shots")[0])
    assert folder.parent == tmp_path / "out"
    assert folder.name.startswith("two shots-")
    assert len(folder.name) == len("two shots-") + 8
    assert [line.split()[0] for line in done.stderr.splitlines()] == ["index", "shots"]
    again = shell("run", clip, "--until", "shots", "--out", tmp_path / "out")
    assert "(unchanged)" in again.stdout


def test_the_shots_of_a_span(clip: Path, tmp_path: Path) -> None:
    options = ["--until", "shots", "--out", str(tmp_path), "--start", "0.2", "--end", "0:00.8"]
    assert main(["run", str(clip), *options]) == 0
    items = [path.parent.name for path in tmp_path.rglob(f"shots/*/{MANIFEST}")]
    assert items == ["000005-000020"]


def test_json_log_is_json(clip: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(clip), "--json-log", "--until", "shots", "--out", str(tmp_path)]) == 0
    events = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [e["stage"] for e in events if e["event"] == "stage_ends"] == ["index", "shots"]
    assert main(["run", "nothing.mp4", "--json-log", "--out", str(tmp_path)]) == 3
    (event,) = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert event["event"] == "error"
    assert event["exit_code"] == 3


def test_overrides_may_follow_options(clip: Path, tmp_path: Path) -> None:
    words = ["run", clip, "shots.width_px=64", "--out", tmp_path, "people=lm", "--until", "shots"]
    assert main([str(word) for word in [*words, "runtime.threads=1"]]) == 0


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["run"], 2, "required: VIDEO"),
        (["fly"], 2, "invalid choice: 'fly'"),
        (["run", "{clip}", "--fast"], 2, "unknown argument '--fast'"),
        (["run", "{clip}", "--out", "o", "loose"], 2, "unknown argument 'loose'"),
        (["doctor", "x=1"], 2, "unknown key 'x'"),
        (["checkpoints", "list", "x=1"], 2, "unknown argument 'x=1'"),
        (["run", "{clip}", "bodies=hrm2"], 2, "there is no bodies=hrm2; did you mean 'hmr2'?"),
        (["run", "{clip}", "bodys=fit"], 2, "did you mean 'bodies'"),
        (["run", "{clip}", "runtime.threads=-1"], 2, "greater than or equal to 0"),
        (["run", "{clip}", "runtime.device=cuda:99"], 4, "no CUDA device"),
        (
            ["run", "{clip}", "profile=paper", "runtime.checkpoints=/nowhere"],
            5,
            "smpl/smpl.npz: register at",
        ),
        (
            ["run", "{clip}", "detections=yolo", "detections.weights=/nowhere/y.pt"],
            4 if importlib.util.find_spec("ultralytics") is None else 5,
            "detections=yolo needs the file /nowhere/y.pt: set detections.weights=FILE.pt",
        ),
        (
            ["run", "{clip}", "profile=paper", "keypoints.boxes=meshes", "bodies=fit"],
            2,
            "keypoints=vitpose needs bodies first, bodies=fit needs keypoints first",
        ),
        (["run", "{clip}", "body_model=smpl", "body_model.path=/no.npz"], 5, "import SMPL_NEUTRAL"),
        (["run", "{clip}", "runtime.checkpoints=/nowhere"], 5, "multithumbs checkpoints fetch"),
        (["run", "{clip}", "--until", "boddies"], 2, "did you mean 'bodies'"),
        (["run", "{clip}", "--until", "shots", "--redo", "people"], 2, "no stage 'people'"),
        (["run", "{clip}", "--start", "99"], 2, "the last frame is shown at 1.160 s"),
        (["run", "{clip}", "--start", "1", "--end", "0.5"], 2, "must lie after video.start=1"),
        (["run", "{clip}", "--start", "soon"], 2, "video.start=soon"),
        (["run", "no.mp4"], 3, "no such file"),
        (["run", "."], 3, "`multithumbs batch` takes folders"),
        (["run", "{text}"], 3, "is not a video"),
        (["run", "{clip}", "--out", "{text}"], 6, "cannot write"),
        (["run", "{clip}", "--out", "/proc/x"], 6, "choose another --out"),
        (["batch", "nowhere"], 2, "neither a folder nor a text file"),
        (["batch", "{empty}"], 2, "names no video"),
        (["checkpoints", "fetch", "blase"], 5, "unknown checkpoint 'blase'"),
        (["checkpoints", "import", "{text}"], 5, "text.txt"),
    ],
)
def test_mistakes_are_one_line(
    words: list[str],
    code: int,
    message: str,
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    text, empty = tmp_path / "text.txt", tmp_path / "empty"
    text.write_text("# nothing but a remark\n")
    empty.mkdir()
    filled = [word.format(clip=clip, text=text, empty=empty) for word in words]
    assert complaint(capsys, *filled)[0] == code
    main(filled)
    assert message in capsys.readouterr().err


def test_a_missing_checkpoint_stops_before_any_work(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    complaint(capsys, "run", clip, "--out", out, f"runtime.checkpoints={tmp_path}")
    assert not out.exists()
    assert main(["run", str(clip), "--out", str(out), "--until", "shots"]) == 0


def test_ctrl_c_is_one_line(clip: Path, tmp_path: Path) -> None:
    code = (
        "import sys, multithumbs.pipeline as p\n"
        "def interrupted(*a, **k): raise KeyboardInterrupt\n"
        "p.run_stages = interrupted\n"
        "from multithumbs.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "run", str(clip), "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert done.stderr.splitlines()[-1].startswith(
        "multithumbs: interrupted; finished parts are kept"
    )
    assert "Traceback" not in done.stderr


def test_batch_goes_on_skips_and_reports(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "clips", tmp_path / "clips" / "out"
    (folder / "deep").mkdir(parents=True)
    make_clip(folder / "a.mp4", seed=1)
    (folder / "b.mp4").write_text("no video")
    make_clip(folder / "deep" / "c.MKV", seed=2)
    (folder / "notes.txt").write_text("no clip")
    words = ["batch", str(folder), "--until", "shots", "--out", str(out)]
    assert main(words) == 1
    table = capsys.readouterr().out
    assert "1 of 3 failed" in table
    clips = json.loads((out / REPORT).read_text())["clips"]
    assert [Path(c["path"]).name for c in clips] == ["a.mp4", "b.mp4", "c.MKV"]
    assert [c["status"] for c in clips] == ["done", "failed", "done"]
    assert [bool(c["out"]) for c in clips] == [True, False, True]
    assert "is not a video" in clips[1]["error"]
    assert all(c["seconds"] >= 0 for c in clips)
    (folder / "b.mp4").unlink()
    assert main(words) == 0
    clips = json.loads((out / REPORT).read_text())["clips"]
    assert [c["status"] for c in clips] == ["unchanged", "unchanged"]


def test_batch_lists(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("# remark\nx.mp4\n\n  sub/y.bin \n/z.mp4\nx.mp4\n")
    clips = clips_of(tmp_path / "list.txt", tmp_path / "out")
    assert clips == (tmp_path / "x.mp4", tmp_path / "sub/y.bin", Path("/z.mp4"))
    with pytest.raises(ConfigError, match="names no video"):
        clips_of(tmp_path, tmp_path / "out")


def test_batch_never_takes_its_own_videos(tmp_path: Path) -> None:
    for name in ("a.mp4", "out/a-1234/overlay.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert clips_of(tmp_path, tmp_path / "out") == (tmp_path / "a.mp4",)


def test_doctor_and_checkpoints_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "--out", str(tmp_path / "not" / "yet")])
    assert "python" in capsys.readouterr().out
    assert main(["checkpoints", "list", "--root", str(tmp_path)]) == 0
    listed = capsys.readouterr().out
    assert "blazepose-detector" in listed
    assert "missing" in listed
    assert main(["checkpoints", "verify", "--root", str(tmp_path)]) == 1


def configurations(stage: str) -> list[Any]:
    """Every back-end's configuration of a stage, with its defaults where it has them."""
    members = typing.get_args(Config.model_fields[stage].annotation) or [
        Config.model_fields[stage].annotation
    ]
    return [member.model_construct() for member in members]


def test_the_table_and_the_stages_agree() -> None:
    import inspect

    for stage in STAGES:
        keywords = {
            p.name: p.default is inspect.Parameter.empty
            for p in inspect.signature(stage.run).parameters.values()
            if p.kind is inspect.Parameter.KEYWORD_ONLY
        }
        required = {name for name, needed in keywords.items() if needed}
        assert set(stage.reads) <= set(keywords), stage.name
        for config in configurations(stage.name):
            reads = getattr(config, "reads", stage.reads)
            assert required <= set(reads) <= set(keywords), (stage.name, config)


def test_whoever_reads_the_body_declares_it() -> None:
    package = Path(multithumbs.__file__).parent
    for stage in STAGES:
        files = [package / "stages" / f"{stage.name}.py"]
        files += (package / "backends" / stage.name).glob("*.py")
        if any("body_npz" in file.read_text() for file in files):
            declared = any(hasattr(type(c), "uses_body") for c in configurations(stage.name))
            assert stage.uses_body or declared, stage.name


def test_no_result_depends_on_the_index_of_its_item() -> None:
    package = Path(multithumbs.__file__).parent
    for folder in ("stages", "backends"):
        for file in (package / folder).rglob("*.py"):
            assert "shot.index" not in file.read_text(), file
            assert "cut.index" not in file.read_text(), file


def test_two_runs_at_once_are_refused(clip: Path, tmp_path: Path) -> None:
    from multithumbs.io.video_index import file_sha256
    from multithumbs.runner import clip_folder, locked

    with locked(clip_folder(tmp_path, clip, file_sha256(clip))):
        done = shell("run", clip, "--until", "shots", "--out", tmp_path)
    assert done.returncode == 6
    assert f"process {os.getpid()}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bodys_map_is_imported_into_the_body(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the doctor says that it is missing."""
    tables, _ = read_body_file(EMBEDDED_BODY)
    bare = {"uv": np.zeros((0, 2)), "face_uv_index": np.zeros((0, 3), np.int64)}
    map_file, words = tmp_path / "smpl_uv.obj", ["--root", str(tmp_path)]
    points = [f"vt {u} {1 - v}" for u, v in tables.uv]
    corners = zip(tables.faces + 1, tables.face_uv_index + 1, strict=True)
    faces = ["f " + " ".join(f"{a}/{b}" for a, b in zip(*c, strict=True)) for c in corners]
    map_file.write_text("\n".join([*points, *faces]))
    code, line = complaint(capsys, "checkpoints", "import", map_file, *words)
    assert code == 5
    assert "import SMPL_NEUTRAL.pkl first" in line

    (tmp_path / "smpl").mkdir()
    write_body_file(tmp_path / "smpl" / "smpl.npz", replace(tables, **bare))
    wanted = ["body_model=smpl", f"runtime.checkpoints={tmp_path}"]
    main(["doctor", *wanted])
    assert "checkpoints import smpl_uv.obj" in capsys.readouterr().out
    assert main(["checkpoints", "import", str(map_file), *words]) == 0
    np.testing.assert_allclose(read_body_file(tmp_path / "smpl" / "smpl.npz")[0].uv, tables.uv)
    capsys.readouterr()
    main(["doctor", *wanted])
    assert "smpl_uv.obj" not in capsys.readouterr().out


def test_fetch_shows_licences_first_and_lists_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said_before: list[str] = []

    def cut_off(self: UrlSource, part: Path, progress: object) -> None:
        said_before.append(capsys.readouterr().err)
        raise SourceUnavailable("the cable is cut")

    monkeypatch.setattr(UrlSource, "fetch", cut_off)
    words = ["checkpoints", "fetch", "droid", "hmr2", "vposer", "--root", str(tmp_path)]
    assert main(words) == 5
    assert "licence: BSD-3-Clause" in said_before[0]
    assert "licence: Max Planck, non-commercial" in said_before[0]
    *lines, last = capsys.readouterr().err.splitlines()
    assert sum("by hand: " in line for line in lines) == 3
    assert any(str(tmp_path / "droid" / "droid.pth") in line for line in lines)
    assert any("smpl-x.is.tue.mpg.de" in line for line in lines)
    assert "3 of 3 checkpoints are missing: droid, hmr2, vposer" in last
