"""The people stage on a simulated clip: two people, two shots, one cut."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from multithumbs.backends.people.pieces import blend, cut_into_pieces
from multithumbs.body import EMBEDDED_BODY, BodyModel, load_body
from multithumbs.config.people import AdamWPeopleConfig, GatherConfig, LmPeopleConfig, PeopleConfig
from multithumbs.evaluation.metrics import accel_mps2, w_mpjpe_mm
from multithumbs.stages import people
from multithumbs.synth.appearance import Outfit
from multithumbs.synth.cameras import CameraKey, CameraScript
from multithumbs.synth.people_oracle import ClipNoise, OracleClip, make_clip
from multithumbs.synth.scene import Actor, Scene, ShotScript
from multithumbs.synth.script import Mark, Script
from multithumbs.types import Frame, People, VideoInfo
from multithumbs.types.work import Runtime, Work

from ..elsewhere import elsewhere

PLAIN = Outfit(
    skin=(0.06, 0.4, 0.8), hair=(0.1, 0.5, 0.3), shirt=(0.6, 0.5, 0.5), accent=(0.1, 0.1, 0.9),
    pattern="stripes", trousers=(0.6, 0.3, 0.2), sleeves=0.4, shoes=(0.1, 0.4, 0.2),
)  # fmt: skip
FPS = 25


@cache
def body() -> BodyModel:
    return load_body(EMBEDDED_BODY)


@cache
def clip(noisy: bool = True) -> OracleClip:
    """One walks, one stands; 24 frames from the front, 24 from the side."""
    walker = Script(
        marks=(
            Mark(time_s=-0.5, x=-1.2, z=0.3, facing_deg=80.0),
            Mark(time_s=2.5, x=1.0, z=0.5, facing_deg=80.0),
        ),
        seed=1,
    )
    stander = Script(marks=(Mark(time_s=0.0, x=1.2, z=-0.3, facing_deg=-70.0),), seed=2)
    front = CameraScript(keys=(CameraKey(time_s=0.0, eye=(0.0, 1.5, 5.0), target=(0.0, 1.0, 0.0)),))
    side = CameraScript(keys=(CameraKey(time_s=0.0, eye=(-4.0, 1.6, 2.0), target=(0.0, 1.0, 0.0)),))
    scene = Scene(
        name="test",
        actors=(
            Actor(name="A", script=walker, outfit=PLAIN, betas=(0.5, *(0.0,) * 9)),
            Actor(name="B", script=stander, outfit=PLAIN),
        ),
        shots=(
            ShotScript(start=0, end=24, camera=front),
            ShotScript(start=24, end=48, camera=side),
        ),
        fps=Fraction(FPS),
    )
    noise = ClipNoise() if noisy else ClipNoise(**{f.name: 0.0 for f in fields(ClipNoise)})
    return make_clip(body(), scene, noise, seed=0)


@dataclass(frozen=True)
class StillVideo:
    """Only the facts of a video; there are no pictures to look at."""

    info: VideoInfo

    def frames(self, start: int, end: int, step: int = 1) -> Iterator[Frame]:
        raise AssertionError

    def frame(self, index: int) -> np.ndarray:
        raise AssertionError


def solve(
    data: OracleClip,
    config: PeopleConfig | None = None,
    checkpoints: dict[str, Path] | None = None,
    device: str = "cpu",
) -> People:
    info = VideoInfo(
        sha256="0" * 64,
        hw=data.truth.hw,
        frame_rate=Fraction(FPS),
        timestamps_s=data.timestamps_s,
    )
    work = Work(
        video=StillVideo(info),
        config=config or LmPeopleConfig(),
        runtime=Runtime(device=device),
        shot=None,
        cut=None,
        body_npz=EMBEDDED_BODY,
        checkpoints=checkpoints or {},
        progress=lambda done, total: None,
    )
    return people.run(
        work,
        shots=data.shots,
        detections=data.detections,
        keypoints=data.keypoints,
        masks=data.masks,
        bodies=data.bodies,
        tracks=data.tracks,
        alignment=data.alignment,
        odometry=data.odometry,
        cameras=data.cameras,
        identities=data.identities,
    )


@cache
def solved() -> People:
    """The default clip by the default solver."""
    return solve(clip())


def errors(found: People, data: OracleClip) -> tuple[float, float]:
    """Mean W-MPJPE (mm) and acceleration error (m/s^2)."""
    place, accel = [], []
    for p in np.unique(found.person):
        mine = found.person == p
        frame = found.frame[mine]
        rows = [data.truth.row(int(p), int(f)) for f in frame]
        joints = found.joints_ground[mine], data.truth.joints_world[rows]
        place.append(w_mpjpe_mm(*joints, frame=frame).mean())
        accel.append(accel_mps2(*joints, float(FPS)).mean())
    return float(np.mean(place)), float(np.mean(accel))


def hide(data: OracleClip, person: int, first: int, last: int) -> OracleClip:
    """The clip without one person's tracks in frames ``[first, last)``."""
    tracks = []
    for s, own in enumerate(data.tracks):
        link = (data.identities.shot == s) & (data.identities.person == person)
        number = data.identities.track[link]
        frame = data.detections[s].frame
        gone = np.isin(own.track, number) & (frame >= first) & (frame < last)
        tracks.append(replace(own, track=np.where(gone, -1, own.track)))
    return replace(data, tracks=tuple(tracks))


