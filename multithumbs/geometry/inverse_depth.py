"""Frames with an inverse depth per cell of a grid, seen from one another.

Facts droid.md, sections 6 and 8. A cell (x, y) of source frame i with inverse depth d is the
homogeneous point ``((x - cx) / fx, (y - cy) / fy, 1, d)`` of its camera. Cells are counted from
(0, 0) at the centre of the first one; d = 0 is a point at infinity.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from multithumbs.geometry import rigid

CELL = 8
"""Pixels along a side of a cell."""
MIN_DEPTH = 0.2
"""Points nearer to the target's camera are not valid; below half of it they are not divided."""
DISTANCE_MIN_DEPTH = 0.25
DISTANCE_MIN_SHARE = 0.75
FAR_APART = 1000.0
"""Distance of frames of which fewer points than that share stay in front of the camera."""


def grid_intrinsics(K: Float[Tensor, "3 3"]) -> Float[Tensor, " 4"]:
    """(fx, fy, cx, cy) of the 1/8 grid from ``K`` of the image (pixel centres at 0.5).

    Strided convolutions centre cell (x, y) on the pixel of index (8 x, 8 y), whose centre is at
    8 x + 0.5: a cell's coordinate is ``(u - 0.5) / 8``.
    """
    focal = torch.stack([K[0, 0], K[1, 1]]) / CELL
    centre = (K[:2, 2] - 0.5) / CELL
    return torch.cat([focal, centre])


def grid_coordinates(h: int, w: int, like: Tensor) -> Float[Tensor, "h w 2"]:
    """(x, y) of every cell, in the dtype and on the device of ``like``."""
    x = torch.arange(w, dtype=like.dtype, device=like.device)
    y = torch.arange(h, dtype=like.dtype, device=like.device)
    return torch.stack([x.expand(h, w), y[:, None].expand(h, w)], dim=-1)


def grid_rays(
    h: int, w: int, intrinsics: Float[Tensor, " 4"], like: Tensor
) -> Float[Tensor, "3 hw"]:
    """Camera points of the cells at depth one."""
    x, y = grid_coordinates(h, w, like).flatten(0, 1).unbind(-1)
    fx, fy, cx, cy = intrinsics.to(like).unbind()
    return torch.stack([(x - cx) / fx, (y - cy) / fy, torch.ones_like(x)])


def relative_poses(
    cam_from_world: Float[Tensor, "F 4 4"], ii: Int[Tensor, " E"], jj: Int[Tensor, " E"]
) -> Float[Tensor, "E 4 4"]:
    """``camj_from_cami`` of every edge."""
    return cam_from_world[jj] @ rigid.inverse(cam_from_world)[ii]


def transformed_points(
    camj_from_cami: Float[Tensor, "E 4 4"],
    rays: Float[Tensor, "3 hw"],
    inverse_depth: Float[Tensor, "E hw"],
) -> Float[Tensor, "E 3 hw"]:
    """``R ray + d t``: the target's camera points times the source's inverse depth."""
    moved = camj_from_cami[:, :3, :3] @ rays
    return torch.addcmul(moved, camj_from_cami[:, :3, 3:], inverse_depth[:, None])


def reproject(
    cam_from_world: Float[Tensor, "F 4 4"],
    inverse_depth: Float[Tensor, "F h w"],
    intrinsics: Float[Tensor, " 4"],
    ii: Int[Tensor, " E"],
    jj: Int[Tensor, " E"],
) -> tuple[Float[Tensor, "E h w 2"], Bool[Tensor, "E h w"]]:
    """Where the cells of the sources ``ii`` lie in the grids of ``jj``, and which are in front.

    In the dtype of ``inverse_depth``. Coordinates are finite everywhere; those that are not
    valid mean nothing.
    """
    h, w = inverse_depth.shape[1:]
    pose = relative_poses(cam_from_world, ii, jj).to(inverse_depth.dtype)
    rays = grid_rays(h, w, intrinsics, inverse_depth)
    points = transformed_points(pose, rays, inverse_depth.flatten(1)[ii])
    depth = points[:, 2]
    divisor = torch.where(depth < MIN_DEPTH / 2, 1.0, depth)
    fx, fy, cx, cy = intrinsics.to(inverse_depth).unbind()
    coords = torch.stack([fx * points[:, 0] / divisor + cx, fy * points[:, 1] / divisor + cy], -1)
    return coords.unflatten(1, (h, w)), (depth > MIN_DEPTH).unflatten(1, (h, w))


def frame_distance(
    cam_from_world: Float[Tensor, "F 4 4"],
    inverse_depth: Float[Tensor, "F h w"],
    intrinsics: Float[Tensor, " 4"],
    ii: Int[Tensor, " E"],
    jj: Int[Tensor, " E"],
    beta: float = 0.3,
    bidirectional: bool = True,
) -> Float[Tensor, " E"]:
    """Mean motion between frames in cells: ``beta`` full, the rest by the translation alone.

    The mean of both directions where ``bidirectional``. A direction in which too many points
    fall behind the camera counts `FAR_APART`.
    """
    forth = _one_way_distance(cam_from_world, inverse_depth, intrinsics, ii, jj, beta)
    if not bidirectional:
        return forth
    back = _one_way_distance(cam_from_world, inverse_depth, intrinsics, jj, ii, beta)
    return 0.5 * (forth + back)


def _one_way_distance(
    cam_from_world: Float[Tensor, "F 4 4"],
    inverse_depth: Float[Tensor, "F h w"],
    intrinsics: Float[Tensor, " 4"],
    ii: Int[Tensor, " E"],
    jj: Int[Tensor, " E"],
    beta: float,
) -> Float[Tensor, " E"]:
    h, w = inverse_depth.shape[1:]
    full = relative_poses(cam_from_world, ii, jj).to(inverse_depth.dtype)
    sliding = full.clone()
    sliding[:, :3, :3] = torch.eye(3, dtype=full.dtype, device=full.device)
    rays = grid_rays(h, w, intrinsics, inverse_depth)
    depth_of_source = inverse_depth.flatten(1)[ii]
    focal = intrinsics[:2, None].to(inverse_depth)
    moved, share = torch.zeros_like(full[:, 0, 0]), torch.zeros_like(full[:, 0, 0])
    for pose, part in ((full, beta), (sliding, 1 - beta)):
        points = transformed_points(pose, rays, depth_of_source)
        front = points[:, 2] > DISTANCE_MIN_DEPTH
        flow = focal * (points[:, :2] / torch.where(front, points[:, 2], 1.0)[:, None] - rays[:2])
        moved += part * (flow.norm(dim=1) * front).sum(-1)
        share += part * front.sum(-1, dtype=share.dtype)
    enough = share >= DISTANCE_MIN_SHARE * h * w
    return torch.where(enough, moved / share.clamp_min(1), FAR_APART)
