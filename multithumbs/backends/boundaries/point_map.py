"""A point per pixel, ray-cast from the bodies and the floor that they stand on."""

import numpy as np
from jaxtyping import Float, Int

from multithumbs.backends.boundaries.side import BoundarySide
from multithumbs.body import BodyModel
from multithumbs.config.boundaries import PointMapConfig
from multithumbs.render.raycast import Mesh, cast

_PELVIS, _NECK = 0, 12
_FEET = slice(15, 23)  # ankles, toes, heels among the 23 keypoints


def side_vertices(side: BoundarySide, body: BodyModel) -> Float[np.ndarray, "N V 3"]:
    """Everyone's posed mesh in the side's camera, metres."""
    pose, betas, transl = (body.tensor(values) for values in (side.pose, side.betas, side.transl))
    return body.vertices(pose, betas, transl).cpu().numpy()


def estimate_floor(
    scene_from_cam: Float[np.ndarray, "2 4 4"],
    sides: tuple[BoundarySide, BoundarySide],
    keypoints_cam: tuple[Float[np.ndarray, "_ 23 3"], Float[np.ndarray, "_ 23 3"]],
) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]] | None:
    """A point of the floor and its upward unit normal in ``scene``; None where no foot is seen.

    Up is the mean direction from pelvis to neck, taken again without those who lean away from
    it; the floor lies at the median height of everyone's lowest visible foot keypoint.
    """
    up, feet = [], []
    for transform, side, points in zip(scene_from_cam, sides, keypoints_cam, strict=True):
        spine = side.joints_cam[:, _NECK] - side.joints_cam[:, _PELVIS]
        up.append((spine / np.linalg.norm(spine, axis=1, keepdims=True)) @ transform[:3, :3].T)
        seen = side.confidence[:, _FEET] > 0
        for person in np.flatnonzero(seen.any(1)):
            feet.append(
                points[person, _FEET][seen[person]] @ transform[:3, :3].T + transform[:3, 3]
            )
    if not feet:
        return None
    directions = np.concatenate(up)
    mean = np.median(directions, axis=0)
    upright = directions @ mean > 0.9 * np.linalg.norm(mean)
    mean = directions[upright].mean(0) if upright.any() else mean
    normal = mean / np.linalg.norm(mean)
    lowest = np.array([points[(points @ normal).argmin()] for points in feet])
    middle = np.median(lowest, axis=0)
    height = np.median(lowest @ normal)
    return middle + (height - middle @ normal) * normal, normal


def cast_points(
    vertices_cam: Float[np.ndarray, "N V 3"],
    faces: Int[np.ndarray, "F 3"],
    body_confidence: Float[np.ndarray, " N"],
    floor_cam: tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]] | None,
    K: Float[np.ndarray, "3 3"],
    hw: tuple[int, int],
    config: PointMapConfig,
    device: str,
) -> tuple[Float[np.ndarray, "h w 3"], Float[np.ndarray, "h w"]]:
    """The point behind each cell of the grid in the camera, NaN where there is none; confidence."""
    grid = (-(-hw[0] // config.stride), -(-hw[1] // config.stride))
    # Cells tile the image exactly, also where the stride does not divide its size.
    K_grid = np.diag([grid[1] / hw[1], grid[0] / hw[0], 1.0]) @ K
    meshes = [Mesh(vertices, faces, device=device) for vertices in vertices_cam]
    confidence = np.append(body_confidence, config.ground_confidence)
    if floor_cam is not None:
        meshes.append(Mesh(*_square(*floor_cam, config.ground_extent_m), device=device))
    hits = cast(meshes, K_grid, grid)
    hit = hits.mesh >= 0
    v, u = np.indices(grid) + 0.5
    rays = np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(K_grid).T
    points = np.where(hit[..., None], rays * np.where(hit, hits.depth, 0)[..., None], np.nan)
    if floor_cam is not None:
        mesh_of = np.where(hits.mesh == len(vertices_cam), len(body_confidence), hits.mesh)
    else:
        mesh_of = hits.mesh
    return points, np.where(hit, confidence[mesh_of], 0.0)


def _square(
    point: Float[np.ndarray, "3"], normal: Float[np.ndarray, "3"], extent: float
) -> tuple[Float[np.ndarray, "4 3"], Int[np.ndarray, "2 3"]]:
    side = np.cross(normal, np.eye(3)[np.abs(normal).argmin()])
    side /= np.linalg.norm(side)
    other = np.cross(normal, side)
    corners = [side + other, side - other, -side - other, other - side]
    return point + extent * np.array(corners), np.array([[0, 1, 2], [0, 2, 3]])
