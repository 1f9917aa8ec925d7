"""Sums over groups of rows."""

from jaxtyping import Float, Int64
from torch import Tensor


def sum_by_group(
    values: Float[Tensor, "N *shape"], group: Int64[Tensor, " N"], count: int
) -> Float[Tensor, "G *shape"]:
    """Sums of the rows of each of ``count`` groups.

    In a fixed order on CUDA as well: `index_put_` sorts, `index_add_` races.
    """
    out = values.new_zeros(count, *values.shape[1:])
    return out.index_put_((group,), values, accumulate=True)
