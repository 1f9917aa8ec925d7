"""Ray casting of triangle meshes through a pinhole camera; the same kernels on CPU and CUDA.

Rays are ``K^-1 (u, v, 1)``: their third component is one, so the ray parameter *is* the depth
along the optical axis. Only 16x16-pixel tiles that a triangle's projection touches are cast.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import warp as wp
from jaxtyping import Float, Float32, Int, Int32

from multithumbs.render.kernels import TILE, cast_tiles
from multithumbs.render.runtime import warp_device

NEAR_M = 1e-2
"""Triangles with a corner nearer than this cannot be bounded in the image: every tile is cast."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hits:
    """What each pixel's ray meets first."""

    depth: Float32[np.ndarray, "H W"]
    """Metres along the optical axis (z, not the ray's length); inf where nothing is hit."""
    mesh: Int32[np.ndarray, "H W"]
    """Index of the mesh in the cast sequence; -1 where nothing is hit."""
    face: Int32[np.ndarray, "H W"]
    """Row of that mesh's faces; -1 where nothing is hit."""
    bary: Float32[np.ndarray, "H W 2"]
    """Weights of the face's first and second corner; the third's is ``1 - sum``."""


class Mesh:
    """A triangle mesh with its own bounding-volume hierarchy.

    Each body has one, built once for its topology; a new pose only refits it (`move`).
    Raises BackendUnavailable where warp lacks the device.
    """

    def __init__(
        self,
        vertices: Float[np.ndarray, "V 3"],
        faces: Int[np.ndarray, "F 3"],
        *,
        device: str = "cpu",
    ) -> None:
        self.device = warp_device(device)
        self.vertices = np.ascontiguousarray(vertices, np.float32)
        self.faces = np.ascontiguousarray(faces, np.int32)
        self._warp = wp.Mesh(
            points=wp.array(self.vertices, dtype=wp.vec3, device=self.device),
            indices=wp.array(self.faces.reshape(-1), dtype=wp.int32, device=self.device),
        )

    @property
    def id(self) -> int:
        """Warp's handle, for kernels; valid as long as this object lives."""
        return int(self._warp.id)

    def move(self, vertices: Float[np.ndarray, "V 3"]) -> None:
        """Replace the vertices (same topology) and refit the hierarchy."""
        if vertices.shape != self.vertices.shape:
            raise ValueError(f"expected vertices {self.vertices.shape}, got {vertices.shape}")
        self.vertices = np.ascontiguousarray(vertices, np.float32)
        self._warp.points.assign(self.vertices)
        self._warp.refit()


