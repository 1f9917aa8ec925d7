"""HMR2's crop camera in the whole image (``facts/hmr2.md`` section 5)."""

import torch
from jaxtyping import Float
from torch import Tensor


def transl_from_crop_camera(
    camera: Float[Tensor, "*batch 3"],
    centre_uv: Float[Tensor, "*batch 2"],
    side_px: Float[Tensor, "*batch"],
    K: Float[Tensor, "*batch 3 3"],
) -> Float[Tensor, "*batch 3"]:
    """Where the body stands before the image's camera: smplx's ``transl`` in ``cam``, metres.

    ``camera`` is (s, x, y): the body's origin, moved by (x, y) metres, is seen at s / 2 squares
    per metre from the centre of the square. So a metre there is ``side * s / 2`` pixels of the
    image, the body's origin is seen at ``centre + (x, y) * side * s / 2``, and a lens of focal
    length f makes a metre that large at depth ``2 f / (side * s)``. The place is the point at this
    depth behind that pixel::

        transl = depth * inv(K) @ (u, v, 1)

    which is upstream's ``x + 2 (cx - W / 2) / (side * s)`` where the principal point is the
    image's centre, but holds for any. Of two focal lengths the geometric mean tells the depth.
    Pixels of ``centre_uv`` and of ``K`` count from the same origin, whichever. HMR2 poses the body
    about SMPL's own origin, as smplx does, so nothing else is to be added.

    A scale that is not positive gives a place at or behind the camera: the caller's to refuse.
    """
    scale, offset_m = camera[..., 0], camera[..., 1:]
    px_per_m = side_px * scale / 2
    focal = (K[..., 0, 0] * K[..., 1, 1]).sqrt()
    depth = focal / (px_per_m + EPS_PX_PER_M)
    uv = centre_uv + offset_m * px_per_m[..., None]
    pixel = torch.cat([uv, torch.ones_like(uv[..., :1])], dim=-1)
    return depth[..., None] * torch.linalg.solve(K, pixel[..., None])[..., 0]


EPS_PX_PER_M = 0.5e-9
"""Upstream's 1e-9 beside ``side * s``: a scale of 0 stays finite."""
