"""Symmetric block-banded systems with a border: one row per frame, a few unknowns shared.

    [ A   C ] [x]   [a]      A: blocks of frames, coupled to the next two frames only
    [ C'  S ] [s] = [b]      S: shared unknowns, one block per group (person)

A is held in LAPACK's lower band form and factored once by ``pbtrf``; the border costs a few more
right-hand sides. Independent sequences simply have no coupling: one call solves them all, and
the cost is linear in the number of frames.
"""

import numpy as np
from jaxtyping import Float64, Int64
from scipy.linalg import LinAlgError, cholesky_banded, get_lapack_funcs


class BlockBand:
    """Lower band of ``N`` blocks of size ``D``, each coupled to the two behind it at most.

    Coupling over two blocks is diagonal only, which keeps the bandwidth at ``2 D``.
    """

    def __init__(self, count: int, size: int) -> None:
        self.count, self.size = count, size
        self.band = np.zeros((2 * size + 1, count * size))
        self._view = self.band.reshape(2 * size + 1, count, size)

    def add_diagonal_blocks(self, blocks: Float64[np.ndarray, "N D D"]) -> None:
        """Symmetric blocks on the diagonal (their lower triangles are read)."""
        for column in range(self.size):
            rows = np.arange(self.size - column)
            self._view[rows, :, column] += blocks[:, column:, column].T

    def add_next_blocks(self, blocks: Float64[np.ndarray, "N_minus_1 D D"]) -> None:
        """``blocks[n]`` couples frame ``n + 1`` (rows) to frame ``n`` (columns)."""
        for column in range(self.size):
            first = self.size - column
            rows = np.arange(first, first + self.size)
            self._view[rows, :-1, column] += blocks[:, :, column].T

    def add_diagonals(self, values: Float64[np.ndarray, "M D"], start: int, offset: int) -> None:
        """``values[m]`` couples frames ``start + m + offset`` and ``start + m`` by a diagonal."""
        self._view[offset * self.size, start : start + len(values)] += values

    def diagonal(self) -> Float64[np.ndarray, "N D"]:
        """A view of the main diagonal."""
        return self._view[0]


def solve_bordered(
    matrix: BlockBand,
    right: Float64[np.ndarray, "N D"],
    border: Float64[np.ndarray, "N D B"],
    shared: Float64[np.ndarray, "G B B"],
    shared_right: Float64[np.ndarray, "G B"],
    group: Int64[np.ndarray, " N"],
) -> tuple[Float64[np.ndarray, "N D"], Float64[np.ndarray, "G B"]] | None:
    """Solve the bordered system (A is overwritten); None where it is not positive definite.

    Args:
        matrix: A.
        right: a.
        border: C; the shared unknowns of frame ``n`` are those of group ``group[n]``.
        shared, shared_right: S and b, per group.
        group: no coupling in A may reach across groups.
    """
    count, size, width = border.shape
    stacked = np.concatenate([border, right[..., None]], axis=2).reshape(count * size, -1)
    try:
        factor = cholesky_banded(matrix.band, overwrite_ab=True, lower=True, check_finite=False)
    except LinAlgError:
        return None
    # With A = L L' the Schur complement needs L^-1 C only, half the work of A^-1 C.
    (tbtrs,) = get_lapack_funcs(("tbtrs",), (factor, stacked))
    half = tbtrs(factor, stacked, uplo="L")[0].reshape(count, size, width + 1)
    products = half[..., :width].transpose(0, 2, 1) @ half
    sums = np.zeros((len(shared), width, width + 1))
    np.add.at(sums, group, products)
    try:
        own = np.linalg.solve(
            shared - sums[..., :width], (shared_right - sums[..., width])[..., None]
        )[..., 0]
    except np.linalg.LinAlgError:
        return None
    rest = half[..., width] - (half[..., :width] @ own[group][..., None])[..., 0]
    frames = tbtrs(factor, rest.reshape(-1, 1), uplo="L", trans="T")[0]
    return frames.reshape(count, size), own
