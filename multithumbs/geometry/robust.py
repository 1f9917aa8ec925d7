"""Robust losses, as loss and as the weight of iteratively reweighted least squares."""

from jaxtyping import Float
from torch import Tensor


def geman_mcclure(
    squared: Float[Tensor, "*batch"], scale: float
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """Loss ``s^2 e^2 / (s^2 + e^2)`` of squared residuals ``e^2`` and its derivative by ``e^2``.

    ``scale`` has the residual's unit; the loss tends to ``scale^2`` for outliers.
    """
    s2 = scale * scale
    denominator = s2 + squared
    return s2 * squared / denominator, (s2 / denominator) ** 2


def huber(
    squared: Float[Tensor, "*batch"], scale: float
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """Huber's loss of squared residuals (quadratic up to ``scale``) and its derivative."""
    norm = squared.clamp_min(1e-24).sqrt()
    inlier = norm <= scale
    loss = squared.where(inlier, 2 * scale * norm - scale * scale)
    weight = (scale / norm).clamp_max(1.0)
    return loss, weight
