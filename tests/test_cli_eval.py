"""`multithumbs eval` on tiny datasets, with results that were written beforehand."""

import json
import shutil
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import joblib
import numpy as np
import pytest
import torch

from multithumbs import pipeline
from multithumbs.body import EMBEDDED_BODY
from multithumbs.body.placement import rest_pelvis
from multithumbs.cli.main import main
from multithumbs.evaluation.datasets.multiview import Schedule
from multithumbs.evaluation.datasets.options import Options
from multithumbs.evaluation.datasets.registry import DATASETS
from multithumbs.evaluation.datasets.sequence import Bodies
from multithumbs.evaluation.readers.motions import motion_of, moved
from multithumbs.evaluation.readers.peers import COMOTION_FOCAL
from multithumbs.evaluation.scene import Scene
from multithumbs.export.result import save_result
from multithumbs.io.artifacts import write_artifact
from multithumbs.io.video import Video
from multithumbs.io.video_index import file_sha256
from multithumbs.io.video_writer import writing_video
from multithumbs.runner import clip_folder
from multithumbs.types import Detections, Keypoints

from .evaluation.datasets import scenes


@pytest.fixture
def root(tmp_path, body):
    """Two 3DPW sequences; a body under SMPL's name."""
    known = scenes.known(genders=("male", "female"))
    everyone = Bodies(neutral=body, male=body, female=body)
    for name in ("downtown_walk_00", "office_call_01"):
        scenes.threedpw(tmp_path / "3dpw", known, everyone, name=name)
    (tmp_path / "weights/smpl").mkdir(parents=True)
    shutil.copyfile(EMBEDDED_BODY, tmp_path / "weights/smpl/smpl.npz")
    return tmp_path


def wham(path, known, body, *, turned=0.0):
    """What WHAM would write if it saw the truth, up to somebody's elbow."""
    content = {}
    for motion in known.motions:
        pose = motion.pose.copy()
        pose[:, 18, 0] += turned
        world = replace(motion, pose=pose)
        cam = moved(world, np.linalg.inv(scenes.moving(known)), body)
        content[motion.person] = {
            "pose": cam.pose.reshape(-1, 72),
            "trans": cam.transl,
            "pose_world": world.pose.reshape(-1, 72),
            "trans_world": scenes.joints(world, body)[:, 1:3].mean(1),
            "betas": world.betas,
            "frame_ids": world.frame,
        }
    path.parent.mkdir(parents=True, exist_ok=True)
    joblib.dump(content, path)


def evaluate(root, *words):
    return main(["eval", *words, "--out", str(root / "out"), f"runtime.checkpoints={root}/weights"])


def table(root, scene="all"):
    rows = json.loads((root / "out/table.json").read_text())
    return {(r["method"], r["metric"]): r for r in rows if r["scene"] == scene}


def test_another_programs_results_are_scored_and_failures_told(root, body, capsys):
    known = scenes.known(genders=("male", "female"))
    wham(root / "theirs/downtown_walk_00/wham_output.pkl", known, body)
    both = [f"--{gender}={EMBEDDED_BODY}" for gender in ("male", "female")]
    theirs = ["--results", str(root / "theirs"), "--program", "wham", *both]
    assert evaluate(root, "3dpw", str(root / "3dpw"), *theirs) == 1
    found = table(root)
    for metric in ("w_mpjpe", "wa_mpjpe", "mpjpe", "mpvpe"):
        assert found["wham", metric]["mean"] == pytest.approx(0, abs=0.05), metric
    assert found["wham", "ate"]["mean"] == pytest.approx(0, abs=1e-4)
    assert found["wham", "ids"]["mean"] == 0 and found["wham", "recall"]["mean"] == 100
    assert found["wham", "mpjpe"]["n"] == 1
    assert "no result of wham for office_call_01" in found["wham", "mpjpe"]["note"]
    printed = capsys.readouterr().out
    assert "The paper has no numbers of 3dpw" in printed
    assert "### 3dpw: all" in printed and "### 3dpw: downtown_walk_00" not in printed
    assert "1 of 2 sequences failed" in printed
    assert set(json.loads((root / "out/table.json").read_text())[0]) >= {
        "suite", "scene", "method", "metric", "unit", "mean", "lo", "hi", "n",
    }  # fmt: skip


