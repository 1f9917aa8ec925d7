"""Sizes of people: what all shots and cuts say together."""

import numpy as np
import pytest

from multithumbs.solvers.person_sizes import SizesAtCuts, solve_sizes

NOTHING = SizesAtCuts(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))


def chain(
    seed: int, people: int = 3, shots: int = 4
) -> tuple[np.ndarray, np.ndarray, np.ndarray, SizesAtCuts]:
    """Everybody in every shot: true sizes, people of tracks, their own sizes, sizes at cuts."""
    rng = np.random.default_rng(seed)
    true = rng.normal(0, 0.1, people)
    person = np.tile(np.arange(people), shots)
    own = true[person] + rng.normal(0, 0.06, len(person))
    unit = rng.normal(0, 0.1, shots - 1)
    track, cut = [], []
    for c in range(shots - 1):
        track += range(c * people, (c + 2) * people)
        cut += [c] * 2 * people
    size = true[person[track]] + unit[cut] + rng.normal(0, 0.01, len(track))
    return true, person, own, SizesAtCuts(np.array(track), np.array(cut), size)


def test_without_cuts_a_size_is_the_mean_of_its_tracks() -> None:
    own = np.array([0.1, 0.14, -0.2])
    size, unit = solve_sizes(np.array([0, 0, 1]), own, np.full(3, 0.06), NOTHING, 0.02, 2)
    assert np.allclose(size, [0.12, -0.2], atol=1e-9)
    assert np.array_equal(unit, [0, 0])


def test_the_less_certain_weighs_less() -> None:
    size, _ = solve_sizes(
        np.array([0, 0]), np.array([0.0, 0.1]), np.array([0.05, 0.1]), NOTHING, 0.02, 0
    )
    assert size == pytest.approx([0.02])


def test_cuts_tell_ratios_and_all_tracks_the_scale() -> None:
    """One error is left, the mean of everybody's: the same for all, and of the cuts' units."""
    alone, together, apart = [], [], []
    for seed in range(40):
        true, person, own, at_cuts = chain(seed)
        std = np.full(len(own), 0.06)
        with_cuts, _ = solve_sizes(person, own, std, at_cuts, 0.01, 3)
        without, _ = solve_sizes(person, own, std, NOTHING, 0.01, 3)
        alone.append(without - true)
        together.append(with_cuts - true)
        apart.append(with_cuts - true - np.mean(own - true[person]))
    rms = [np.sqrt(np.mean(np.square(e))) for e in (alone, together, apart)]
    assert rms[0] == pytest.approx(0.06 / np.sqrt(4), rel=0.15)
    assert rms[1] < 0.7 * rms[0]
    assert rms[2] < 0.01


def test_a_cut_without_people_and_nobody_at_all() -> None:
    _, person, own, at_cuts = chain(0)
    _, unit = solve_sizes(person, own, np.full(len(own), 0.06), at_cuts, 0.01, 5)
    assert np.array_equal(unit[3:], [0, 0]) and np.all(unit[:3] != 0)
    nobody = np.zeros(0, np.int64)
    size, unit = solve_sizes(nobody, np.zeros(0), np.zeros(0), NOTHING, 0.01, 2)
    assert len(size) == 0 and np.array_equal(unit, [0, 0])


def test_one_wild_size_moves_little() -> None:
    _, person, own, at_cuts = chain(1)
    std = np.full(len(own), 0.06)
    clean, _ = solve_sizes(person, own, std, at_cuts, 0.01, 3)
    wild, _ = solve_sizes(person, own + 0.8 * (np.arange(len(own)) == 0), std, at_cuts, 0.01, 3)
    # A mean of 12 tracks would move by 0.8 / 12.
    assert np.abs(wild - clean).max() < 0.03
