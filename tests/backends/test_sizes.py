"""Everybody's size from artifacts: lenses, units of cuts, one size per person."""

from dataclasses import fields, replace
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from multithumbs.backends.people.gather import gather
from multithumbs.backends.sizes import Sizes, find_sizes, log_sizes, people_of_pairs
from multithumbs.body import EMBEDDED_BODY, BodyModel, load_body
from multithumbs.config.cameras import PoseGraphCamerasConfig, RevisitConfig, RoomConfig
from multithumbs.config.people import GatherConfig
from multithumbs.config.sizes import SizesConfig
from multithumbs.stages import cameras
from multithumbs.synth.people_oracle import SIZE_PER_BETA, ClipNoise, OracleClip, make_clip
from multithumbs.synth.small_scenes import tiny_scene
from multithumbs.types import Cameras, CutStatus, Intrinsics, VideoInfo
from multithumbs.types.work import Runtime, Work

from ..stages.test_people import StillVideo

ALONE = {"revisits": RevisitConfig(enabled=False), "room": RoomConfig(enabled=False)}


@cache
def body() -> BodyModel:
    return load_body(EMBEDDED_BODY)


@cache
def clip() -> OracleClip:
    """Two people, two shots; everything as it truly is."""
    return make_clip(body(), tiny_scene(), ClipNoise(**{f.name: 0.0 for f in fields(ClipNoise)}), 0)


def grown(data: OracleClip, shot: int, track: int, factor: float) -> OracleClip:
    """One track's fits too large, and as much too far away."""
    own = data.bodies[shot]
    scale = np.where(data.tracks[shot].track == track, factor, 1.0)
    larger = own.betas.copy()
    larger[:, 0] += np.log(scale) / SIZE_PER_BETA
    rest = [body().rest_joints(body().tensor(b)).numpy()[:, 0] for b in (own.betas, larger)]
    wrong = replace(
        own,
        betas=larger,
        transl=(own.transl + rest[0]) * scale[:, None] - rest[1],
        joints_cam=own.joints_cam * scale[:, None, None],
    )
    bodies = tuple(wrong if s == shot else b for s, b in enumerate(data.bodies))
    return replace(data, bodies=bodies)


def in_units_of(data: OracleClip, unit_m: float, lens: float = 1.0) -> OracleClip:
    """The cut's world too large, and seen through another lens after the cut."""
    cut = data.alignment[0]
    anchors, joints, K = cut.scene_from_cam.copy(), cut.joints_scene.copy(), cut.K.copy()
    after = cut.side == 1
    in_cam = joints[after] - anchors[1, :3, 3]
    in_cam = in_cam @ anchors[1, :3, :3] * [1, 1, lens]
    joints[after] = in_cam @ anchors[1, :3, :3].T + anchors[1, :3, 3]
    K[1, :2, :2] *= lens
    anchors[:, :3, 3] *= unit_m
    wrong = replace(cut, scene_from_cam=anchors, joints_scene=joints * unit_m, K=K)
    return replace(data, alignment=(wrong,))


def sizes_of(data: OracleClip) -> Sizes:
    who = people_of_pairs(data.alignment, data.tracks)
    return find_sizes(who, data.bodies, data.keypoints, data.tracks, data.alignment, SizesConfig())


def true_sizes(data: OracleClip) -> dict[tuple[int, int], float]:
    return {
        (s, t): float(log_sizes(clip().bodies[s].joints_cam[data.tracks[s].track == t])[0])
        for s in range(2)
        for t in range(2)
    }


@pytest.mark.parametrize("lens", [1.0, 1.3])
def test_a_cuts_unit_is_found_whatever_its_lens(lens: float) -> None:
    found = sizes_of(in_units_of(clip(), 1.15, lens))
    assert found.log_unit == pytest.approx([np.log(1.15)], abs=1e-3)
    assert found.log_size == pytest.approx(true_sizes(clip()), abs=1e-3)


