"""Choice of DROID-SLAM's edges, by hand-made distances."""

import numpy as np

from multithumbs.solvers.droid_edges import neighbour_pairs, proximity_pairs, without

NONE = np.zeros((0, 2), np.int64)


def as_set(pairs: np.ndarray) -> set[tuple[int, int]]:
    return {(int(i), int(j)) for i, j in pairs}


def choose(distance: np.ndarray, known: np.ndarray = NONE, **changes) -> np.ndarray:
    settings = {"radius": 2, "suppression": 1, "threshold": 16.0, "max_edges": 100} | changes
    return proximity_pairs(distance, 0, 0, known, **settings)


def test_neighbours_go_both_ways_and_never_to_themselves() -> None:
    pairs = neighbour_pairs(2, 6, 2)
    assert as_set(pairs) == {
        (i, j) for i in range(2, 6) for j in range(2, 6) if i != j and abs(i - j) <= 2
    }


def test_frames_near_in_time_are_tied_however_far_apart_they_look() -> None:
    pairs = choose(np.full((6, 6), 50.0))
    assert as_set(pairs) == {
        (i, j) for i in range(6) for j in range(6) if i != j and abs(i - j) <= 3
    }


def test_a_frame_that_sees_an_old_place_again_is_tied_to_it_once() -> None:
    distance = np.full((12, 12), 50.0)
    distance[11, 2], distance[11, 1], distance[10, 2] = 3.0, 4.0, 5.0
    pairs = as_set(choose(distance))
    assert (11, 2) in pairs and (2, 11) in pairs
    assert (11, 1) not in pairs and (10, 2) not in pairs, "the first keeps its neighbours away"
    assert (11, 1) in as_set(choose(distance, suppression=0))


def test_known_edges_are_not_chosen_again_nor_their_neighbours() -> None:
    distance = np.full((12, 12), 50.0)
    distance[11, 2], distance[11, 4] = 3.0, 4.0
    pairs = as_set(choose(distance, np.array([[11, 3]])))
    assert (11, 2) not in pairs and (11, 4) not in pairs


def test_no_edge_by_distance_beyond_the_limit_or_the_threshold() -> None:
    distance = np.full((12, 12), 5.0)
    in_time = len(choose(np.full((12, 12), 50.0)))
    assert len(choose(distance, suppression=0, max_edges=in_time + 3)) == in_time + 4
    assert len(choose(distance, threshold=4.9)) == in_time


def test_far_views_are_no_edges_even_below_a_huge_threshold() -> None:
    distance = np.full((12, 12), 1000.0)
    assert len(choose(distance, threshold=1e9)) == len(choose(distance, threshold=1.0))


def test_offsets_name_slots_of_the_buffer() -> None:
    distance = np.full((3, 12), 50.0)
    distance[2, 4] = 1.0
    pairs = proximity_pairs(
        distance, 18, 9, NONE, radius=1, suppression=1, threshold=16.0, max_edges=100
    )
    assert (20, 13) in as_set(pairs) and (13, 20) in as_set(pairs)
    assert as_set(pairs) - {(20, 13), (13, 20)} == {
        pair for i in (18, 19, 20) for j in (i - 2, i - 1) for pair in ((i, j), (j, i))
    }


def test_without_keeps_the_order_and_drops_repetitions() -> None:
    pairs = np.array([[3, 1], [1, 3], [3, 1], [2, 0]])
    assert without(pairs, np.array([[1, 3]])).tolist() == [[3, 1], [2, 0]]