def test_least_squares_beats_its_input_and_the_papers_form() -> None:
    paper = errors(solve(clip(), AdamWPeopleConfig(iterations=60)), clip())
    unchanged = errors(solve(clip(), AdamWPeopleConfig(iterations=1, learning_rate=1e-9)), clip())
    found = errors(solved(), clip())
    assert found[0] < 0.8 * min(paper[0], unchanged[0])
    assert found[1] < 0.2 * min(paper[1], unchanged[1])


@pytest.mark.parametrize("kind", [LmPeopleConfig, AdamWPeopleConfig])
def test_what_is_not_refined_is_as_it_was_gathered(kind: type[PeopleConfig]) -> None:
    data, gather = clip(), GatherConfig()
    unchanged = AdamWPeopleConfig(iterations=1, learning_rate=1e-9, gather=gather)
    expected = solve(data, unchanged)
    found = solve(data, kind(refine=False, gather=gather))
    np.testing.assert_allclose(found.joints_ground, expected.joints_ground, atol=1e-4)


def test_without_noise_everyone_stays_where_they_are() -> None:
    place, accel = errors(solve(clip(noisy=False)), clip(noisy=False))
    assert place < 20 and accel < 2


def test_a_person_has_one_shape_and_one_row_per_frame_in_order() -> None:
    found = solved()
    assert len(found.person) == 2 * 48 and found.observed.all()
    assert np.array_equal(found.person, np.repeat([0, 1], 48))
    assert np.array_equal(found.frame, np.tile(np.arange(48), 2))
    for p in (0, 1):
        betas = found.betas[found.person == p]
        assert np.array_equal(betas, np.tile(betas[0], (48, 1)))


def test_joints_are_those_of_the_parameters() -> None:
    found = solved()
    arrays = (torch.from_numpy(a) for a in (found.pose, found.betas, found.transl))
    assert np.allclose(body().posed(*arrays).joints.numpy(), found.joints_ground, atol=1e-9)


def test_the_floor_is_at_zero_and_up_is_up() -> None:
    found = solved()
    soles = found.joints_ground[:, [10, 11], 1].min(1)
    assert abs(np.median(soles)) < 0.08
    neck_above_pelvis = found.joints_ground[:, 12] - found.joints_ground[:, 0]
    assert (neck_above_pelvis[:, 1] > 0.3).all()
    rotation = found.ground_from_world[0, :3, :3]
    assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)


def test_a_standing_foot_does_not_slide() -> None:
    found = solved()
    mine = found.person == 1
    feet = found.joints_ground[mine][:, [10, 11]]
    assert np.linalg.norm(np.diff(feet, axis=0), axis=-1).mean() < 0.005


def test_a_short_absence_is_bridged_and_said() -> None:
    found = solve(hide(clip(), 0, 20, 28))
    mine = found.person == 0
    assert found.frame[mine].tolist() == list(range(48))
    assert np.flatnonzero(~found.observed[mine]).tolist() == list(range(20, 28))
    bridged = found.confidence[mine][~found.observed[mine]]
    assert bridged.max() < 0.9 and bridged[3] < bridged[0]
    assert errors(found, clip())[0] < 1.5 * errors(solved(), clip())[0]


def test_a_long_absence_is_not_bridged() -> None:
    config = LmPeopleConfig()
    config = config.model_copy(
        update={"gather": config.gather.model_copy(update={"max_gap_s": 0.2})}
    )
    found = solve(hide(clip(), 0, 20, 28), config)
    assert found.observed.all()
    assert not np.isin(found.frame[found.person == 0], np.arange(20, 28)).any()


def test_nothing_is_bridged_between_islands() -> None:
    data = hide(clip(), 0, 20, 28)
    island = (data.cameras.frame >= 24).astype(np.int64)
    cameras = replace(data.cameras, island=island, island_of_shot=np.array([0, 1]))
    found = solve(replace(data, cameras=cameras))
    assert found.observed.all() and found.ground_from_world.shape == (2, 4, 4)
    assert np.array_equal(found.island, (found.frame >= 24).astype(np.int64))


