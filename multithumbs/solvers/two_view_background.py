"""Background points matched between two cameras: what they say about the relative camera.

A match is a ray of camera ``a`` with an unknown inverse depth and a pixel of camera ``b``. The
inverse depth is eliminated per match. Unlike an epipolar distance this stays defined where the
cameras share their centre (a reframed or zoomed shot), and there it fixes the whole rotation.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from multithumbs.geometry import rigid, robust, rotations
from multithumbs.geometry.rotations import nearest_rotation
from multithumbs.solvers.levenberg_marquardt import Linearisation

_MIN_COSINE = 0.05
"""Rays that leave camera ``b`` at more than about 87 degrees from its axis carry no pixel."""


class BackgroundMatches(NamedTuple):
    """Matched static points; ``S`` may be 0."""

    K: Float[Tensor, "2 3 3"]
    uv: Float[Tensor, "2 S 2"]
    sigma_px: float
    outlier_sigmas: float
    weight: float
    """Of one match against one squared sigma of people."""
    max_inverse_depth: float
    """Nothing is nearer to camera ``a`` than its inverse; 1/metres."""


class _Reprojection(NamedTuple):
    squared: Float[Tensor, "H S"]
    error: Float[Tensor, "H S 2"]
    point_b: Float[Tensor, "H S 3"]
    inverse_depth: Float[Tensor, "H S"]
    visible: Float[Tensor, "H S"]


def background_errors(
    b_from_a: Float[Tensor, "H 4 4"], matches: BackgroundMatches
) -> Float[Tensor, "H S"]:
    """Distance in ``b`` from each match to its best point on the ray of ``a``, in sigmas."""
    return _reproject(b_from_a, matches).squared.sqrt()


def fit_turn(matches: BackgroundMatches, iterations: int = 20) -> Float[Tensor, "4 4"]:
    """The pure rotation that explains the matches best: a camera that stayed where it was.

    Kabsch's solution on unit rays, reweighted by each match's distance in the image.
    """
    a, b = (_rays(uv, K) for uv, K in zip(matches.uv, matches.K, strict=True))
    a, b = a / a.norm(dim=-1, keepdim=True), b / b.norm(dim=-1, keepdim=True)
    weights = torch.ones_like(a[:, 0])
    b_from_a = rigid.eye(a)
    for _ in range(iterations):
        turn = nearest_rotation((weights[:, None] * b).T @ a)
        b_from_a = rigid.compose(turn, torch.zeros_like(a[0]))
        squared = _reproject(b_from_a[None], matches).squared[0]
        # The scale falls to the matches' own as the fit settles.
        scale = max(matches.outlier_sigmas, float(squared.median().sqrt()) * 2)
        weights = robust.geman_mcclure(squared, scale)[1]
    return b_from_a


def background_model(b_from_a: Float[Tensor, "H 4 4"], matches: BackgroundMatches) -> Linearisation:
    """Robust cost and Gauss-Newton model by the step ``x_b -> exp(w) x_b + v``."""
    at = _reproject(b_from_a, matches)
    loss, weight = robust.geman_mcclure(at.squared, matches.outlier_sigmas)
    weight = matches.weight * weight * at.visible
    x, y, z = at.point_b.unbind(-1)
    focal = matches.K[1].diagonal()[:2] / matches.sigma_px
    zero = torch.zeros_like(x)
    by_point = torch.stack(
        [torch.stack([1 / z, zero, -x / z**2], -1), torch.stack([zero, 1 / z, -y / z**2], -1)], -2
    )
    by_point = focal[:, None] * by_point
    # The point is R x + rho t: a rotation acts on all of it, a translation v on rho v.
    by_camera = torch.cat(
        [-by_point @ rotations.skew(at.point_b), by_point * at.inverse_depth[..., None, None]], -1
    )
    by_depth = (by_point @ b_from_a[:, None, :3, 3:]).squeeze(-1)
    stiffness = (by_depth**2).sum(-1) + 1e-9
    along = (by_camera * by_depth[..., None]).sum(-2)
    free = (at.inverse_depth > 0) & (at.inverse_depth < matches.max_inverse_depth)
    by_camera = by_camera - torch.where(
        free[..., None, None],
        by_depth[..., None] * (along / stiffness[..., None])[..., None, :],
        torch.zeros_like(by_camera),
    )
    weighted = by_camera * weight[..., None, None]
    return Linearisation(
        cost=(matches.weight * torch.where(at.visible > 0, loss, matches.outlier_sigmas**2)).sum(
            -1
        ),
        gradient=torch.einsum("hsrx,hsr->hx", weighted, at.error),
        hessian=torch.einsum("hsrx,hsry->hxy", weighted, by_camera),
    )


def _reproject(b_from_a: Float[Tensor, "H 4 4"], matches: BackgroundMatches) -> _Reprojection:
    rays = _rays(matches.uv[0], matches.K[0])
    target = _rays(matches.uv[1], matches.K[1])[..., :2]
    turned = rays @ b_from_a[:, :3, :3].transpose(-1, -2)
    shift = b_from_a[:, None, :3, 3]
    # (turned + rho shift) must lie on the ray of ``target``: two equations linear in rho.
    constant = turned[..., :2] - target * turned[..., 2:]
    slope = shift[..., :2] - target * shift[..., 2:]
    inverse_depth = -(constant * slope).sum(-1) / ((slope**2).sum(-1) + 1e-12)
    inverse_depth = inverse_depth.clamp(0, matches.max_inverse_depth)
    point = turned + inverse_depth[..., None] * shift
    visible = (point[..., 2] > _MIN_COSINE).to(point.dtype)
    depth = point[..., 2:].clamp_min(_MIN_COSINE)
    point = torch.cat([point[..., :2], depth], dim=-1)
    focal = matches.K[1].diagonal()[:2] / matches.sigma_px
    error = (point[..., :2] / depth - target) * focal
    return _Reprojection((error**2).sum(-1), error, point, inverse_depth, visible)


def _rays(uv: Float[Tensor, "S 2"], K: Float[Tensor, "3 3"]) -> Float[Tensor, "S 3"]:
    homogeneous = torch.cat([uv, torch.ones_like(uv[..., :1])], dim=-1)
    return homogeneous @ torch.linalg.inv(K).transpose(-1, -2)
