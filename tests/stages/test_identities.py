"""Stage `identities`: cuts, absences, fragments, islands, and nobody twice in one frame."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest

from multithumbs.body import EMBEDDED_BODY
from multithumbs.config.identities import GeometricIdentitiesConfig, HungarianIdentitiesConfig
from multithumbs.stages import identities
from multithumbs.types import (
    Alignment,
    Bodies,
    Cameras,
    CutStatus,
    Detections,
    Keypoints,
    Shots,
    Textures,
    Tracks,
    VideoInfo,
)
from multithumbs.types.work import Runtime, Work

FPS = 25
RED, BLUE, GREEN = (200, 40, 40), (40, 40, 200), (40, 180, 60)
NEARLY_RED = (190, 70, 40)
FADED_RED = (190, 62, 62)


@dataclass(frozen=True)
class Seen:
    """A track: who, in which shot, over which frames, where (start, end of the track), how."""

    shot: int
    start: int
    end: int
    place: tuple[float, float, float]
    colour: tuple[int, int, int] = RED
    to: tuple[float, float, float] | None = None
    pose_rad: float = 0.0
    misfit: tuple[int, float, float] | None = None
    """The last so many rows are half a body each: their depth times a factor, their confidence."""


class Clock:
    def __init__(self, frames):
        self.info = VideoInfo(
            sha256="0" * 64,
            hw=(360, 640),
            frame_rate=Fraction(FPS),
            timestamps_s=np.arange(frames) / FPS,
        )

    def frames(self, start, end, step=1):
        raise NotImplementedError

    def frame(self, index):
        raise NotImplementedError


def identify(ends, tracks, failed=(), config=None, lens=None):
    """Persons of ``tracks``, in their order; every shot's camera is the world's.

    ``ends``: the frame after each shot's last; ``failed``: cuts that could not be aligned;
    ``lens``: focal length of each shot, which bodies were fitted without knowing and cuts know.
    """
    bounds = np.array([0, *ends])
    count = len(ends)
    lens = np.ones(count) if lens is None else np.array(lens)
    parts = {name: [] for name in ("detections", "tracks", "bodies", "keypoints", "textures")}
    for shot in range(count):
        seen = [t for t in tracks if t.shot == shot]
        rows = sorted(
            (frame, index) for index, t in enumerate(seen) for frame in range(t.start, t.end)
        )
        frame = np.array([f for f, _ in rows], dtype=np.int64)
        which = np.array([i for _, i in rows], dtype=np.int64)
        n = len(rows)
        joints = np.zeros((n, 24, 3))
        pose = np.zeros((n, 24, 3))
        confidence = np.ones(n)
        for row, (f, i) in enumerate(rows):
            track = seen[i]
            share = (f - track.start) / max(track.end - 1 - track.start, 1)
            end = np.array(track.to or track.place)
            joints[row] = (1 - share) * np.array(track.place) + share * end
            pose[row, 1:, 0] = track.pose_rad
            if track.misfit and f >= track.end - track.misfit[0]:
                joints[row] *= track.misfit[1]
                confidence[row] = track.misfit[2]
        parts["detections"].append(
            Detections(
                frame=frame, box_xyxy=np.zeros((n, 4)), score=np.ones(n), roi=np.zeros((n, 4))
            )
        )
        parts["tracks"].append(Tracks(track=which))
        parts["bodies"].append(
            Bodies(
                pose=pose,
                betas=np.zeros((n, 10)),
                transl=joints[:, 0],
                joints_cam=joints,
                K=np.repeat(np.eye(3)[None], n, axis=0),
                confidence=confidence,
                residual_px=np.zeros(n),
            )
        )
        parts["keypoints"].append(
            Keypoints(
                uv=np.zeros((n, 23, 2)),
                confidence=np.ones((n, 23)),
                xyz=np.zeros((n, 23, 3)),
                xyz_confidence=np.zeros((n, 23)),
            )
        )
        rgb = np.array([t.colour for t in seen], dtype=np.uint8).reshape(-1, 1, 1, 3)
        parts["textures"].append(
            Textures(
                track=np.arange(len(seen)),
                rgb=np.tile(rgb, (1, 8, 8, 1)),
                weight=np.ones((len(seen), 8, 8)),
            )
        )
    frames = np.arange(bounds[-1])
    shot_of = np.searchsorted(bounds, frames, side="right") - 1
    island_of_shot = np.cumsum([0, *[int(c in failed) for c in range(count - 1)]])
    cameras = Cameras(
        frame=frames,
        shot=shot_of.astype(np.int64),
        island=island_of_shot[shot_of].astype(np.int64),
        K=_longer(lens[shot_of]),
        world_from_cam=np.repeat(np.eye(4)[None], len(frames), axis=0),
        tracked=np.ones(len(frames), dtype=bool),
        metres_per_unit=np.ones(count),
        scale_source=("none",) * count,
        island_of_shot=island_of_shot.astype(np.int64),
        cut_residual_m=np.zeros(count - 1),
        cut_scale=np.ones(count - 1),
    )
    shots = Shots(
        start=bounds[:-1], end=bounds[1:], clean_start=bounds[:-1], clean_end=bounds[1:],
        transition=np.ones(count, dtype=np.int64),
    )  # fmt: skip
    alignment = tuple(
        _aligned(c, bounds, c in failed, parts["detections"], parts["bodies"], lens)
        for c in range(count - 1)
    )
    work = Work(
        video=Clock(bounds[-1]),
        config=config or HungarianIdentitiesConfig(),
        runtime=Runtime(),
        shot=None,
        cut=None,
        body_npz=EMBEDDED_BODY,
        checkpoints={},
        progress=lambda done, total: None,
    )
    found = identities.run(
        work,
        shots=shots,
        alignment=alignment,
        cameras=cameras,
        **{name: tuple(part) for name, part in parts.items()},
    )
    index = {}
    for shot in range(count):
        for track, seen in enumerate(t for t in tracks if t.shot == shot):
            index[id(seen)] = (shot, track)
    person = {(s, t): p for s, t, p in zip(found.shot, found.track, found.person, strict=True)}
    return [int(person[index[id(t)]]) for t in tracks], found


def _longer(lens):
    K = np.repeat(np.eye(3)[None], len(lens), axis=0)
    K[:, 0, 0] = K[:, 1, 1] = lens
    return K


def _aligned(cut, bounds, failed, detections, bodies, lens) -> Alignment:
    """People at a cut where their bodies are, but for the lens."""
    frame = np.array([bounds[cut + 1] - 1, bounds[cut + 1]])
    rows = [np.flatnonzero(detections[cut + i].frame == frame[i]) for i in range(2)]
    joints = [bodies[cut + i].joints_cam[rows[i]] * [1, 1, lens[cut + i]] for i in range(2)]
    count = sum(map(len, rows))
    return Alignment(
        status=CutStatus.FAILED if failed else CutStatus.ALIGNED,
        reason="another place" if failed else "",
        frame=frame,
        K=_longer(lens[cut : cut + 2]),
        scene_from_cam=np.stack([np.eye(4)] * 2),
        side=np.repeat([0, 1], [len(r) for r in rows]),
        row=np.concatenate(rows),
        global_orient=np.zeros((count, 3)),
        transl=np.zeros((count, 3)),
        joints_scene=np.concatenate(joints),
        residual_px=np.zeros(count),
        pair=np.zeros((0, 2), dtype=np.int64),
        loss=0.0,
    )


def test_people_keep_their_place_across_a_cut_and_newcomers_are_new():
    persons, found = identify(
        [30, 60],
        [
            Seen(0, 0, 30, (0, 0, 5)),
            Seen(0, 0, 30, (1.5, 0, 5), BLUE),
            Seen(1, 30, 60, (1.6, 0, 5.2), BLUE),
            Seen(1, 30, 60, (0.2, 0, 5)),
            Seen(1, 30, 60, (-2.5, 0, 5), GREEN),
        ],
    )
    assert persons == [0, 1, 1, 0, 2]
    assert len(found.link_cost) == 2
    assert found.link_distance_m.max() < 0.3
    assert (found.confidence > 0.6).all()
    assert not found.by_appearance.any()


def test_beyond_the_reach_of_tau_nobody_is_matched():
    near, _ = identify([30, 60], [Seen(0, 0, 30, (0, 0, 3)), Seen(1, 30, 60, (1.4, 0, 3))])
    far, _ = identify([30, 60], [Seen(0, 0, 30, (0, 0, 3)), Seen(1, 30, 60, (1.6, 0, 3))])
    assert near == [0, 0]
    assert far == [0, 1]


def test_nearly_out_of_reach_only_those_who_look_alike_are_matched():
    other = Seen(1, 30, 60, (1.4, 0, 3), BLUE)
    assert identify([30, 60], [Seen(0, 0, 30, (0, 0, 3)), other])[0] == [0, 1]


def test_far_from_the_camera_tau_is_a_share_of_the_depth():
    near, _ = identify([30, 60], [Seen(0, 0, 30, (0, 0, 10)), Seen(1, 30, 60, (3.6, 0, 10))])
    far, _ = identify([30, 60], [Seen(0, 0, 30, (0, 0, 10)), Seen(1, 30, 60, (3.9, 0, 10))])
    assert near == [0, 0]
    assert far == [0, 1]


def test_who_enters_beside_those_who_opened_the_shot_is_matched_together_with_them():
    """One who entered is nearer to a stranger than to himself; the whole says who is who."""
    before = [Seen(0, 0, 30, (0, 0, 5))]
    stranger = Seen(1, 30, 60, (0.9, 0, 5), NEARLY_RED)
    himself = Seen(1, 40, 60, (0.1, 0, 5))
    assert identify([30, 60], [*before, stranger, himself])[0] == [0, 1, 0]
    late = Seen(1, 30, 38, (0.9, 0, 5), NEARLY_RED)
    assert identify([30, 60], [*before, late, himself])[0][1] == 0, "decided before he entered"


def test_a_longer_lens_puts_people_farther_away_once():
    tracks = [Seen(0, 0, 30, (0, 0, 10)), Seen(1, 30, 60, (0, 0, 5.2))]
    assert identify([30, 60], tracks, lens=[1, 2])[0] == [0, 0]
    assert identify([30, 60], tracks, lens=[1, 1])[0] == [0, 1]


def test_someone_who_runs_may_be_farther_off_after_an_absence():
    back = Seen(1, 55, 60, (3.4, 0, 5))
    assert identify([30, 60], [Seen(0, 0, 30, (-3, 0, 5), to=(0, 0, 5)), back])[0] == [0, 0]
    assert identify([30, 60], [Seen(0, 0, 30, (0, 0, 5)), back])[0] == [0, 1]


def test_appearance_decides_between_places_that_are_equally_near():
    people = [Seen(0, 0, 30, (-0.3, 0, 5)), Seen(0, 0, 30, (0.3, 0, 5), BLUE)]
    after = [Seen(1, 30, 60, (0, 0, 5.3), BLUE), Seen(1, 30, 60, (0, 0, 4.7))]
    assert identify([30, 60], people + after)[0] == [0, 1, 1, 0]


def test_pose_decides_where_looks_do_not_count():
    blind = HungarianIdentitiesConfig(appearance_weight=0.0)
    posed, near = 0.6, 0.02
    people = [Seen(0, 0, 30, (-0.3, 0, 5)), Seen(0, 0, 30, (0.3, 0, 5), pose_rad=posed)]
    after = [Seen(1, 30, 60, (-near, 0, 5), pose_rad=posed), Seen(1, 30, 60, (near, 0, 5))]
    tracks = people + after
    assert identify([30, 60], tracks, config=blind)[0] == [0, 1, 1, 0]
    assert identify([30, 60], tracks)[0] == [0, 1, 0, 1]
    paper = HungarianIdentitiesConfig(pose_beside_looks=True)
    assert identify([30, 60], tracks, config=paper)[0] == [0, 1, 1, 0]


def test_people_absent_for_a_shot_come_back_as_themselves():
    persons, found = identify(
        [30, 60, 90],
        [
            Seen(0, 0, 30, (0, 0, 5)),
            Seen(0, 0, 30, (1.5, 0, 5), BLUE),
            Seen(1, 30, 60, (-3, 0, 9), GREEN),
            Seen(2, 60, 90, (1.9, 0, 5.4), BLUE),
            Seen(2, 60, 90, (0.4, 0, 5.5)),
        ],
    )
    assert persons == [0, 1, 2, 1, 0]
    assert [0, 2] in found.link_shot.tolist()


def test_after_an_absence_other_clothes_are_someone_else():
    tracks = [Seen(0, 0, 30, (0, 0, 5)), Seen(2, 60, 90, (0, 0, 5), BLUE)]
    assert identify([30, 60, 90], tracks)[0] == [0, 1]


def test_someone_who_walks_is_expected_farther_on():
    tracks = [
        Seen(0, 0, 30, (0, 0, 5), to=(1.5, 0, 5)),
        Seen(0, 0, 30, (2.4, 0, 5), RED),
        Seen(1, 30, 60, (1.55, 0, 5), to=(3, 0, 5)),
        Seen(1, 30, 60, (2.4, 0, 5), RED),
    ]
    assert identify([30, 60], tracks)[0] == [0, 1, 0, 1]


def test_fragments_of_one_shot_are_joined_only_if_they_do_not_overlap():
    apart = [Seen(0, 0, 20, (0, 0, 5)), Seen(0, 24, 50, (0.1, 0, 5))]
    overlapping = [Seen(0, 0, 26, (0, 0, 5)), Seen(0, 24, 50, (0.1, 0, 5))]
    assert identify([50], apart)[0] == [0, 0]
    assert identify([50], overlapping)[0] == [0, 1]


def test_islands_are_joined_by_looks_alone_and_doubt_is_said():
    before = [Seen(0, 0, 30, (0, 0, 5)), Seen(0, 0, 30, (2, 0, 5), BLUE)]
    same = [Seen(1, 30, 60, (7, 0, 3), BLUE)]
    persons, found = identify([30, 60], before + same, failed={0})
    assert persons == [0, 1, 1]
    assert found.by_appearance.tolist() == [False, False, True]
    assert np.isnan(found.link_distance_m).all()
    twins = [Seen(0, 0, 30, (0, 0, 5), BLUE), Seen(0, 0, 30, (2, 0, 5), BLUE)]
    doubtful = identify([30, 60], twins + same, failed={0})[1]
    assert doubtful.confidence[-1] < 0.55 < 0.75 < found.confidence[-1]
    strangers = [Seen(1, 30, 60, (0, 0, 5), GREEN)]
    assert identify([30, 60], before + strangers, failed={0})[0] == [0, 1, 2]
    alone = HungarianIdentitiesConfig(across_islands=False)
    assert identify([30, 60], before + same, failed={0}, config=alone)[0] == [0, 1, 2]


def test_people_come_in_company():
    """Somebody who looks a little otherwise is known where one of those around is for sure."""
    before = [Seen(0, 0, 30, (0, 0, 5)), Seen(0, 0, 30, (2, 0, 5), BLUE)]
    faded = Seen(1, 30, 60, (4, 0, 3), FADED_RED)
    company = [Seen(1, 30, 60, (7, 0, 3), BLUE), faded]
    assert identify([30, 60], before + company, failed={0})[0] == [0, 1, 1, 0]
    assert identify([30, 60], [*before, faded], failed={0})[0] == [0, 1, 2]
    alone = HungarianIdentitiesConfig(max_company_difference=0)
    assert identify([30, 60], before + company, failed={0}, config=alone)[0] == [0, 1, 1, 2]


def test_who_was_somewhere_else_is_no_company():
    elsewhere = Seen(0, 0, 30, (0, 0, 5))
    before = [elsewhere, Seen(1, 30, 60, (2, 0, 5), BLUE)]
    after = [Seen(2, 60, 90, (7, 0, 3), BLUE), Seen(2, 60, 90, (4, 0, 3), FADED_RED)]
    assert identify([30, 60, 90], before + after, failed={0, 1})[0] == [0, 1, 1, 2]


def test_a_misfit_of_someone_half_hidden_is_no_end_of_a_track():
    hidden = Seen(0, 0, 30, (0.5, 0, 5), misfit=(6, 2.0, 1.0))
    others = [Seen(0, 0, 50, (-1, 0, 5), BLUE), Seen(1, 50, 90, (-1, 0, 5), BLUE)]
    back = Seen(1, 75, 90, (0.4, 0, 5))
    persons, _ = identify([50, 90], [hidden, *others, back])
    assert persons == [0, 1, 1, 0]
    credulous = HungarianIdentitiesConfig(max_depth_jump=3)
    assert identify([50, 90], [hidden, *others, back], config=credulous)[0] == [0, 1, 1, 2]


def test_the_less_a_body_is_trusted_the_less_it_says_about_an_end():
    others = [Seen(0, 0, 50, (-1, 0, 5), BLUE), Seen(1, 50, 90, (-1, 0, 5), BLUE)]
    back = Seen(1, 50, 90, (0.5, 0, 3.7))

    def persons(confidence):
        hidden = Seen(0, 0, 50, (0.5, 0, 5), misfit=(8, 1.27, confidence))
        return identify([50, 90], [others[0], hidden, others[1], back])[0]

    assert persons(0.2) == [0, 1, 0, 1]
    assert persons(1.0) == [0, 1, 0, 2]


def test_geometric_looks_at_joints_and_not_at_clothes():
    people = [Seen(0, 0, 30, (0, 0, 5)), Seen(0, 0, 30, (1.5, 0, 5), BLUE)]
    after = [Seen(1, 30, 60, (1.4, 0, 5)), Seen(1, 30, 60, (0.1, 0, 5), BLUE)]
    config = GeometricIdentitiesConfig()
    assert identify([30, 60], people + after, config=config)[0] == [0, 1, 1, 0]
    assert identify([30, 60], people + after, failed={0}, config=config)[0] == [0, 1, 2, 3]


@pytest.mark.parametrize("seed", range(4))
def test_nobody_is_ever_twice_in_one_frame(seed):
    rng = np.random.default_rng(seed)
    ends = [40, 80, 120, 160]
    tracks = []
    for shot in range(4):
        for _ in range(5):
            start = 40 * shot + int(rng.integers(0, 30))
            place = tuple(rng.uniform([-1, 0, 4], [1, 0, 6]))
            colour = (RED, BLUE, GREEN)[rng.integers(3)]
            end = start + int(rng.integers(2, 40 * (shot + 1) - start + 1))
            tracks.append(Seen(shot, start, min(end, 40 * (shot + 1)), place, colour))
    persons, found = identify(ends, tracks, failed={1})
    claimed = set()
    for person, track in zip(persons, tracks, strict=True):
        for frame in range(track.start, track.end):
            assert (person, frame) not in claimed
            claimed.add((person, frame))
    assert len(found.person) == len(tracks)
    assert ((found.confidence > 0) & (found.confidence <= 1)).all()
