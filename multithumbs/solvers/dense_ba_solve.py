"""The reduced pose system of dense bundle adjustment: sparse blocks of six, solved in float64."""

import numpy as np
import torch
from jaxtyping import Float, Float64
from scipy.linalg import LinAlgError, cho_solve_banded, cholesky_banded
from scipy.sparse import csr_array
from scipy.sparse.csgraph import reverse_cuthill_mckee
from torch import Tensor

DENSE_POSES = 48
"""Up to so many poses a dense factorisation is the fastest."""
BAND_SHARE = 0.3
"""A band wider than this share of the matrix is not worth its bookkeeping."""


def solve_poses(
    blocks: Float64[Tensor, "P P 6 6"], right: Float64[Tensor, "P 6"], lm: float, ep: float
) -> Float64[Tensor, "P 6"] | None:
    """Twists of all poses, after ``diagonal += ep + lm diagonal``; None without a solution.

    A chain of frames that sees only its neighbours gives a narrow band, once the poses are put
    in the order that makes it narrow (loops are folded); long chains are solved as that, cost
    linear in their length.
    """
    count = len(blocks)
    diagonal = blocks.diagonal(dim1=0, dim2=1).diagonal(dim1=0, dim2=1)  # (P, 6)
    damped = diagonal + ep + lm * diagonal
    if count > DENSE_POSES:
        order, width = _narrow_order(blocks)
        if width < BAND_SHARE * count:
            return _solve_banded(blocks, damped, right, order, width)
    matrix = blocks.permute(0, 2, 1, 3).reshape(6 * count, 6 * count)
    matrix = matrix + torch.diag((damped - diagonal).flatten())
    factor, info = torch.linalg.cholesky_ex(matrix)
    if int(info):
        return None
    found = torch.cholesky_solve(right.reshape(-1, 1), factor).view(count, 6)
    return found if bool(found.isfinite().all()) else None


def _narrow_order(blocks: Float[Tensor, "P P 6 6"]) -> tuple[np.ndarray, int]:
    """An order of the poses, and how many places apart coupled ones are at most in it."""
    coupled = (blocks != 0).any(-1).any(-1).cpu().numpy()
    order = reverse_cuthill_mckee(csr_array(coupled), symmetric_mode=True)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    rows, columns = np.nonzero(coupled)
    return order, int(np.abs(place[rows] - place[columns]).max(initial=0))


def _solve_banded(
    blocks: Float64[Tensor, "P P 6 6"],
    damped: Float64[Tensor, "P 6"],
    right: Float64[Tensor, "P 6"],
    order: np.ndarray,
    width: int,
) -> Float64[Tensor, "P 6"] | None:
    count, rows = len(order), 6 * (width + 1)
    chosen = torch.as_tensor(order.copy(), device=blocks.device)
    band = np.zeros((rows, count, 6))  # LAPACK's lower form: band[r - c, c]
    for away in range(width + 1):
        below = blocks[chosen[away:], chosen[: count - away]].cpu().numpy()
        for column in range(6):
            first = 6 * away - column
            start = max(-first, 0)  # above the diagonal of its own block
            band[first + start : first + 6, : count - away, column] = below[:, start:, column].T
    band[0] = damped[chosen].cpu().numpy()
    flat = right[chosen].cpu().numpy().reshape(-1)
    try:
        factor = cholesky_banded(band.reshape(rows, -1), lower=True, check_finite=True)
    except (LinAlgError, ValueError):  # not positive definite, or not numbers
        return None
    found = cho_solve_banded((factor, True), flat, check_finite=False).reshape(count, 6)
    twists = torch.empty_like(right)
    twists[chosen] = torch.as_tensor(found, device=right.device)
    return twists