def test_without_the_bodies_of_the_truth_mpvpe_is_left_out(root, body, capsys):
    known = scenes.known(genders=("male", "female"))
    wham(root / "theirs/downtown_walk_00.pkl", known, body, turned=0.3)
    theirs = ["--results", str(root / "theirs"), "--program", "wham", "--limit", "1"]
    assert evaluate(root, "3dpw", str(root / "3dpw"), *theirs) == 0
    found = table(root)
    assert found["wham", "mpjpe"]["mean"] > 0.5
    assert ("wham", "mpvpe") not in found
    assert "MPVPE is left out: the truth is of men's and women's" in capsys.readouterr().out


def multi_view(root, body, known):
    scenes.exo_colmap(root / "ego/01_tagging/001_tagging", known, body)
    return ["egohumans", str(root / "ego"), "--shot-frames", "4", "--seed", "1"]


def as_result(two_shots, sequence_scene, body_name):
    """The truth of a multi-shot sequence in the form of our own result."""
    scene = sequence_scene
    shot = scene.shot_of(scene.frame)
    return replace(
        two_shots,
        person=scene.person,
        frame=scene.frame,
        shot=shot,
        island=np.zeros_like(shot),
        global_orient=scene.pose[:, 0],
        body_pose=scene.pose[:, 1:].reshape(-1, 69),
        betas=scene.betas,
        transl=scene.transl,
        joints_world=scene.joints_world,
        observed=np.ones(len(shot), bool),
        confidence=np.ones(len(shot)),
        camera_frame=scene.camera_frame,
        K=scene.K,
        world_from_cam=scene.world_from_cam,
        camera_island=scene.space,
        shot_start=scene.shot_start,
        shot_end=np.append(scene.shot_start[1:], len(scene.camera_frame)),
        body_model=body_name,
        fps=Fraction(20),
    )


@pytest.mark.parametrize("smpl", [True, False])
def test_our_pipeline_on_a_multi_view_recording(root, body, two_shots, monkeypatch, capsys, smpl):
    words = multi_view(root, body, scenes.known())
    options = Options(
        bodies=Bodies(neutral=body), schedule=Schedule(shot_frames=4, frames=150, seed=1)
    )
    dataset = DATASETS["egohumans"]
    [(name, path)] = dataset.find(root / "ego").items()
    truth = dataset.load(name, path, options).truth
    assert truth is not None
    result = as_result(two_shots, truth.scene, body.name)
    swapped = result.person.copy()
    late = result.frame >= 8  # after the last cut the two change names
    swapped[late] = 5 - swapped[late]
    seen = []

    def run_video(video, config, *, out, redo, progress):
        info = Video(video).info
        seen.append((video.name, info.num_frames, info.hw, info.frame_rate))
        save_result(replace(result, person=swapped), out / "run/result.npz")
        return SimpleNamespace(folder=out / "run")

    monkeypatch.setattr(pipeline, "run_video", run_video)
    override = ["body_model=smpl"] if smpl else []
    assert evaluate(root, *words, *override) == 0
    assert seen == [("01_tagging-001_tagging.mp4", 10, scenes.HW, 20)]
    found = table(root)
    assert found["ours", "w_mpjpe"]["mean"] == pytest.approx(0, abs=0.05)
    assert found["ours", "ids"]["mean"] == 2
    assert (("ours", "mpvpe") in found) is smpl
    printed = capsys.readouterr().out
    assert "### Table 1 (people): egohumans" in printed
    assert "### Table 3 (ablations): egohumans" in printed and "### Table 4" not in printed
    row = next(line for line in printed.splitlines() if line.startswith("| ids [count]"))
    assert row.split("|")[-3:] == [" 0.97 ", " 2.00 (n=1) ", ""]
    assert ("MPVPE is left out: the result's body is not SMPL" in printed) is not smpl
    video = root / "out/videos/01_tagging-001_tagging.mp4"
    written = video.stat().st_mtime_ns
    # A second method beside the first; the video is not made again.
    assert evaluate(root, *words, *override, "--method", "w-o-cam") == 0
    assert video.stat().st_mtime_ns == written
    assert {("ours", "ids"), ("w-o-cam", "ids")} <= set(table(root))


