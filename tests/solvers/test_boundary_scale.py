"""Metres per unit from people, and who stands where somebody stood."""

import numpy as np
import pytest

from multithumbs.solvers.boundary_scale import (
    clear_pairs,
    combine,
    depth_ratio,
    head_pelvis_ratio,
    log_spread,
    paper_ratio,
)

K = np.array([[900.0, 0, 640], [0, 900, 360], [0, 0, 1]])


def test_the_papers_ratio_is_that_of_the_farthest_points_from_the_centroids():
    rng = np.random.default_rng(0)
    mesh = rng.normal(size=(200, 3))
    moved = mesh / 3.7 + [5.0, -2, 1]
    assert paper_ratio(mesh, moved) == pytest.approx(3.7)
    # One stray point is enough to ruin it: that is what the robust rules are for.
    assert paper_ratio(mesh, np.vstack([moved, [50.0, 0, 0]])) < 0.2
    assert np.isnan(paper_ratio(mesh, moved[:0]))
    assert np.isnan(paper_ratio(mesh, moved[:1]))


def test_depths_of_which_less_than_half_are_wrong_give_the_scale():
    rng = np.random.default_rng(0)
    metres = rng.uniform(3, 4, 101)
    units = metres / 0.2
    units[:45] = 400.0
    assert depth_ratio(metres, units) == pytest.approx(0.2)
    units[:45] = np.nan
    assert depth_ratio(metres, units) == pytest.approx(0.2)
    assert np.isnan(depth_ratio(metres, np.full(101, np.nan)))
    assert np.isnan(depth_ratio(metres[:0], units[:0]))


@pytest.mark.parametrize("unit", [0.05, 1.0, 30.0])
def test_the_head_to_pelvis_length_gives_the_scale_in_any_unit(unit):
    head, pelvis = np.array([0.4, -0.7, 3.0]), np.array([0.5, -0.1, 3.2])
    uv = [(K @ (p / p[2]))[:2] for p in (head, pelvis)]
    found = head_pelvis_ratio(uv[0], uv[1], head[2] / unit, pelvis - head, K)
    assert found == pytest.approx(unit, rel=1e-6)


def test_a_length_that_is_not_seen_or_not_possible_gives_none():
    up = np.array([0.0, 0.6, 0.0])
    uv, below = np.array([600.0, 300]), np.array([600.0, 390])
    assert np.isnan(head_pelvis_ratio(uv, uv, 2.0, up, K))
    assert np.isnan(head_pelvis_ratio(uv, below, np.nan, up, K))
    assert np.isnan(head_pelvis_ratio(uv, below, 2.0, np.zeros(3), K))


def test_people_are_averaged_as_published_or_by_their_median():
    ratios = np.array([1.0, 1.2, 5.0, np.nan, np.inf, -1.0])
    assert combine(ratios, "paper") == combine(ratios, "head_pelvis") == pytest.approx(2.4)
    assert combine(ratios, "median") == pytest.approx(1.2)
    assert np.isnan(combine(ratios[3:], "median"))
    assert log_spread(ratios) == pytest.approx(np.log(5.0) / 3)
    assert log_spread(ratios[3:]) == 0.0
    assert log_spread(ratios[:1]) == 0.0


def test_only_clear_neighbours_are_pairs():
    def pairs(before, after):
        found = clear_pairs(
            np.array(before, float).reshape(-1, 3),
            np.array(after, float).reshape(-1, 3),
            max_distance=1.0,
            min_margin=0.5,
        )
        return found.tolist()

    before = [[0, 0, 3], [2, 0, 3], [-3, 0, 4]]
    assert pairs(before, [[2.1, 0, 3.2], [0.1, 0, 3]]) == [[0, 1], [1, 0]]
    assert pairs(before, [[0, 0, 8]]) == []
    # Two who stand 40 cm apart could be either one.
    assert pairs([[0, 0, 3], [0.4, 0, 3]], [[0.1, 0, 3]]) == []
    nan = [np.nan] * 3
    assert pairs([nan, [0, 0, 3]], [[0, 0, 3], nan]) == [[1, 0]]
    assert pairs([], [[0, 0, 3]]) == []
    assert pairs([nan], [[0, 0, 3]]) == []