def test_a_failed_cut_says_nothing() -> None:
    data = in_units_of(clip(), 1.15)
    failed = replace(data.alignment[0], status=CutStatus.FAILED)
    found = sizes_of(replace(data, alignment=(failed,)))
    assert np.array_equal(found.log_unit, [0.0])


def test_one_wrong_fit_of_four_is_a_quarter_of_the_error() -> None:
    """For everybody alike: the cut knows the ratios, and only the four fits the scale."""
    data = grown(clip(), 1, 0, 1.1)
    found, true = sizes_of(data), true_sizes(data)
    off = {key: size - true[key] for key, size in found.log_size.items()}
    assert list(off.values()) == pytest.approx([np.log(1.1) / 4] * 4, abs=0.012)


def test_resized_people_have_one_size_and_project_where_they_did() -> None:
    data = grown(clip(), 1, 0, 1.2)
    found = sizes_of(data)
    joints = [found.resized(s, data.tracks[s], data.bodies[s]) for s in range(2)]
    size = [log_sizes(j)[data.tracks[s].track == 0] for s, j in enumerate(joints)]
    assert np.ptp(np.concatenate(size)) < 1e-9
    before, after = data.bodies[1].joints_cam, joints[1]
    assert np.allclose(after / after[..., 2:], before / before[..., 2:])


def test_rows_without_a_track_stay_as_they_are() -> None:
    data = grown(clip(), 1, 0, 1.2)
    lost = replace(data.tracks[1], track=np.where(data.tracks[1].track == 0, -1, 1))
    data = replace(data, tracks=(data.tracks[0], lost))
    out = sizes_of(data).resized(1, lost, data.bodies[1])
    assert np.array_equal(out[lost.track < 0], data.bodies[1].joints_cam[lost.track < 0])


@pytest.mark.parametrize("wrong", [0, 1])
def test_a_gathered_person_has_the_size_that_all_shots_and_people_say(wrong: int) -> None:
    data = grown(clip(), wrong, 0, 1.12)
    rows = gather(
        body(), data.detections, data.keypoints, data.bodies, data.tracks, data.alignment,
        data.cameras, data.identities, data.timestamps_s, GatherConfig(),
    )  # fmt: skip
    found = log_sizes(body().rest_joints(body().tensor(rows.betas)).numpy())
    expected, true = sizes_of(data), true_sizes(data)
    for person in range(2):
        mine = found[rows.person == person]
        assert mine == pytest.approx(expected.log_size[0, person], abs=1e-6)
        assert abs(mine[0] - true[0, person]) < 0.05


def test_cameras_stand_as_far_apart_as_the_people_are_tall() -> None:
    data = in_units_of(clip(), 1.2)
    true = np.linalg.norm(clip().cameras.world_from_cam[-1, :3, 3])
    assert _baseline(data, PoseGraphCamerasConfig(**ALONE)) == pytest.approx(true, rel=1e-3)
    apart = _baseline(data, PoseGraphCamerasConfig(**ALONE, sizes=None))
    assert apart == pytest.approx(1.2 * true, rel=1e-3)


def _baseline(data: OracleClip, config: PoseGraphCamerasConfig) -> float:
    info = VideoInfo(
        sha256="0" * 64, hw=data.truth.hw, frame_rate=Fraction(24), timestamps_s=data.timestamps_s
    )
    work = Work(
        video=StillVideo(info), config=config, runtime=Runtime(), shot=None, cut=None,
        body_npz=Path(), checkpoints={}, progress=lambda done, total: None,
    )  # fmt: skip
    still = tuple(replace(own, motion="static") for own in data.odometry)
    found: Cameras = cameras.run(
        work, shots=data.shots, detections=data.detections, keypoints=data.keypoints,
        intrinsics=tuple(
            Intrinsics(K=data.truth.K[start], source="given", log_focal_std=0.0)
            for start in data.truth.shot_start
        ),
        masks=data.masks, bodies=data.bodies, tracks=data.tracks, alignment=data.alignment,
        odometry=still,
    )  # fmt: skip
    return float(np.linalg.norm(found.world_from_cam[-1, :3, 3]))
