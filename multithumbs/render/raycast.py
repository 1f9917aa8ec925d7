"""Ray casting of triangle meshes through a pinhole camera; the same kernels on CPU and CUDA.

Rays are ``K^-1 (u, v, 1)``: their third component is one, so the ray parameter *is* the depth
along the optical axis. Only 16x16-pixel tiles that a triangle's projection touches are cast.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import warp as wp
from jaxtyping import Float, Float32, Int, Int32

from multithumbs.render.kernels import TILE, cast_tiles, mark_tiles
from multithumbs.render.runtime import warp_device

SLACK_TILES = 0.5 / TILE
"""Half a pixel, for float32 rounding at the tiles' borders."""


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

    def launch_faces(self, kernel: Any, inputs: list, outputs: list) -> None:
        """Run ``kernel(points, indices, *inputs, *outputs)`` with one thread per face."""
        wp.launch(
            kernel,
            dim=len(self.faces),
            inputs=[self._warp.points, self._warp.indices, *inputs],
            outputs=outputs,
            device=self.device,
        )

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
    depth = np.full(grid.hw, np.inf, np.float32)
    index = np.full((*grid.hw, 2), -1, np.int32)
    bary = np.zeros((*grid.hw, 2), np.float32)
    view = view_of(meshes, grid, cam_from_world)
    if view is not None:
        outputs = [
            wp.array(depth, dtype=wp.float32, device=view.device),
            wp.array(index, dtype=wp.vec2i, device=view.device),
            wp.array(bary, dtype=wp.vec2, device=view.device),
        ]
        view.launch(cast_tiles, [], outputs)
        depth, index, bary = (array.numpy() for array in outputs)
    return Hits(depth=depth, mesh=index[..., 0].copy(), face=index[..., 1].copy(), bary=bary)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What every per-pixel kernel needs: the meshes, the tiles to cast, and the camera's rays."""

    device: str
    meshes: wp.array
    tiles: wp.array
    world_from_ray: wp.mat33
    origin: wp.vec3

    def launch(self, kernel: Any, inputs: list, outputs: list) -> None:
        """Run ``kernel(meshes, *inputs, tiles, world_from_ray, origin, *outputs)``."""
        wp.launch(
            kernel,
            dim=(len(self.tiles), TILE * TILE),
            inputs=[self.meshes, *inputs, self.tiles, self.world_from_ray, self.origin],
            outputs=outputs,
            device=self.device,
        )


def view_of(
    meshes: Sequence[Mesh],
    grid: PixelGrid,
    cam_from_world: Float[np.ndarray, "4 4"] | None,
) -> View | None:
    """The launch parameters of a camera; None where it sees no mesh."""
    cam_from_world = np.eye(4) if cam_from_world is None else np.asarray(cam_from_world, float)
    world_from_cam = np.linalg.inv(cam_from_world)
    tiles = covered_tiles(meshes, grid, cam_from_world)
    if len(tiles) == 0:
        return None
    device = meshes[0].device
    world_from_ray = world_from_cam[:3, :3] @ np.linalg.inv(grid.K)
    return View(
        device=device,
        meshes=mesh_handles(meshes),
        tiles=wp.array(tiles, dtype=wp.vec2i, device=device),
        world_from_ray=wp.mat33(*world_from_ray.reshape(-1).tolist()),
        origin=wp.vec3(*world_from_cam[:3, 3].tolist()),
    )


def mesh_handles(meshes: Sequence[Mesh]) -> wp.array:
    """The meshes' handles as a kernel's input."""
    ids = np.array([mesh.id for mesh in meshes], np.uint64)
    return wp.array(ids, dtype=wp.uint64, device=meshes[0].device)


def covered_tiles(
    meshes: Sequence[Mesh], grid: PixelGrid, cam_from_world: Float[np.ndarray, "4 4"]
) -> Int32[np.ndarray, "T 2"]:
    """Row and column of each tile that the bounding box of some projected triangle touches."""
    if not meshes:
        return np.zeros((0, 2), np.int32)
    device = meshes[0].device
    shape = (-(-grid.hw[0] // TILE), -(-grid.hw[1] // TILE))
    covered = wp.zeros(shape, dtype=wp.int32, device=device)
    tile_from_cam = np.eye(4)
    tile_from_cam[:3, :3] = np.diag([1 / TILE, 1 / TILE, 1]) @ grid.K
    tile_from_world = tile_from_cam @ cam_from_world
    for mesh in meshes:
        mesh.launch_faces(
            mark_tiles, [wp.mat44(*tile_from_world.reshape(-1).tolist()), SLACK_TILES], [covered]
        )
    return np.argwhere(covered.numpy() > 0).astype(np.int32)
