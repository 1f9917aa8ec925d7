"""Frames of a scene: posed people and a room, textured and lit."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import warp as wp
from jaxtyping import Float, Float32, Int, Int32, UInt8

from multithumbs.render.kernels import TILE
from multithumbs.render.overlay import vertex_normals
from multithumbs.render.raycast import Mesh
from multithumbs.render.runtime import warp_device
from multithumbs.synth.kernels import Lamps, Surfaces, finish_pixels, render_pixels
from multithumbs.synth.textures import TexturePack


@dataclass(frozen=True, slots=True, kw_only=True)
class Textured:
    """A mesh that can be shaded."""

    vertices: Float[np.ndarray, "V 3"]
    faces: Int[np.ndarray, "F 3"]
    face_uv: Float[np.ndarray, "F 3 2"]
    """Repeats beyond [0, 1]."""
    face_texture: Int[np.ndarray, " F"]
    """Index into ``textures``."""
    textures: tuple[UInt8[np.ndarray, "_ _ 3"], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lighting:
    """Two or three lamps over an ambient dome; linear RGB."""

    position: Float[np.ndarray, "L 3"]
    colour: Float[np.ndarray, "L 3"]
    sky: Float[np.ndarray, " 3"]
    ground: Float[np.ndarray, " 3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One rendered frame."""

    rgb: UInt8[np.ndarray, "H W 3"]
    mesh: Int32[np.ndarray, "H W"]
    """The person's index where a person is seen first; otherwise at least the number of people."""
    depth: Float32[np.ndarray, "H W"]
    """Metres along the optical axis."""


class Renderer:
    """Holds the meshes of a scene on the device; people move, the rest stays.

    ``people`` come first, then ``furniture`` (both cast shadows), then the room's ``shell``.
    """

    def __init__(
        self,
        people: Sequence[Textured],
        furniture: Sequence[Textured],
        shell: Textured,
        lighting: Lighting,
        device: str = "cpu",
        threads: int = 1,
    ) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self.device = warp_device(device)
        self.num_people = len(people)
        parts = [*people, *furniture, shell]
        self.meshes = [Mesh(part.vertices, part.faces, device=device) for part in parts]
        self._normals = [vertex_normals(part.vertices, part.faces) for part in parts]
        self._lighting = lighting
        self._surfaces = self._tables(parts, num_casters=len(parts) - 1)

    def _array(self, values: np.ndarray, dtype: type) -> wp.array:
        return wp.array(values, dtype=dtype, device=self.device)

    def _tables(self, parts: list[Textured], num_casters: int) -> Any:
        images = [image for part in parts for image in part.textures]
        pack = TexturePack.of(images)
        first_texture = np.cumsum([0, *(len(part.textures) for part in parts[:-1])])
        textures = [p.face_texture + first for p, first in zip(parts, first_texture, strict=True)]
        surfaces = Surfaces()
        surfaces.meshes = self._array(np.array([m.id for m in self.meshes], np.uint64), wp.uint64)
        surfaces.first_vertex = self._array(_starts([len(p.vertices) for p in parts]), wp.int32)
        surfaces.first_face = self._array(_starts([len(p.faces) for p in parts]), wp.int32)
        surfaces.normals = self._array(np.concatenate(self._normals), wp.vec3)
        uv = np.concatenate([part.face_uv for part in parts]).astype(np.float32)
        surfaces.corner_uv = self._array(uv, wp.vec2)
        surfaces.face_texture = self._array(np.concatenate(textures).astype(np.int32), wp.int32)
        density = np.concatenate([_uv_per_metre(part) for part in parts])
        surfaces.uv_per_metre = self._array(density, wp.float32)
        surfaces.texels = self._array(pack.texels, wp.vec3ub)
        surfaces.texture_start = self._array(pack.start, wp.int32)
        surfaces.texture_size = self._array(pack.size, wp.int32)
        surfaces.num_casters = num_casters
        surfaces.num_people = self.num_people
        return surfaces

    def picture(
        self,
        people: Sequence[Float[np.ndarray, "V 3"]],
        blobs: Float[np.ndarray, "B 4"],
        K: Float[np.ndarray, "3 3"],
        world_from_cam: Float[np.ndarray, "4 4"],
        hw: tuple[int, int],
    ) -> Picture:
        """Render; ``people`` are posed vertices, ``blobs`` spheres that darken the room nearby."""
        for index, vertices in enumerate(people):
            self.meshes[index].move(vertices)
            self._normals[index] = vertex_normals(vertices, self.meshes[index].faces)
        self._surfaces.normals.assign(np.concatenate(self._normals))
        lamps = Lamps()
        lamps.position = self._array(self._lighting.position.astype(np.float32), wp.vec3)
        lamps.colour = self._array(self._lighting.colour.astype(np.float32), wp.vec3)
        lamps.sky = wp.vec3(*self._lighting.sky.tolist())
        lamps.ground = wp.vec3(*self._lighting.ground.tolist())
        lamps.blobs = self._array(blobs.astype(np.float32).reshape(-1, 4), wp.vec4)
        tiles = np.argwhere(np.ones((-(-hw[0] // TILE), -(-hw[1] // TILE)))).astype(np.int32)
        camera = [
            wp.mat33(*(world_from_cam[:3, :3] @ np.linalg.inv(K)).reshape(-1).tolist()),
            wp.vec3(*world_from_cam[:3, 3].tolist()),
            float(1 / K[0, 0]),
        ]
        colour = wp.zeros(hw, dtype=wp.vec3, device=self.device)
        key = wp.zeros(hw, dtype=wp.vec3i, device=self.device)
        depth = wp.zeros(hw, dtype=wp.float32, device=self.device)
        image = wp.zeros(hw, dtype=wp.vec3ub, device=self.device)
        first = [colour, key, depth]
        self._launch(render_pixels, [self._surfaces, lamps], tiles, [*camera, *first])
        self._launch(finish_pixels, [self._surfaces, lamps], tiles, [*camera, *first, image])
        return Picture(
            rgb=image.numpy().reshape(*hw, 3),
            mesh=key.numpy().reshape(*hw, 3)[..., 0].copy(),
            depth=depth.numpy(),
        )

    def _launch(
        self, kernel: Any, scene: list, tiles: Int32[np.ndarray, "T 2"], arguments: list
    ) -> None:
        """One thread per pixel; warp's CPU kernels run on the calling thread, so share them out."""
        count = self._threads if self.device == "cpu" else 1
        # Neighbouring tiles cost about the same: deal them out like cards.
        hands = [self._array(tiles[part::count], wp.vec2i) for part in range(count)]

        def run(hand: wp.array) -> None:
            wp.launch(
                kernel,
                dim=(len(hand), TILE * TILE),
                inputs=[*scene, hand, *arguments],
                device=self.device,
            )

        run_all = map if self._pool is None else self._pool.map
        list(run_all(run, hands))


def _starts(sizes: list[int]) -> Int32[np.ndarray, " P"]:
    return np.cumsum([0, *sizes[:-1]]).astype(np.int32)


def _uv_per_metre(part: Textured) -> Float32[np.ndarray, " F"]:
    """How much of the texture a metre of each face spans."""
    corners = part.vertices[part.faces]
    world = np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    a = part.face_uv[:, 1] - part.face_uv[:, 0]
    b = part.face_uv[:, 2] - part.face_uv[:, 0]
    image = np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
    return np.sqrt(image / np.maximum(world, 1e-12)).astype(np.float32)
