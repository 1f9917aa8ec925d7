"""A furnished room full of corners and texture: what visual odometry and SIFT live on."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from multithumbs.synth import patterns
from multithumbs.synth.renderer import Lighting, Textured

Number = int | float
Vector = tuple[Number, Number, Number]

CORNER_UV = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomStyle:
    """A room's shape and look; everything else follows from the seed."""

    half_x_m: float = 5.0
    half_z_m: float = 5.2
    height_m: float = 3.0
    seed: int = 0
    texture_scale: float = 1.0
    """1: full-size textures; 0.25 for tiny test scenes."""
    seats: tuple[tuple[float, float, float], ...] = ()
    """Stools as (x, z, height)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Meshes and light of a room; floor at y = 0, +y up."""

    shell: Textured
    furniture: Textured
    lighting: Lighting


class _Quads:
    """Collects textured rectangles, and images painted by generators of their own, so that the
    same seed gives the same geometry whatever the images' sizes, or without any."""

    def __init__(self, style: RoomStyle, name: int, painted: bool) -> None:
        self.seed = (style.seed, name)
        self.scale, self.painted = style.texture_scale, painted
        self.corners: list[np.ndarray] = []
        self.uv: list[np.ndarray] = []
        self.texture: list[int] = []
        self.textures: list[np.ndarray] = []

    def paint(self, size: int, image: Callable[[int, np.random.Generator], patterns.Image]) -> int:
        """Add an image of about ``size`` pixels; its index."""
        index = len(self.textures)
        side = max(int(2 ** round(np.log2(size * self.scale))), 16) if self.painted else 1
        rng = np.random.default_rng([*self.seed, 100 + index])
        picture = image(side, rng) if self.painted else np.full((1, 1, 3), 0.5)
        self.textures.append(patterns.bytes_of(picture))
        return index

    def quad(
        self,
        origin: Vector,
        across: Vector,
        down: Vector,
        texture: int,
        repeats: tuple[Number, Number] = (1, 1),
        offset: tuple[Number, Number] = (0, 0),
    ) -> None:
        """A rectangle from its top left corner, its two sides, and how often the image repeats."""
        o, a, d = (np.array(vector, float) for vector in (origin, across, down))
        self.corners.append(np.stack([o, o + a, o + a + d, o + d]))
        self.uv.append(CORNER_UV * np.array(repeats) + np.array(offset))
        self.texture.append(texture)

    def box(
        self,
        centre: Vector,
        size: Vector,
        texture: int,
        metres_per_image: float,
        rng: np.random.Generator,
    ) -> None:
        """An upright box; each side shows another part of the image."""
        (x, y, z), (sx, sy, sz) = centre, size
        left, right, top = x - sx / 2, x + sx / 2, y + sy / 2
        near, far = z + sz / 2, z - sz / 2
        sides = (
            ((left, top, near), (sx, 0, 0), (0, -sy, 0)),
            ((right, top, far), (-sx, 0, 0), (0, -sy, 0)),
            ((left, top, far), (0, 0, sz), (0, -sy, 0)),
            ((right, top, near), (0, 0, -sz), (0, -sy, 0)),
            ((left, top, far), (sx, 0, 0), (0, 0, sz)),
            ((left, y - sy / 2, near), (sx, 0, 0), (0, 0, -sz)),
        )
        for origin, across, down in sides:
            repeats = np.linalg.norm(across), np.linalg.norm(down)
            scaled = (float(repeats[0]) / metres_per_image, float(repeats[1]) / metres_per_image)
            offset = rng.uniform(0, 1, 2)
            self.quad(origin, across, down, texture, scaled, (float(offset[0]), float(offset[1])))

    def mesh(self) -> Textured:
        count = len(self.corners)
        faces = 4 * np.arange(count)[:, None, None] + np.array([[0, 1, 2], [0, 2, 3]])
        uv = np.stack(self.uv)
        return Textured(
            vertices=np.concatenate(self.corners),
            faces=faces.reshape(-1, 3),
            face_uv=np.stack([uv[:, [0, 1, 2]], uv[:, [0, 2, 3]]], 1).reshape(-1, 3, 2),
            face_texture=np.repeat(self.texture, 2),
            textures=tuple(self.textures),
        )


def build_room(style: RoomStyle, *, painted: bool = True) -> Room:
    """The same style gives the same room, bit by bit; unpainted, only its geometry."""
    return Room(
        shell=_shell(style, painted),
        furniture=_furniture(style, painted),
        lighting=_lighting(style),
    )


