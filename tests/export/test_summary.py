"""`summary.json`."""

import json

import numpy as np
import pytest

from multithumbs.errors import ArtifactError
from multithumbs.export.summary import build_summary, collect_warnings, load_summary, save_summary
from multithumbs.types import Alignment, Cameras, CutStatus, Odometry
from multithumbs.types.outputs import StageSummary


def alignment(status=CutStatus.ALIGNED, reason=""):
    num = 4
    return Alignment(
        status=status,
        reason=reason,
        frame=np.array([11, 12]),
        K=np.repeat(np.eye(3)[None], 2, 0),
        scene_from_cam=np.repeat(np.eye(4)[None], 2, 0),
        side=np.array([0, 0, 1, 1]),
        row=np.array([0, 1, 0, 1]),
        global_orient=np.zeros((num, 3)),
        transl=np.zeros((num, 3)),
        joints_scene=np.zeros((num, 24, 3)),
        residual_px=np.array([3.0, 100.0, 4.0, 100.0]),
        pair=np.array([[0, 2]]),
        loss=1.0,
    )


def odometry(warning=""):
    return Odometry(
        frame=np.arange(12),
        shot_from_cam=np.repeat(np.eye(4)[None], 12, 0),
        motion="static",
        tracked=np.ones(12, bool),
        zoom=np.ones(12),
        warning=warning,
    )


def cameras(result, scale_source):
    return Cameras(
        frame=result.camera_frame,
        shot=result.camera_frame // 12,
        island=result.camera_island,
        K=result.K,
        world_from_cam=result.world_from_cam,
        tracked=np.ones(len(result.camera_frame), bool),
        metres_per_unit=np.ones(2),
        scale_source=scale_source,
        island_of_shot=np.zeros(2, np.int64),
        cut_residual_m=np.zeros(1),
        cut_scale=np.ones(1),
    )


def _summary(result, part, warnings=()):
    return build_summary(
        result=result,
        alignments=[part],
        stages={"shots": StageSummary(seconds=1.5, peak_rss_mb=300.0, cached=False)},
        seconds_total=2.5,
        peak_rss_mb=310.0,
        warnings=warnings,
    )


def test_counts_and_cuts(two_shots, tmp_path):
    summary = _summary(two_shots, alignment(), ["careful"])
    assert (summary.num_frames, summary.num_shots) == (24, 2)
    assert (summary.num_people, summary.num_islands) == (2, 1)
    (cut,) = summary.cuts
    assert (cut.frame, cut.status, cut.matched) == (12, CutStatus.ALIGNED, 1)
    assert cut.residual_px == pytest.approx(np.sqrt((9 + 16) / 2))
    save_summary(summary, tmp_path / "summary.json")
    assert load_summary(tmp_path / "summary.json") == summary


def test_json_has_the_documented_keys(two_shots, tmp_path):
    save_summary(_summary(two_shots, alignment()), tmp_path / "summary.json")
    document = json.loads((tmp_path / "summary.json").read_text())
    assert set(document) == {
        "num_frames", "num_shots", "num_people", "num_islands", "cuts", "stages",
        "seconds_total", "peak_rss_mb", "warnings",
    }  # fmt: skip
    assert set(document["cuts"][0]) == {"frame", "status", "reason", "matched", "residual_px"}
    assert document["stages"]["shots"] == {"seconds": 1.5, "peak_rss_mb": 300.0, "cached": False}


def test_a_failed_cut_has_a_reason_and_no_number(two_islands):
    summary = _summary(two_islands, alignment(CutStatus.FAILED, "nobody in common"))
    (cut,) = summary.cuts
    assert cut.status == CutStatus.FAILED
    assert cut.residual_px is None
    assert cut.matched == 0
    assert cut.reason == "nobody in common"
    assert summary.num_islands == 2


def test_warnings_name_the_shot(two_islands):
    lines = collect_warnings(
        result=two_islands,
        alignments=[alignment(CutStatus.FAILED, "nobody in common")],
        odometry=[odometry(), odometry("lost tracking")],
        cameras=cameras(two_islands, ("assumed", "none")),
    )
    text = "\n".join(lines)
    assert "cut at frame 12" in text
    assert "nobody in common" in text
    assert "shot 1: lost tracking" in text
    assert "shot 0: the scale" in text
    assert "nobody was found" not in text


def test_a_shot_without_people_is_named(nobody):
    lines = collect_warnings(
        result=nobody,
        alignments=[alignment(CutStatus.FAILED, "no people")],
        odometry=[odometry(), odometry()],
        cameras=cameras(nobody, ("none", "none")),
    )
    assert "shot 0: nobody was found" in lines


@pytest.mark.parametrize("content", [None, "{}", "not json"])
def test_a_foreign_file_is_one_clear_line(tmp_path, content):
    path = tmp_path / "summary.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ArtifactError, match="run") as caught:
        load_summary(path)
    assert "\n" not in str(caught.value)
