"""Stage `identities`: cuts, absences, fragments, islands, and nobody twice in one frame."""

import numpy as np
import pytest

from multithumbs.config.identities import GeometricIdentitiesConfig, HungarianIdentitiesConfig

from .seen import BLUE, FADED_RED, GREEN, NEARLY_RED, RED, Seen, identify


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


@pytest.mark.parametrize(
    ("far_pairs", "persons"), [("never", [0, 1, 1, 2]), ("dropped", [0, 1, 0, 2])]
)
def test_a_pair_to_be_dropped_takes_part_only_as_the_paper_has_it(far_pairs, persons):
    """The second stays, the first leaves and a third comes, far away. As many pairs as possible:
    the second goes with the third, which is dropped, and the first in the second's stead."""
    paper = HungarianIdentitiesConfig(reach=1.0, max_cost=1000.0, far_pairs=far_pairs)
    before = [Seen(0, 0, 30, (0, 0, 3)), Seen(0, 0, 30, (0.6, 0, 3))]
    after = [Seen(1, 30, 60, (0.5, 0, 3)), Seen(1, 30, 60, (5, 0, 3))]
    assert identify([30, 60], before + after, config=paper)[0] == persons


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