def test_clips_without_truth(root, body, two_shots, monkeypatch, capsys):
    """Jitter, FS and PCK* by the detector's keypoints, of a result that a cut does not disturb."""
    (root / "films").mkdir()
    hw, rate = (180, 320), two_shots.fps
    with writing_video(root / "films/friends.mp4", frame_rate=rate, hw=hw) as film:
        for _ in two_shots.camera_frame:
            film.write(np.zeros((*hw, 3), np.uint8))

    scene = Scene.of_result(two_shots)
    tensors = (torch.from_numpy(x).to(body.dtype) for x in (scene.pose, scene.betas, scene.transl))
    points = body.posed(*tensors).keypoints.double().numpy()
    cam = scene.in_camera(points, scene.frame)
    uv = cam @ scene.K[0].T
    uv = uv[..., :2] / uv[..., 2:]

    def keep(folder, start, end, uv):
        """What the stages of one shot leave behind."""
        rows = np.flatnonzero((scene.frame >= start) & (scene.frame < end))
        rows = rows[np.argsort(scene.frame[rows], kind="stable")]
        count = len(rows)
        detections = Detections(
            frame=scene.frame[rows],
            box_xyxy=np.zeros((count, 4)),
            score=np.ones(count),
            roi=np.zeros((count, 4)),
        )
        keypoints = Keypoints(
            uv=uv[rows],
            confidence=np.ones((count, 23)),
            xyz=np.zeros((count, 23, 3)),
            xyz_confidence=np.zeros((count, 23)),
        )
        cost = {"key": "k", "stage_version": 1, "seconds": 0.0, "peak_rss_mb": 0.0}
        name = f"{start:06d}-{end:06d}"
        write_artifact(folder / "stages/detections" / name, detections, **cost)
        write_artifact(folder / "stages/keypoints" / name, keypoints, **cost)

    def run_video(video, config, *, out, redo, progress):
        folder = clip_folder(out, video, file_sha256(video))
        save_result(two_shots, folder / "result.npz")
        for start, end in zip(two_shots.shot_start, two_shots.shot_end, strict=True):
            keep(folder, start, end, uv)
        keep(folder, 0, 24, uv + 30)  # an earlier run's, with other shots
        return SimpleNamespace(folder=folder)

    monkeypatch.setattr(pipeline, "run_video", run_video)
    assert evaluate(root, "clips", str(root / "films")) == 0
    found = table(root)
    assert {metric for _, metric in found} == {"pck_cross", "jitter", "foot_sliding"}
    assert found["ours", "pck_cross"]["mean"] > 90
    assert 0 < found["ours", "jitter"]["mean"] < 100
    assert "### Table 4" in capsys.readouterr().out
    # Another program's result of the same film, which names no cuts, judged by the same keypoints.
    (root / "theirs").mkdir()
    world_from_cam = scene.world_from_cam[scene.camera_of(scene.frame)]
    motion = motion_of(0, scene.frame, scene.pose, scene.betas, scene.transl)
    cam = moved(motion, np.linalg.inv(world_from_cam), body)
    depth = (rest_pelvis(body, cam.betas) + cam.transl)[:, 2]
    focal = COMOTION_FOCAL * 320 / scene.K[0, 0, 0]
    cam.transl[:, 2] += depth * (focal - 1)  # people are as far as CoMotion's lens has them
    parts = {"id": scene.person, "frame_idx": scene.frame, "pose": cam.pose.reshape(-1, 72)}
    parts |= {"betas": cam.betas, "trans": cam.transl}
    tensors = {name: torch.from_numpy(value) for name, value in parts.items()}
    torch.save(tensors, root / "theirs/friends.pt")
    theirs = ["--program", "comotion", "--results", str(root / "theirs")]
    assert evaluate(root, "clips", str(root / "films"), *theirs) == 0
    found = table(root)
    assert found["comotion", "jitter"]["mean"] > found["ours", "jitter"]["mean"]
    assert found["comotion", "pck_cross"]["mean"] > 80


