"""Which points of the scene a camera sees."""

from collections.abc import Sequence

import numpy as np
import warp as wp
from jaxtyping import Bool, Float

from multithumbs.render.kernels import NEAR_M, unobstructed
from multithumbs.render.raycast import Mesh, mesh_handles


def visible(
    points_world: Float[np.ndarray, "N 3"],
    meshes: Sequence[Mesh],
    K: Float[np.ndarray, "3 3"],
    hw: tuple[int, int],
    *,
    cam_from_world: Float[np.ndarray, "4 4"] | None = None,
    tolerance_m: float = 0.01,
) -> Bool[np.ndarray, " N"]:
    """True where a point projects into the image and no face stands before it.

    A face nearer to the point than ``tolerance_m`` along the ray does not hide it, so points on a
    surface see past that surface itself; for joints, which lie inside, pass the limb's thickness.
    """
    cam_from_world = np.eye(4) if cam_from_world is None else np.asarray(cam_from_world, float)
    seen, _ = in_image(points_world, K, hw, cam_from_world)
    if seen.any() and len(meshes):
        device = meshes[0].device
        origin = np.linalg.inv(cam_from_world)[:3, 3]
        candidates = np.asarray(points_world[seen], np.float32)
        clear = wp.array(shape=len(candidates), dtype=wp.int32, device=device)
        wp.launch(
            unobstructed,
            dim=len(candidates),
            inputs=[
                mesh_handles(meshes),
                wp.vec3(*origin.tolist()),
                wp.array(candidates, dtype=wp.vec3, device=device),
                float(tolerance_m),
            ],
            outputs=[clear],
            device=device,
        )
        seen[seen] = clear.numpy() > 0
    return seen


def in_image(
    points_world: Float[np.ndarray, "N 3"],
    K: Float[np.ndarray, "3 3"],
    hw: tuple[int, int],
    cam_from_world: Float[np.ndarray, "4 4"],
) -> tuple[Bool[np.ndarray, " N"], Float[np.ndarray, "N 2"]]:
    """Whether each point lies before the camera and inside the image, and its pixel."""
    cam = points_world @ cam_from_world[:3, :3].T + cam_from_world[:3, 3]
    z = cam[:, 2]
    uv = (cam @ np.asarray(K, float)[:2].T) / np.maximum(z, NEAR_M)[:, None]
    inside = (z > NEAR_M) & (uv >= 0).all(1) & (uv < np.array(hw[::-1])).all(1)
    return inside, uv
