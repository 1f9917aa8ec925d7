"""Bodies drawn over a frame, one stable colour per identity."""

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np
import warp as wp
from jaxtyping import Float, Float32, Int, UInt8

from multithumbs.render.kernels import shade_tiles
from multithumbs.render.raycast import Mesh, PixelGrid, view_of

_GOLDEN = 0.618033988749895


def identity_colour(person: int) -> tuple[int, int, int]:
    """An RGB colour that depends on the identity alone; near ids get far hues."""
    hue = (0.58 + person * _GOLDEN) % 1.0
    saturation, value = (0.75, 0.95) if person % 2 == 0 else (0.55, 1.0)
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def overlay(
    frame: UInt8[np.ndarray, "H W 3"],
    meshes: Sequence[Mesh],
    colours: Sequence[tuple[int, int, int]],
    K: Float[np.ndarray, "3 3"],
    *,
    cam_from_world: Float[np.ndarray, "4 4"] | None = None,
    alpha: float = 0.7,
    ambient: float = 0.25,
    stride: int = 2,
) -> UInt8[np.ndarray, "H W 3"]:
    """A copy of ``frame`` with every mesh blended over it, lit from the camera.

    ``stride`` 2 casts a quarter of the rays and smooths the outlines; 1 is exact.
    """
    hw = (frame.shape[0], frame.shape[1])
    rgba = shade(
        meshes, colours, K, hw, cam_from_world=cam_from_world, ambient=ambient, stride=stride
    )
    if rgba is None:
        return frame.copy()
    # Only the rows and columns that hold a body are resized and blended.
    rows, columns = (np.flatnonzero(rgba[..., 3].any(axis)) for axis in (1, 0))
    top, bottom = max(rows[0] - 1, 0), min(rows[-1] + 2, rgba.shape[0])
    left, right = max(columns[0] - 1, 0), min(columns[-1] + 2, rgba.shape[1])
    part = rgba[top:bottom, left:right]
    if stride > 1:
        size = (part.shape[1] * stride, part.shape[0] * stride)
        part = cv2.resize(part, size, interpolation=cv2.INTER_LINEAR)
    out = frame.copy()
    target = out[top * stride : bottom * stride, left * stride : right * stride]
    part = part[: target.shape[0], : target.shape[1]]
    blended = target * (1 - alpha * part[..., 3:]) + alpha * part[..., :3]
    target[...] = np.clip(blended + 0.5, 0, 255).astype(np.uint8)
    return out


def shade(
    meshes: Sequence[Mesh],
    colours: Sequence[tuple[int, int, int]],
    K: Float[np.ndarray, "3 3"],
    hw: tuple[int, int],
    *,
    cam_from_world: Float[np.ndarray, "4 4"] | None = None,
    ambient: float = 0.25,
    stride: int = 1,
) -> Float32[np.ndarray, "H W 4"] | None:
    """Lambert-shaded RGB (0 to 255, times alpha) and alpha of the bodies; None if none shows."""
    grid = PixelGrid.of(K, hw, stride)
    view = view_of(meshes, grid, cam_from_world)
    if view is None:
        return None
    normals = np.concatenate([vertex_normals(mesh.vertices, mesh.faces) for mesh in meshes])
    first = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])]).astype(np.int32)
    rgba = wp.zeros(grid.hw, dtype=wp.vec4, device=view.device)
    view.launch(
        shade_tiles,
        [
            wp.array(first, dtype=wp.int32, device=view.device),
            wp.array(normals, dtype=wp.vec3, device=view.device),
            wp.array(np.array(colours, np.float32), dtype=wp.vec3, device=view.device),
            float(ambient),
        ],
        [rgba],
    )
    return rgba.numpy() if rgba.numpy()[..., 3].any() else None


def vertex_normals(
    vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]
) -> Float32[np.ndarray, "V 3"]:
    """Unit normals, the area-weighted mean of the faces around each vertex."""
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    normal = np.cross(b - a, c - a)
    flat = faces.T.reshape(-1)
    total = np.stack(
        [np.bincount(flat, np.tile(normal[:, axis], 3), len(vertices)) for axis in range(3)], 1
    )
    return (total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)).astype(
        np.float32
    )