def _shell(style: RoomStyle, painted: bool) -> Textured:
    quads = _Quads(style, 11, painted)
    rng = np.random.default_rng([style.seed, 11])
    x, z, high = style.half_x_m, style.half_z_m, style.height_m
    hue = rng.uniform()
    oak, clay = patterns.rgb(0.075 + 0.02 * hue, 0.45, 0.62), patterns.rgb(0.03, 0.5, 0.6)
    tones = [patterns.rgb(hue + 0.13 * k, 0.16 + 0.10 * (k % 2), 0.74) for k in range(3)]
    floor = quads.paint(2048, lambda size, r: patterns.floor_boards(size, 64, oak, r))
    ceiling = quads.paint(512, lambda size, r: patterns.plaster(size, np.full(3, 0.86), r))
    walls = [
        quads.paint(1024, lambda size, r, tone=tone: patterns.plaster(size, tone, r))
        for tone in tones
    ]
    brick = quads.paint(1024, lambda size, r: patterns.bricks(size, 24, clay, r))
    dark = patterns.rgb(0.08, 0.5, 0.35)
    skirting = quads.paint(256, lambda size, r: patterns.wood(size, dark, r))
    quads.quad((-x, 0, -z), (2 * x, 0, 0), (0, 0, 2 * z), floor)
    quads.quad((-x, high, -z), (2 * x, 0, 0), (0, 0, 2 * z), ceiling, (4, 4))
    sides = (  # seen from inside: origin at the top left, then the way to the right
        ((-x, high, -z), (1.0, 0.0), 2 * x, walls[0], 3.2),
        ((x, high, -z), (0.0, 1.0), 2 * z, walls[1], 3.2),
        ((x, high, z), (-1.0, 0.0), 2 * x, brick, 2.6),
        ((-x, high, z), (0.0, -1.0), 2 * z, walls[2], 3.2),
    )
    for origin, (ax, az), length, texture, metres in sides:
        across = (ax * length, 0.0, az * length)
        quads.quad(origin, across, (0, -high, 0), texture, (length / metres, high / metres))
        inward = np.array([-az, 0.0, ax])  # to the right of the way along the wall, from above
        _dress_wall(quads, np.array(origin), np.array(across), inward, style, rng)
        base = np.array(origin) * [1, 0, 1] + [0, 0.11, 0] + 0.015 * inward
        quads.quad(_point(base), across, (0, -0.11, 0), skirting, (length, 0.2))
    rug = quads.paint(512, patterns.carpet)
    quads.quad((-1.7, 0.004, -1.5), (3.4, 0, 0), (0, 0, 3.0), rug)
    return quads.mesh()


def _dress_wall(
    quads: _Quads,
    origin: Float[np.ndarray, " 3"],
    across: Float[np.ndarray, " 3"],
    inward: Float[np.ndarray, " 3"],
    style: RoomStyle,
    rng: np.random.Generator,
) -> None:
    """Posters and bookshelves side by side, each with an image of its own."""
    length = float(np.linalg.norm(across))
    along = across / length
    place = rng.uniform(0.35, 0.7)
    while place < length - 1.0:
        shelf = rng.uniform() < 0.28
        width = rng.uniform(1.2, 1.6) if shelf else rng.uniform(0.55, 1.15)
        if place + width > length - 0.25:
            break
        tall = 2.1 if shelf else width * rng.uniform(0.85, 1.35)
        top = tall if shelf else rng.uniform(1.5, 1.7) + tall / 2
        image = _shelf if shelf else patterns.poster
        corner = origin * [1, 0, 1] + [0, min(top, style.height_m - 0.2), 0]
        corner = corner + along * place + inward * (0.05 if shelf else 0.03)
        texture = quads.paint(512, image)
        quads.quad(_point(corner), _point(along * width), (0, -tall, 0), texture)
        place += width + rng.uniform(0.18, 0.6)


def _shelf(size: int, rng: np.random.Generator) -> patterns.Image:
    return patterns.bookshelf(size, 5, rng)


def _point(vector: Float[np.ndarray, " 3"]) -> tuple[float, float, float]:
    x, y, z = vector.tolist()
    return x, y, z


def _furniture(style: RoomStyle, painted: bool) -> Textured:
    """Cabinets, crates and tables along the walls, with a few stools where the style says."""
    quads = _Quads(style, 12, painted)
    rng = np.random.default_rng([style.seed, 12])
    tones = [patterns.rgb(0.07 + 0.02 * k, 0.55, 0.3 + 0.15 * k) for k in range(3)]
    woods = [
        quads.paint(512, lambda size, r, tone=tone: patterns.wood(size, tone, r)) for tone in tones
    ]
    prints = [quads.paint(512, patterns.poster) for _ in range(3)]
    books = quads.paint(512, _shelf)
    x, z = style.half_x_m, style.half_z_m
    for side in range(4):
        for _ in range(3):
            wide, deep, tall = (
                rng.uniform(0.5, 1.3),
                rng.uniform(0.35, 0.55),
                rng.uniform(0.4, 0.95),
            )
            texture = int(rng.choice([*woods, *prints, books]))
            reach = (x if side % 2 == 0 else z) - 0.9
            along = rng.uniform(-reach, reach)
            away = (z if side % 2 == 0 else x) - deep / 2 - 0.06
            sign = 1 if side < 2 else -1
            if side % 2 == 0:
                centre, extent = (along, tall / 2, sign * away), (wide, tall, deep)
            else:
                centre, extent = (sign * away, tall / 2, along), (deep, tall, wide)
            quads.box(centre, extent, texture, 0.9, rng)
            if rng.uniform() < 0.6:
                small = (rng.uniform(0.15, 0.3), rng.uniform(0.12, 0.35), rng.uniform(0.15, 0.3))
                on_top = (centre[0], tall + small[1] / 2, centre[2])
                quads.box(on_top, small, int(rng.choice(prints)), 0.4, rng)
    for seat_x, seat_z, height in style.seats:
        quads.box((seat_x, height - 0.04, seat_z), (0.42, 0.08, 0.42), woods[0], 0.6, rng)
        for dx in (-0.17, 0.17):
            for dz in (-0.17, 0.17):
                leg = (seat_x + dx, height / 2 - 0.04, seat_z + dz)
                quads.box(leg, (0.05, height - 0.08, 0.05), woods[1], 0.6, rng)
    return quads.mesh()


def _lighting(style: RoomStyle) -> Lighting:
    y = style.height_m - 0.25
    return Lighting(
        position=np.array([[-2.2, y, 1.8], [2.6, y, -1.4]]),
        colour=np.array([[0.46, 0.44, 0.40], [0.34, 0.36, 0.40]]),
        sky=np.array([0.50, 0.50, 0.51]),
        ground=np.array([0.34, 0.32, 0.29]),
    )
