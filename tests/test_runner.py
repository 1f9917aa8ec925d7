"""The runner, with fake stages: what reruns, what is kept, and what damage and death cannot do."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float64
from pydantic import BaseModel

from multithumbs.errors import ArtifactError, ConfigError, VideoError
from multithumbs.io.artifacts import DATA, MANIFEST
from multithumbs.io.atomic import TEMPORARY
from multithumbs.runner import Job, Outcome, Over, Silent, Stage, check_table, locked, run_stages
from multithumbs.types import Frame, Shots, VideoInfo
from multithumbs.types.work import Runtime, Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    values: Float64[np.ndarray, " N"]
    note: str


class FakeConfig(BaseModel):
    factor: float = 1.0
    mode: str = "on"
    checkpoints: tuple[str, ...] = ()


class Root(BaseModel):
    shots: FakeConfig = FakeConfig()
    signal: FakeConfig = FakeConfig()
    sign: FakeConfig = FakeConfig()
    joint: FakeConfig = FakeConfig()
    total: FakeConfig = FakeConfig()


class Film:
    """Frame i is a grey level i."""

    info = VideoInfo(
        sha256="f" * 64, hw=(2, 2), frame_rate=Fraction(25), timestamps_s=np.arange(12) / 25
    )

    def frames(self, start: int, end: int, step: int = 1) -> Iterator[Frame]:
        for index in range(start, end, step):
            yield Frame(index, self.frame(index))

    def frame(self, index: int) -> np.ndarray:
        return np.full((2, 2, 3), index, np.uint8)


CALLS: list[str] = []


def shots(work: Work[FakeConfig]) -> Shots:
    CALLS.append("shots")
    start, end = work.span or (0, 0)
    cuts = [c for c in ([4, 8] if work.config.factor == 1 else [6, 8]) if start < c < end]
    starts, ends = np.array([start, *cuts]), np.array([*cuts, end])
    clean = {"clean_start": starts, "clean_end": ends}
    return Shots(start=starts, end=ends, **clean, transition=np.ones(len(starts), np.int64))


def signal_of(work: Work[FakeConfig]) -> Numbers:
    shot = work.shot
    assert shot is not None
    CALLS.append(f"signal {shot.start}-{shot.end}")
    if work.config.mode == "refuse" and shot.start:
        raise VideoError("too dark")
    values = [f.rgb.mean() * work.config.factor for f in work.video.frames(shot.start, shot.end)]
    work.progress(len(values), len(values))
    return Numbers(values=np.array(values), note=work.config.mode)


def sign(work: Work[FakeConfig], *, signal: Numbers) -> Numbers:
    CALLS.append("sign")
    return Numbers(values=np.sign(signal.values), note="")


def joint(work: Work[FakeConfig], *, signal: tuple[Numbers, Numbers]) -> Numbers:
    assert work.cut is not None
    CALLS.append(f"joint {work.cut.before}|{work.cut.after}")
    before, after = signal
    return Numbers(values=np.array([before.values[-1], after.values[0]]), note="")


def total(
    work: Work[FakeConfig],
    *,
    shots: Shots,
    sign: tuple[Numbers, ...],
    joint: tuple[Numbers, ...],
) -> Numbers:
    CALLS.append("total")
    parts = [*(s.values for s in sign), *(j.values for j in joint)]
    return Numbers(values=np.concatenate(parts), note=f"{len(shots)} shots")


TABLE = (
    Stage(name="shots", run=shots, artifact=Shots),
    Stage(name="signal", run=signal_of, artifact=Numbers, over=Over.SHOT),
    Stage(name="sign", run=sign, artifact=Numbers, over=Over.SHOT, reads=("signal",)),
    Stage(name="joint", run=joint, artifact=Numbers, over=Over.CUT, reads=("signal",)),
    Stage(name="total", run=total, artifact=Numbers, reads=("shots", "sign", "joint")),
)


class Listener(Silent):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, line: str) -> None:
        self.warnings.append(line)


@pytest.fixture(autouse=True)
def no_calls() -> None:
    CALLS.clear()


def job(root: Path, **changes: Any) -> Job:
    plain = Job(
        video=Film(),
        span=(0, 12),
        config=Root(),
        runtime=Runtime(),
        body_npz=Path("body.npz"),
        body_sha256="b",
        checkpoints={"weights": (Path("w"), "1")},
        root=root,
    )
    return dataclasses.replace(plain, **changes)


def run(root: Path, stages: tuple[Stage, ...] = TABLE, **changes: Any) -> tuple[Outcome, list[str]]:
    """The outcome and the calls that it took."""
    CALLS.clear()
    outcome = run_stages(stages, job(root, **changes), Silent())
    return outcome, list(CALLS)


def configured(**stages: FakeConfig) -> Root:
    return Root(**stages)


ALL = [
    "shots",
    *("signal 0-4", "signal 4-8", "signal 8-12"),
    *("sign", "sign", "sign"),
    *("joint 3|4", "joint 7|8"),
    "total",
]


def test_each_stage_gets_its_own_parts(tmp_path: Path) -> None:
    outcome, calls = run(tmp_path)
    assert calls == ALL
    total = outcome.finished["total"][0].load()
    assert total.note == "3 shots"
    assert total.values.tolist() == [0] + [1] * 11 + [3, 4, 7, 8]
    names = sorted(p.parent.relative_to(tmp_path).as_posix() for p in tmp_path.rglob(MANIFEST))
    intervals = ["000000-000004", "000004-000008", "000008-000012"]
    assert names == [
        *("joint/000004", "joint/000008", "shots/000000-000012"),
        *(f"sign/{interval}" for interval in intervals),
        *(f"signal/{interval}" for interval in intervals),
        "total/000000-000012",
    ]


def test_a_second_run_computes_nothing(tmp_path: Path) -> None:
    first, _ = run(tmp_path)
    again, calls = run(tmp_path)
    assert calls == []
    assert again.digests() == first.digests()
    assert all(stage.cached for stage in again.stages.values())
    assert not any(stage.cached for stage in first.stages.values())


def test_a_changed_configuration_reruns_its_stage_and_what_depends_on_it(tmp_path: Path) -> None:
    run(tmp_path)
    _, calls = run(tmp_path, config=configured(joint=FakeConfig(mode="other")))
    assert calls == ["joint 3|4", "joint 7|8"]  # its output is the same: `total` stays
    _, calls = run(tmp_path, config=configured(signal=FakeConfig(factor=2.0)))
    assert calls == [c for c in ALL if c != "shots"]


def test_an_identical_output_lets_later_stages_skip(tmp_path: Path) -> None:
    run(tmp_path)
    _, calls = run(tmp_path, config=configured(sign=FakeConfig(factor=9.0)))
    assert calls == ["sign"] * 3


def test_a_moved_cut_reruns_only_the_shots_it_touches(tmp_path: Path) -> None:
    run(tmp_path)
    _, calls = run(tmp_path, config=configured(shots=FakeConfig(factor=2.0)))
    assert calls == [
        *("shots", "signal 0-6", "signal 6-8", "sign", "sign"),
        *("joint 5|6", "joint 7|8", "total"),
    ]
    _, calls = run(tmp_path)  # and going back finds the artifacts of the old cuts
    assert "signal 0-4" not in calls


def test_a_span_keeps_what_other_spans_share(tmp_path: Path) -> None:
    run(tmp_path)
    _, calls = run(tmp_path, span=(0, 8))
    assert calls == ["shots", "total"]


@pytest.mark.parametrize(
    ("change", "reruns"),
    [
        ({"runtime": Runtime(device="cpu", threads=9)}, False),
        ({"body_npz": Path("elsewhere.npz")}, False),
        ({"body_sha256": "c"}, True),
        ({"checkpoints": {"weights": (Path("elsewhere"), "1")}}, False),
        ({"checkpoints": {"weights": (Path("w"), "2")}}, True),
    ],
)
def test_keys_hold_content_and_no_places(
    tmp_path: Path, change: dict[str, Any], reruns: bool
) -> None:
    stages = (*TABLE[:4], dataclasses.replace(TABLE[4], uses_body=True))
    config = configured(total=FakeConfig(checkpoints=("weights",)))
    run(tmp_path, stages, config=config)
    _, calls = run(tmp_path, stages, config=config, **change)
    assert calls == (["total"] if reruns else [])


def test_a_new_version_reruns(tmp_path: Path) -> None:
    run(tmp_path)
    stages = (*TABLE[:4], dataclasses.replace(TABLE[4], version=2))
    assert run(tmp_path, stages)[1] == ["total"]


def test_another_video_reruns(tmp_path: Path) -> None:
    run(tmp_path)
    other = Film()
    other.info = dataclasses.replace(Film.info, sha256="e" * 64)
    assert run(tmp_path, video=other)[1] == ALL


def test_until_stops_and_redo_repeats(tmp_path: Path) -> None:
    outcome, calls = run(tmp_path, until="signal")
    assert calls == ALL[:4]
    assert list(outcome.finished) == ["shots", "signal"]
    run(tmp_path)
    assert run(tmp_path, redo=("sign",))[1] == ["sign"] * 3
    assert run(tmp_path, redo=("total",))[1] == ["total"]
    assert run(tmp_path, redo=("all",))[1] == ALL


def test_unknown_stages_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no stage 'sgnal': did you mean 'signal'"):
        run(tmp_path, until="sgnal")
    with pytest.raises(ConfigError, match="no stage 'total'"):
        run(tmp_path, until="sign", redo=("total",))
    assert not list(tmp_path.iterdir())


def test_a_failing_shot_keeps_the_others(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"^signal 000004-000008: too dark$"):
        run(tmp_path, config=configured(signal=FakeConfig(mode="refuse")))
    assert (
        run(tmp_path, config=configured(signal=FakeConfig(mode="refuse")), until="shots")[1] == []
    )
    manifests = sorted(p.parent.name for p in (tmp_path / "signal").rglob(MANIFEST))
    assert manifests == ["000000-000004"]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0xFF
    path.write_bytes(bytes(content))


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40])


@pytest.mark.parametrize("name", [DATA, MANIFEST])
@pytest.mark.parametrize("harm", [flip, cut_short, Path.unlink])
def test_damage_is_told_and_mended(tmp_path: Path, name: str, harm: Any) -> None:
    before, _ = run(tmp_path)
    harm(tmp_path / "signal" / "000004-000008" / name)
    listener = Listener()
    CALLS.clear()
    after = run_stages(TABLE, job(tmp_path), listener)
    assert CALLS == ["signal 4-8"]
    assert after.digests() == before.digests()
    silent = name == MANIFEST and harm is Path.unlink  # not done is no damage
    assert len(listener.warnings) == (0 if silent else 1)
    assert all("\n" not in w and "computing it again" in w for w in listener.warnings)


def test_leftovers_of_a_killed_run_are_swept(tmp_path: Path) -> None:
    leftover = tmp_path / "sign" / f".000000-000004{TEMPORARY}abc"
    leftover.mkdir(parents=True)
    (leftover / DATA).write_bytes(b"half")
    run(tmp_path)
    assert not leftover.exists()


def test_a_stage_of_the_wrong_type_is_our_bug(tmp_path: Path) -> None:
    stages = (dataclasses.replace(TABLE[0], artifact=Numbers),)
    with pytest.raises(TypeError, match="shots gave Shots, not Numbers"):
        run(tmp_path, stages)


@pytest.mark.parametrize(
    "stages",
    [
        (TABLE[0], TABLE[2]),
        (TABLE[1], TABLE[0]),
        (TABLE[0], TABLE[0]),
        (*TABLE[:4], dataclasses.replace(TABLE[2], name="late", reads=("joint",))),
    ],
)
def test_a_wrong_table_is_refused(stages: tuple[Stage, ...]) -> None:
    check_table(TABLE)
    with pytest.raises(ValueError, match="stage"):
        check_table(stages)


def test_two_runs_never_share_a_folder(tmp_path: Path) -> None:
    holder = (
        "import sys, time; from pathlib import Path; from multithumbs.runner import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", holder, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(ArtifactError, match=f"process {process.pid}"), locked(tmp_path):
            pass
    finally:
        process.kill()
        process.communicate()
    with locked(tmp_path):  # the holder was killed: nothing is stale
        pass


SLOW_RUN = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_runner as t
from multithumbs.io import artifacts, atomic
honest = artifacts.np.savez
def slowly(path, **arrays):
    path.write_bytes(b"half"); time.sleep(0.02); honest(path, **arrays); time.sleep(0.02)
artifacts.np.savez = slowly
print("ready", flush=True)
t.run_stages(t.TABLE, t.job(Path(sys.argv[2])), t.Silent())
"""


def test_kill_at_any_moment_then_the_same_command(tmp_path: Path) -> None:
    expected = run(tmp_path / "undisturbed")[0].digests()
    root = tmp_path / "disturbed"
    command = [sys.executable, "-c", SLOW_RUN, str(Path(__file__).parent), str(root)]
    survivors = []
    for delay in (0.01, 0.05, 0.11, 0.17):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(delay)
            os.kill(process.pid, signal.SIGKILL)
        survivors.append(len(list(root.rglob(MANIFEST))))
    assert survivors == sorted(survivors)  # nothing that was done is lost
    assert survivors[-1] > 0
    outcome, calls = run(root)
    assert outcome.digests() == expected
    assert len(calls) < len(ALL)
    assert not [p for p in root.rglob("*") if TEMPORARY in p.name]


def test_manifests_say_what_it_took(tmp_path: Path) -> None:
    outcome, _ = run(tmp_path)
    manifest = json.loads((tmp_path / "total" / "000000-000012" / MANIFEST).read_text())
    assert manifest["type"] == "Numbers"
    assert manifest["seconds"] >= 0
    assert manifest["peak_rss_mb"] > 10
    assert outcome.stages["total"].peak_rss_mb == manifest["peak_rss_mb"]