def test_people_known_from_two_islands_stand_where_they_stood() -> None:
    data = clip()
    island = (data.cameras.frame >= 24).astype(np.int64)
    cameras = replace(data.cameras, island=island, island_of_shot=np.array([0, 1]))
    data = replace(data, cameras=cameras)
    laid, apart = solve(data), solve(data, LmPeopleConfig(layout=None))
    assert errors(laid, data)[0] < 0.4 * errors(apart, data)[0]
    # Shot by shot nothing changes but the place: the same bodies, as the cameras see them.
    np.testing.assert_array_equal(laid.pose[:, 1:], apart.pose[:, 1:])
    cam_from_ground = [
        np.linalg.inv(found.ground_from_world[found.island] @ cameras.world_from_cam[found.frame])
        for found in (laid, apart)
    ]
    seen = [
        np.einsum("nij,nkj->nki", to_cam[:, :3, :3], found.joints_ground) + to_cam[:, None, :3, 3]
        for to_cam, found in zip(cam_from_ground, (laid, apart), strict=True)
    ]
    np.testing.assert_allclose(seen[0], seen[1], atol=1e-9)


def test_of_two_rows_of_one_person_in_one_frame_the_better_stays() -> None:
    data = clip()
    # Both tracks of the first shot are said to be person 0; track 1 is less confident.
    person = np.where(data.identities.shot == 0, 0, data.identities.person)
    bodies = [replace(b, confidence=b.confidence.copy()) for b in data.bodies]
    bodies[0].confidence[data.tracks[0].track == 1] = 0.5
    found = solve(
        replace(data, identities=replace(data.identities, person=person), bodies=tuple(bodies))
    )
    first = (found.person == 0) & (found.frame < 24)
    assert found.frame[first].tolist() == list(range(24))
    assert np.allclose(found.confidence[first], 0.9)


@pytest.mark.parametrize("config", [LmPeopleConfig(), AdamWPeopleConfig(iterations=3)])
def test_nobody_is_no_error(config: PeopleConfig) -> None:
    data = clip()
    nobody = tuple(replace(t, track=np.full(len(t), -1)) for t in data.tracks)
    found = solve(replace(data, tracks=nobody), config)
    assert len(found.person) == 0 and found.ground_from_world.shape == (1, 4, 4)


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_people_in_few_frames(frames: int) -> None:
    data = hide(hide(clip(), 0, frames, 48), 1, 0, 48)
    found = solve(data)
    assert len(found.person) == frames and np.isfinite(found.joints_ground).all()


def test_the_same_input_gives_the_same_output() -> None:
    first, second = solved(), solve(clip())
    assert np.array_equal(first.pose, second.pose)
    assert np.array_equal(first.transl, second.transl)


SOLVERS = pytest.mark.parametrize(
    "config", [LmPeopleConfig(), AdamWPeopleConfig(iterations=20)], ids=["lm", "adamw"]
)


@SOLVERS
def test_another_device_gives_the_same(config: PeopleConfig) -> None:
    expected = solve(clip(), config)
    with elsewhere() as device:
        found = solve(clip(), config, device=device)
    np.testing.assert_allclose(found.joints_ground, expected.joints_ground, rtol=0, atol=1e-9)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@SOLVERS
def test_cuda_gives_the_same(config: PeopleConfig) -> None:
    first, second = (solve(clip(), config, device="cuda:0").joints_ground for _ in range(2))
    assert np.array_equal(first, second)
    expected = solve(clip(), config).joints_ground
    np.testing.assert_allclose(first, expected, rtol=0, atol=2e-3)


def test_pieces_of_a_long_sequence_join_smoothly() -> None:
    whole = solved()
    pieces = solve(clip(), LmPeopleConfig(rows_at_once=50, overlap_s=0.5))
    assert np.linalg.norm(whole.joints_ground - pieces.joints_ground, axis=-1).mean() < 0.02


def test_long_sequences_are_cut_into_overlapping_pieces_that_blend_to_themselves() -> None:
    from multithumbs.backends.people.gather import gather

    data = clip()
    rows = gather(
        body(), data.detections, data.keypoints, data.bodies, data.tracks, data.alignment,
        data.cameras, data.identities, data.timestamps_s, LmPeopleConfig().gather,
    )  # fmt: skip
    pieces = cut_into_pieces(rows, 20, 0.2)
    assert max(len(piece.rows) for piece in pieces) <= 20
    assert np.array_equal(np.unique(np.concatenate([p.rows for p in pieces])), np.arange(len(rows)))
    assert all((piece.weight > 0).all() for piece in pieces)
    results = [(rows.pose[p.rows], rows.transl[p.rows]) for p in pieces]
    pose, transl = blend(pieces, results, len(rows))
    assert np.allclose(transl, rows.transl)
    assert np.allclose(pose, rows.pose, atol=1e-6)