def test_the_videos_alone(root, body, capsys):
    words = multi_view(root, body, scenes.known())
    assert evaluate(root, *words, "--videos-only") == 0
    video = Video(root / "out/videos/01_tagging-001_tagging.mp4")
    levels = [int(video.frame(i).mean()) for i in (0, 4, 9)]
    assert levels[0] != levels[1]  # another view, which the fixture paints in another grey
    assert "videos of 1 of 1 sequences" in capsys.readouterr().out


def test_a_picture_that_cannot_be_read_does_not_stop_the_other_videos(root, capsys):
    (root / "3dpw/imageFiles/downtown_walk_00/image_00003.jpg").write_bytes(b"no picture")
    assert evaluate(root, "3dpw", str(root / "3dpw"), "--videos-only") == 1
    printed = capsys.readouterr()
    assert "videos of 1 of 2 sequences" in printed.out
    assert "downtown_walk_00 failed: cannot read the picture" in printed.err
    assert [path.name for path in (root / "out/videos").glob("*.mp4")] == ["office_call_01.mp4"]


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_a_sequence_of_few_frames_is_scored(root, body, frames):
    known = scenes.known(genders=("male", "female"))
    wham(root / "theirs/downtown_walk_00.pkl", known, body, turned=0.3)
    theirs = ["--results", str(root / "theirs"), "--program", "wham", "--limit", "1"]
    assert evaluate(root, "3dpw", str(root / "3dpw"), *theirs, "--frames", str(frames)) == 0
    found = table(root)
    assert found["wham", "mpjpe"]["mean"] > 0.5 and ("wham", "abs_pve") not in found
    assert found["wham", "mrpe"]["mean"] == pytest.approx(0, abs=0.05)
    assert (("wham", "accel") in found) is (frames == 3)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["h36m", "{root}"], 2, "unknown dataset 'h36m'; expected one of egohumans"),
        (["3dpw", "{root}/nowhere"], 6, "no folder"),
        (["3dpw", "{root}/3dpw", "--sequences", "x*"], 2, "no sequence is called 'x*'; there are"),
        (
            ["3dpw", "{root}/3dpw", "--program", "wham"],
            2,
            "--results DIR and --program NAME belong",
        ),
        (
            ["3dpw", "{root}/3dpw", "--program", "vibe", "--results", "{root}"],
            2,
            "unknown program 'vibe'",
        ),
        (
            ["3dpw", "{root}/3dpw", "--program", "wham", "--results", "{root}/nowhere"],
            2,
            "nowhere: expected wham's results, one per sequence",
        ),
        (["3dpw", "{root}/3dpw", "--fps", "0"], 2, "expected frames per second, got '0'"),
        (["3dpw", "{root}/3dpw", "--limit", "0"], 2, "expected a number from 1 on"),
        (["3dpw", "{root}/3dpw", "--method", "../x"], 2, "expected letters"),
        (
            ["3dpw", "{root}/3dpw", "runtime.checkpoints={root}/none"],
            5,
            "datasets are scored with the SMPL body",
        ),
    ],
)
def test_misuse_is_one_line(root, capsys, words, code, message):
    words = [word.format(root=root) for word in words]
    if "runtime" in words[-1]:
        assert main(["eval", *words, "--out", str(root / "out")]) == code
    else:
        assert evaluate(root, *words) == code
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.parametrize("words", [["--videos-only"], []])
def test_a_place_that_cannot_be_written_is_told_before_anything_runs(root, capsys, words):
    (root / "out").write_text("a file")
    assert evaluate(root, "3dpw", str(root / "3dpw"), *words) == 6
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and f"cannot write {root}/out" in error