@dataclass(frozen=True, slots=True)
class PixelGrid:
    """The pixels of an image, or of its ``stride`` times coarser version (same field of view)."""

    K: Float[np.ndarray, "3 3"]
    """Intrinsics of the grid itself: the image's, divided by the stride."""
    hw: tuple[int, int]

    @classmethod
    def of(cls, K: Float[np.ndarray, "3 3"], hw: tuple[int, int], stride: int = 1) -> "PixelGrid":
        """Coarse pixel (i, j) has its centre at ``uv = ((j + .5) stride, (i + .5) stride)``."""
        scale = np.diag([1 / stride, 1 / stride, 1.0])
        return cls(scale @ np.asarray(K, np.float64), (-(-hw[0] // stride), -(-hw[1] // stride)))


def raycast(
    vertices: Float[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
    K: Float[np.ndarray, "3 3"],
    hw: tuple[int, int],
    *,
    cam_from_world: Float[np.ndarray, "4 4"] | None = None,
    stride: int = 1,
    device: str = "cpu",
) -> Hits:
    """Cast one mesh once; see `cast` (``vertices`` are in the camera's frame by default)."""
    mesh = Mesh(vertices, faces, device=device)
    return cast([mesh], K, hw, cam_from_world=cam_from_world, stride=stride)


def cast(
    meshes: Sequence[Mesh],
    K: Float[np.ndarray, "3 3"],
    hw: tuple[int, int],
    *,
    cam_from_world: Float[np.ndarray, "4 4"] | None = None,
    stride: int = 1,
) -> Hits:
    """The nearest hit of every pixel's ray among ``meshes``, all on one device.

    ``K`` (pixels) and ``hw`` are the full image's; ``stride`` > 1 casts a coarser grid.
    """
    grid = PixelGrid.of(K, hw, stride)
    world_from_cam, cam_from_world = _both_ways(cam_from_world)
    height, width = grid.hw
    depth = np.full((height, width), np.inf, np.float32)
    index = np.full((height, width, 2), -1, np.int32)
    bary = np.zeros((height, width, 2), np.float32)
    tiles = covered_tiles(meshes, grid, cam_from_world)
    if len(tiles):
        device = meshes[0].device
        found = _launch(meshes, tiles, grid, world_from_cam, device)
        rows, columns = tile_pixels(tiles)
        inside = (rows < height) & (columns < width)
        rows, columns = rows[inside], columns[inside]
        depth[rows, columns] = found[0][inside]
        index[rows, columns] = found[1][inside]
        bary[rows, columns] = found[2][inside]
    return Hits(depth=depth, mesh=index[..., 0].copy(), face=index[..., 1].copy(), bary=bary)


def tile_pixels(
    tiles: Int32[np.ndarray, "T 2"],
) -> tuple[Int[np.ndarray, "T P"], Int[np.ndarray, "T P"]]:
    """Rows and columns of the ``TILE**2`` pixels of each tile, in the kernels' order."""
    offset = np.arange(TILE * TILE)
    rows = tiles[:, :1] * TILE + offset // TILE
    return rows, tiles[:, 1:] * TILE + offset % TILE


def covered_tiles(
    meshes: Sequence[Mesh], grid: PixelGrid, cam_from_world: Float[np.ndarray, "4 4"]
) -> Int32[np.ndarray, "T 2"]:
    """Row and column of each tile that the bounding box of some projected triangle touches."""
    rows, columns = -(-grid.hw[0] // TILE), -(-grid.hw[1] // TILE)
    # A difference image: +1 and -1 at each box's corners; its double running sum counts boxes.
    count = np.zeros((rows + 1, columns + 1), np.int64)
    for mesh in meshes:
        cam = mesh.vertices @ cam_from_world[:3, :3].T + cam_from_world[:3, 3]
        z = cam[:, 2]
        uv = (cam @ grid.K[:2].T) / np.maximum(z, NEAR_M)[:, None] / TILE
        corner_z = z[mesh.faces]
        in_front = corner_z.max(1) > NEAR_M
        if (in_front & (corner_z.min(1) <= NEAR_M)).any():
            count[0, 0] += 1
            continue
        corners = uv[mesh.faces[in_front]]
        # Half a pixel of slack covers float32 rounding at the tiles' borders.
        low = np.floor(corners.min(1) - 0.5 / TILE)
        high = np.floor(corners.max(1) + 0.5 / TILE) + 1
        limit = np.array([columns, rows])
        low, high = (np.clip(bound, 0, limit).astype(np.int64) for bound in (low, high))
        visible = (low < high).all(1)
        (left, top), (right, bottom) = low[visible].T, high[visible].T
        for row, column, sign in (
            (top, left, 1),
            (top, right, -1),
            (bottom, left, -1),
            (bottom, right, 1),
        ):
            flat = row * (columns + 1) + column
            count += sign * np.bincount(flat, minlength=count.size).reshape(count.shape)
    covered = count.cumsum(0).cumsum(1)[:-1, :-1] > 0
    return np.argwhere(covered).astype(np.int32)


def _both_ways(
    cam_from_world: Float[np.ndarray, "4 4"] | None,
) -> tuple[Float[np.ndarray, "4 4"], Float[np.ndarray, "4 4"]]:
    matrix = np.eye(4) if cam_from_world is None else np.asarray(cam_from_world, np.float64)
    return np.linalg.inv(matrix), matrix


def _launch(
    meshes: Sequence[Mesh],
    tiles: Int32[np.ndarray, "T 2"],
    grid: PixelGrid,
    world_from_cam: Float[np.ndarray, "4 4"],
    device: str,
) -> tuple[Float32[np.ndarray, "T P"], Int32[np.ndarray, "T P 2"], Float32[np.ndarray, "T P 2"]]:
    shape = (len(tiles), TILE * TILE)
    depth = wp.array(shape=shape, dtype=wp.float32, device=device)
    index = wp.array(shape=shape, dtype=wp.vec2i, device=device)
    bary = wp.array(shape=shape, dtype=wp.vec2, device=device)
    ids = np.array([mesh.id for mesh in meshes], np.uint64)
    world_from_ray = world_from_cam[:3, :3] @ np.linalg.inv(grid.K)
    wp.launch(
        cast_tiles,
        dim=shape,
        inputs=[
            wp.array(ids, dtype=wp.uint64, device=device),
            wp.array(tiles, dtype=wp.vec2i, device=device),
            wp.mat33(*world_from_ray.reshape(-1).tolist()),
            wp.vec3(*world_from_cam[:3, 3].tolist()),
        ],
        outputs=[depth, index, bary],
        device=device,
    )
    return depth.numpy(), index.numpy(), bary.numpy()
