"""Banded solves against dense ones."""

import numpy as np

from multithumbs.solvers.banded import BlockBand, solve_bordered


def random_system(
    count: int, size: int, groups: list[int], width: int, seed: int
) -> tuple[BlockBand, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A band matrix with its dense twin, a border, and a shared block per group."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(len(groups)), groups)
    dense = np.zeros((count * size, count * size))
    band = BlockBand(count, size)
    own = rng.normal(size=(count, size, size))
    own = own @ own.transpose(0, 2, 1) + 20 * size * np.eye(size)
    ahead = rng.normal(size=(count - 1, size, size)) * (np.diff(group) == 0)[:, None, None]
    most = size - 1  # the last unknown is not coupled to the next frame
    ahead[:, most:], ahead[:, :, most:] = 0, 0
    far = rng.normal(size=(count - 2, size)) * (group[2:] == group[:-2])[:, None]
    band.set_diagonal_blocks(own)
    band.add_next_blocks(ahead[:, :most, :most])
    band.add_diagonals(far, 0, 2)
    for n in range(count):
        at = slice(n * size, (n + 1) * size)
        dense[at, at] += own[n]
        if n + 1 < count:
            after = slice((n + 1) * size, (n + 2) * size)
            dense[at, after] += ahead[n]
            dense[after, at] += ahead[n].T
        if n + 2 < count:
            beyond = slice((n + 2) * size, (n + 3) * size)
            dense[beyond, at] += np.diag(far[n])
            dense[at, beyond] += np.diag(far[n])
    border = rng.normal(size=(count, size, width))
    shared = np.tile(30 * width * count * np.eye(width), (len(groups), 1, 1))
    return band, dense, border, shared, group


def test_bordered_solution_is_that_of_the_dense_system() -> None:
    groups, size, width = [4, 1, 7, 2], 5, 3
    count = sum(groups)
    band, dense, border, shared, group = random_system(count, size, groups, width, 0)
    rng = np.random.default_rng(1)
    right, shared_right = rng.normal(size=(count, size)), rng.normal(size=(4, width))
    total = count * size + 4 * width
    full = np.zeros((total, total))
    full[: count * size, : count * size] = dense
    for n in range(count):
        rows = slice(n * size, (n + 1) * size)
        columns = slice(count * size + group[n] * width, count * size + (group[n] + 1) * width)
        full[rows, columns] = border[n]
        full[columns, rows] = border[n].T
    for g in range(4):
        at = slice(count * size + g * width, count * size + (g + 1) * width)
        full[at, at] = shared[g]
    expected = np.linalg.solve(full, np.concatenate([right.ravel(), shared_right.ravel()]))
    solved = solve_bordered(band, right, border, shared, shared_right, group)
    assert solved is not None
    assert np.allclose(solved[0].ravel(), expected[: count * size], atol=1e-10)
    assert np.allclose(solved[1].ravel(), expected[count * size :], atol=1e-10)


def test_diagonals_at_an_offset_land_where_they_should() -> None:
    band = BlockBand(4, 2)
    band.add_diagonals(np.array([[1.0, 2.0]]), 1, 1)
    expected = np.zeros((8, 8))
    expected[4, 2], expected[5, 3] = 1, 2
    rows, columns = np.nonzero(expected)
    for i, j in zip(rows, columns, strict=True):
        assert band.band[i - j, j] == expected[i, j]
    assert band.band.sum() == 3


def test_an_indefinite_matrix_is_refused() -> None:
    band = BlockBand(3, 2)
    band.set_diagonal_blocks(-np.tile(np.eye(2), (3, 1, 1)))
    zeros = np.zeros((3, 2))
    shared, group = np.eye(1)[None], np.zeros(3, np.int64)
    assert solve_bordered(band, zeros, zeros[..., None], shared, np.zeros((1, 1)), group) is None
