"""Run-length masks and the shot look-up."""

import numpy as np
import pytest

from multithumbs.types import Masks, Shots


@pytest.mark.parametrize("hw", [(1, 1), (5, 7), (48, 33)])
def test_masks_round_trip(hw):
    rng = np.random.default_rng(0)
    masks = [rng.random(hw) < p for p in (0.0, 0.2, 0.5, 1.0)]
    encoded = Masks.from_dense(masks, hw)
    assert len(encoded) == 4
    for row, mask in enumerate(masks):
        np.testing.assert_array_equal(encoded.dense(row), mask)


def test_runs_are_column_major_and_start_with_background():
    mask = np.array([[True, False], [True, True]])
    assert Masks.from_dense([mask], (2, 2)).counts.tolist() == [0, 2, 1, 1]


def test_no_rows_and_no_runs():
    empty = Masks.from_dense([], (4, 6))
    assert len(empty) == 0
    missing = Masks(hw=(4, 6), counts=np.zeros(0, np.int64), offsets=np.zeros(2, np.int64))
    assert missing.dense(0).shape == (4, 6)
    assert not missing.dense(0).any()


def test_shot_of_each_frame():
    start, end = np.array([10, 20, 25]), np.array([20, 25, 40])
    shots = Shots(
        start=start, end=end, clean_start=start, clean_end=end, transition=np.zeros(3, np.int64)
    )
    assert shots.shot_of(np.array([10, 19, 20, 24, 25, 39])).tolist() == [0, 0, 1, 1, 2, 2]
