"""Normal equations of dense bundle adjustment, edge by edge: the PyTorch reference.

Facts droid.md, sections 6 and 7. An edge's residual depends on its two poses only through the
relative pose ``camj_from_cami``, whose twist is ``delta = twist_j - Ad(camj_from_cami) twist_i``:
every term is kept by that one twist of six, and expanded to the poses once summed over cells.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from multithumbs.geometry.inverse_depth import transformed_points

WEIGHT_SCALE = 1e-3
"""Of the network's confidences."""
MIN_DEPTH = 0.25
"""Cells whose point is nearer to the target's camera have no weight in that edge."""


class EdgeTerms(NamedTuple):
    """Sums over a cell's two coordinates of weight times products of derivatives and residual."""

    pose: Float[Tensor, "E 6 6"]
    """Twist by twist, summed over cells."""
    pose_right: Float[Tensor, "E 6"]
    cross: Float[Tensor, "E 6 hw"]
    """Twist by the cell's inverse depth."""
    depth: Float[Tensor, "E hw"]
    depth_right: Float[Tensor, "E hw"]


class Derivatives(NamedTuple):
    """Of a cell's projection."""

    coords: Float[Tensor, "E 2 hw"]
    twist: Float[Tensor, "E 6 2 hw"]
    inverse_depth: Float[Tensor, "E 2 hw"]
    in_front: Float[Tensor, "E hw"]
    """1 or 0; where 0 the point is too near for the rest to mean anything."""


def projection_derivatives(
    camj_from_cami: Float[Tensor, "E 4 4"],
    inverse_depth: Float[Tensor, "E hw"],
    rays: Float[Tensor, "3 hw"],
    intrinsics: Float[Tensor, " 4"],
) -> Derivatives:
    """Projections and their analytic derivatives by the edge's twist and the inverse depth."""
    points = transformed_points(camj_from_cami, rays, inverse_depth)
    front = points[:, 2] >= MIN_DEPTH
    inverse = torch.where(front, points[:, 2], 1.0).reciprocal()
    x, y = points[:, 0] * inverse, points[:, 1] * inverse
    near = inverse_depth * inverse
    fx, fy, cx, cy = intrinsics.unbind()
    twist = torch.empty(len(x), 6, 2, x.shape[1], dtype=x.dtype, device=x.device)
    twist[:, 0, 0], twist[:, 0, 1] = near * fx, 0.0
    twist[:, 1, 0], twist[:, 1, 1] = 0.0, near * fy
    xy = x * y
    twist[:, 2, 0], twist[:, 2, 1] = -fx * x * near, -fy * y * near
    twist[:, 3, 0], twist[:, 3, 1] = -fx * xy, -fy * (1 + y * y)
    twist[:, 4, 0], twist[:, 4, 1] = fx * (1 + x * x), fy * xy
    twist[:, 5, 0], twist[:, 5, 1] = -fx * y, fy * x
    tx, ty, tz = camj_from_cami[:, :3, 3, None].unbind(1)
    by_depth = torch.stack([fx * inverse * (tx - tz * x), fy * inverse * (ty - tz * y)], dim=1)
    coords = torch.stack([fx * x + cx, fy * y + cy], dim=1)
    return Derivatives(coords, twist, by_depth, front.to(x.dtype))


def edge_terms(
    camj_from_cami: Float[Tensor, "E 4 4"],
    inverse_depth: Float[Tensor, "E hw"],
    rays: Float[Tensor, "3 hw"],
    intrinsics: Float[Tensor, " 4"],
    target: Float[Tensor, "E hw 2"],
    weight: Float[Tensor, "E hw 2"],
) -> EdgeTerms:
    """All five sums; ``weight`` is the network's. What is no number has no weight."""
    found = projection_derivatives(camj_from_cami, inverse_depth, rays, intrinsics)
    target, weight = (x.to(found.coords).transpose(1, 2).contiguous() for x in (target, weight))
    residual = target - found.coords
    known = (residual * weight).isfinite()
    residual = torch.where(known, residual, 0.0)
    weight = torch.where(known, WEIGHT_SCALE * weight * found.in_front[:, None], 0.0)
    weighted = found.twist * weight[:, None]
    flat = weighted.flatten(2)
    depth_weighted = weight * found.inverse_depth
    return EdgeTerms(
        pose=flat @ found.twist.flatten(2).transpose(1, 2),
        pose_right=(flat @ residual.flatten(1)[..., None])[..., 0],
        cross=(found.twist * depth_weighted[:, None]).sum(2),
        depth=(depth_weighted * found.inverse_depth).sum(1),
        depth_right=(depth_weighted * residual).sum(1),
    )
