"""Symmetric block-banded systems with a border: one row per frame, a few unknowns shared.

    [ A   C ] [x]   [a]      A: blocks of frames, coupled to the next two frames only
    [ C'  S ] [s] = [b]      S: shared unknowns, one block per group (person)

A is held in LAPACK's lower band form and factored once by ``pbtrf``; the border costs a few more
right-hand sides. Independent sequences simply have no coupling: one call solves them all, and
the cost is linear in the number of frames.
"""

import numpy as np
from jaxtyping import Float, Int64
from numpy.typing import DTypeLike
from scipy.linalg import LinAlgError, cholesky_banded, get_lapack_funcs


class BlockBand:
    """Lower band of ``N`` blocks of size ``D``, each coupled to the two behind it at most.

    Coupling over two blocks is diagonal only, which keeps the bandwidth at ``2 D``.
    """

    def __init__(self, count: int, size: int, dtype: DTypeLike = np.float64) -> None:
        self.count, self.size = count, size
        height = 2 * size + 1
        # Column by column, as LAPACK reads it, so that factoring needs no copy.
        self._columns = np.zeros((count, size, height), dtype)
        self.band = self._columns.reshape(count * size, height).T

    def set_diagonal_blocks(self, blocks: Float[np.ndarray, "N D D"]) -> None:
        """Symmetric blocks on the diagonal, in place of what is there (their upper triangles are
        read)."""
        for row in range(self.size):  # a row of the upper triangle is a column of the lower
            self._columns[:, row, : self.size - row] = blocks[:, row, row:]

    def add_next_blocks(self, blocks: Float[np.ndarray, "N_minus_1 K K"]) -> None:
        """``blocks[n]`` couples the first ``K`` unknowns of frame ``n`` (rows) to those of frame
        ``n + 1`` (columns)."""
        width = blocks.shape[1]
        for row in range(width):
            start = self.size - row
            self._columns[:-1, row, start : start + width] += blocks[:, row]

    def add_diagonals(self, values: Float[np.ndarray, "M D"], start: int, offset: int) -> None:
        """``values[m]`` couples frames ``start + m + offset`` and ``start + m`` by a diagonal."""
        self._columns[start : start + len(values), :, offset * self.size] += values

    def diagonal(self) -> Float[np.ndarray, "N D"]:
        """A view of the main diagonal."""
        return self._columns[..., 0]


def solve_bordered(
    matrix: BlockBand,
    right: Float[np.ndarray, "N D"],
    border: Float[np.ndarray, "N D B"],
    shared: Float[np.ndarray, "G B B"],
    shared_right: Float[np.ndarray, "G B"],
    group: Int64[np.ndarray, " N"],
) -> tuple[Float[np.ndarray, "N D"], Float[np.ndarray, "G B"]] | None:
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
    sums = np.zeros((len(shared), width, width + 1), half.dtype)
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
