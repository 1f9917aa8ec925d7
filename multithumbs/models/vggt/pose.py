"""VGGT's pose encoding and its pixel convention (facts/vggt.md, 5 and 6).

The encoding holds ``[t (3), quaternion xyzw (4, any length), vertical and horizontal field of
view (radians)]`` of ``cam_from_scene`` in OpenCV's axes. The network's pixels are indices:
pixel ``u`` looks along ``(u - W / 2) / fx``, while ours puts its centre at ``u + 0.5``.
`pixel_centred` is the one place where that is converted.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from multithumbs.geometry import projection, rigid, rotations


def decode(
    encoding: Float[Tensor, "*batch 9"], hw: tuple[int, int]
) -> tuple[Float[Tensor, "*batch 4 4"], Float[Tensor, "*batch 3 3"]]:
    """``cam_from_scene`` (scene units) and K in the network's index pixels.

    A field of view of zero gives an infinite focal length, a zero quaternion NaN.
    """
    rotation = rotations.matrix_from_quaternion(encoding[..., [6, 3, 4, 5]])
    size = encoding.new_tensor(hw)
    focal = size / 2 / (encoding[..., 7:] / 2).tan()
    K = encoding.new_zeros(*encoding.shape[:-1], 3, 3)
    K[..., 0, 0], K[..., 1, 1] = focal[..., 1], focal[..., 0]
    K[..., 0, 2], K[..., 1, 2] = size[1] / 2, size[0] / 2
    K[..., 2, 2] = 1
    return rigid.compose(rotation, encoding[..., :3]), K


def encode(
    cam_from_scene: Float[Tensor, "*batch 4 4"],
    K: Float[Tensor, "*batch 3 3"],
    hw: tuple[int, int],
) -> Float[Tensor, "*batch 9"]:
    """What the camera head would say of these cameras (the principal point is not encoded)."""
    quaternion = rotations.quaternion_from_matrix(cam_from_scene[..., :3, :3])
    size = K.new_tensor(hw)
    focal = torch.stack([K[..., 1, 1], K[..., 0, 0]], -1)
    fov = 2 * torch.atan(size / 2 / focal)
    return torch.cat([cam_from_scene[..., :3, 3], quaternion[..., [1, 2, 3, 0]], fov], -1)


def pixel_centred(K: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3 3"]:
    """The same camera where the first pixel's centre is (0.5, 0.5)."""
    shifted = K.clone()
    shifted[..., :2, 2] += 0.5
    return shifted


def points_from_depth(
    depth: Float[Tensor, "*batch H W"], K: Float[Tensor, "*batch 3 3"]
) -> Float[Tensor, "*batch H W 3"]:
    """Camera points of a depth map; K counts from pixel centres (`pixel_centred`)."""
    height, width = depth.shape[-2:]
    v = torch.arange(height, dtype=depth.dtype, device=depth.device) + 0.5
    u = torch.arange(width, dtype=depth.dtype, device=depth.device) + 0.5
    row, column = torch.meshgrid(v, u, indexing="ij")
    uv = torch.stack([column, row], -1).flatten(0, 1).expand(*depth.shape[:-2], -1, -1)
    points = projection.unproject(uv, depth.flatten(-2), K)
    return points.unflatten(-2, (height, width))
