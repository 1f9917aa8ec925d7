"""Procedural images: noise, wood, plaster, posters, books. RGB float in [0, 1] unless said."""

import colorsys

import cv2
import numpy as np
from jaxtyping import Float
from scipy.ndimage import map_coordinates

Image = Float[np.ndarray, "S S 3"]


def rgb(hue: float, saturation: float, value: float) -> Float[np.ndarray, " 3"]:
    """A colour from hue, saturation and value in [0, 1]."""
    return np.array(colorsys.hsv_to_rgb(hue % 1, saturation, value))


def value_noise(
    points: Float[np.ndarray, "*N 3"], cell: float, rng: np.random.Generator, octaves: int = 3
) -> Float[np.ndarray, "*N"]:
    """Smooth noise in about [-1, 1] of points in space; ``cell`` is its coarsest scale."""
    total, weight = np.zeros(points.shape[:-1]), 0.0
    for octave in range(octaves):
        lattice = rng.uniform(-1, 1, (24, 24, 24))
        where = np.moveaxis(points / (cell / 2**octave), -1, 0)
        total += map_coordinates(lattice, where, order=1, mode="grid-wrap") / 2**octave
        weight += 1 / 2**octave
    return 1.6 * total / weight


def image_noise(
    size: int, cells: tuple[int, int], rng: np.random.Generator, octaves: int = 4
) -> Float[np.ndarray, "S S"]:
    """Tileable noise in about [-1, 1] with ``cells`` (down, across) blobs at its coarsest."""
    total, weight = np.zeros((size, size)), 0.0
    for octave in range(octaves):
        rows, columns = (min(count * 2**octave, size) for count in cells)
        lattice = rng.uniform(-1, 1, (rows, columns))
        # Two cells more on each side, so that interpolation wraps around.
        down, across = -(-size // rows), -(-size // columns)
        padded = np.pad(lattice, 2, mode="wrap").astype(np.float32)
        wide = cv2.resize(
            padded, ((columns + 4) * across, (rows + 4) * down), interpolation=cv2.INTER_LINEAR
        )
        total += wide[2 * down : 2 * down + size, 2 * across : 2 * across + size] / 1.6**octave
        weight += 1 / 1.6**octave
    return 1.6 * total / weight


def wood(size: int, base: Float[np.ndarray, " 3"], rng: np.random.Generator) -> Image:
    """One plank; the grain runs across the image."""
    grain = image_noise(size, (24, 2), rng, octaves=5)
    fine = image_noise(size, (96, 6), rng, octaves=2)
    return base * (1 + 0.22 * grain + 0.10 * fine)[..., None]


def floor_boards(
    size: int, boards: int, base: Float[np.ndarray, " 3"], rng: np.random.Generator
) -> Image:
    """Staggered planks of differing tone, with dark joints."""
    out = np.zeros((size, size, 3))
    width = size // boards
    plank = wood(size, base, rng)
    for board in range(boards):
        rows = slice(board * width, (board + 1) * width)
        cut = 0
        offset = int(rng.integers(size))
        while cut < size:
            length = int(rng.uniform(0.22, 0.42) * size)
            columns = (np.arange(cut, min(cut + length, size)) + offset) % size
            source = np.roll(plank, int(rng.integers(size)), 0)[:width]
            tone = rng.uniform(0.72, 1.15) * (1 + rng.uniform(-0.06, 0.06, 3))
            out[rows, columns] = source[:, columns] * tone
            out[rows, columns[:2]] *= 0.45
            cut += length
        out[rows][:2] *= 0.45
    return out


def plaster(size: int, base: Float[np.ndarray, " 3"], rng: np.random.Generator) -> Image:
    """A painted wall: blotches, fine grain, a few cracks and stains."""
    blotch = image_noise(size, (4, 4), rng, octaves=6)
    grain = rng.normal(0, 0.02, (size, size))
    out = base * (1 + 0.09 * blotch + grain)[..., None]
    marks = np.ones((size, size, 3), np.float64)
    for _ in range(60):
        start = rng.integers(0, size, 2)
        points = start + np.cumsum(rng.normal(0, size / 60, (8, 2)), 0)
        tone = rng.uniform(0.72, 0.94)
        cv2.polylines(marks, [points.astype(np.int32)], False, (tone,) * 3, 1, cv2.LINE_AA)
    for _ in range(90):
        centre = rng.integers(0, size, 2)
        radius = int(rng.integers(1, max(size // 128, 3)))
        cv2.circle(marks, centre.tolist(), radius, (rng.uniform(0.6, 1.12),) * 3, -1, cv2.LINE_AA)
    return out * marks


def bricks(size: int, rows: int, base: Float[np.ndarray, " 3"], rng: np.random.Generator) -> Image:
    """A running bond with mortar."""
    out = np.full((size, size, 3), 0.62) * (1 + rng.normal(0, 0.03, (size, size, 1)))
    height, width = size // rows, size // (rows // 3)
    for row in range(rows):
        for column in range(-1, rows // 3 + 1):
            left = column * width + (width // 2 if row % 2 else 0)
            tone = base * rng.uniform(0.6, 1.2) * (1 + rng.uniform(-0.12, 0.12, 3))
            corner = (left + 2, row * height + 2)
            cv2.rectangle(
                out, corner, (left + width - 3, (row + 1) * height - 3), tone.tolist(), -1
            )
    return out * (1 + 0.14 * image_noise(size, (32, 32), rng))[..., None]


def poster(size: int, rng: np.random.Generator) -> Image:
    """An abstract print in a frame: shapes, lettering-like marks, strong corners."""
    hue = rng.uniform()
    out = np.ones((size, size, 3)) * rgb(hue, rng.uniform(0.1, 0.5), rng.uniform(0.55, 0.95))
    out *= (1 + 0.1 * image_noise(size, (5, 5), rng))[..., None]
    for _ in range(int(rng.integers(14, 26))):
        colour = rgb(
            hue + rng.choice([0, 0.08, 0.5, 0.4]), rng.uniform(0.3, 0.9), rng.uniform(0.2, 1)
        )
        centre, extent = rng.integers(0, size, 2), int(rng.integers(size // 20, size // 5))
        match int(rng.integers(4)):
            case 0:
                cv2.circle(out, centre.tolist(), extent, colour.tolist(), -1, cv2.LINE_AA)
            case 1:
                corners = centre + rng.integers(-extent, extent, (4, 2))
                hull = cv2.convexHull(corners.astype(np.int32))
                cv2.fillConvexPoly(out, hull, colour.tolist(), cv2.LINE_AA)
            case 2:
                cv2.circle(out, centre.tolist(), extent, colour.tolist(), 4, cv2.LINE_AA)
            case _:
                end = (centre + rng.integers(-extent * 2, extent * 2, 2)).tolist()
                cv2.line(out, centre.tolist(), end, colour.tolist(), 6, cv2.LINE_AA)
    ink = rgb(hue + 0.5, 0.6, 0.15)
    for line in range(int(rng.integers(2, 5))):
        y, x = int(size * (0.72 + 0.055 * line)), int(size * 0.12)
        while x < size * 0.85:
            width = int(rng.integers(size // 90, size // 28))
            cv2.rectangle(out, (x, y), (x + width, y + size // 34), ink.tolist(), -1)
            x += width + size // 80
    rim = size // 24
    tone = rgb(rng.uniform(0.05, 0.12), 0.5, rng.uniform(0.15, 0.5))
    cv2.rectangle(out, (0, 0), (size - 1, size - 1), tone.tolist(), 2 * rim)
    cv2.rectangle(out, (rim, rim), (size - 1 - rim, size - 1 - rim), (0.93, 0.92, 0.9), rim)
    return out


def bookshelf(size: int, shelves: int, rng: np.random.Generator) -> Image:
    """Rows of book spines on boards."""
    out = np.full((size, size, 3), 0.10)
    plank_image = wood(size, rgb(0.08, 0.55, 0.44), rng)
    board = size // 40
    for shelf in range(shelves):
        top, bottom = shelf * size // shelves, (shelf + 1) * size // shelves - board
        x = board
        while x < size - board:
            width = int(rng.uniform(0.018, 0.05) * size)
            high = int((bottom - top) * rng.uniform(0.62, 0.95))
            colour = rgb(rng.uniform(), rng.uniform(0.2, 0.8), rng.uniform(0.25, 0.9))
            right = min(x + width, size - board)
            cv2.rectangle(out, (x, bottom - high), (right, bottom), colour.tolist(), -1)
            cv2.rectangle(out, (x, bottom - high), (right, bottom), (colour * 0.4).tolist(), 1)
            band = rgb(rng.uniform(), 0.3, rng.uniform(0.6, 1))
            for share in rng.uniform(0.1, 0.9, 2):
                y = int(bottom - high * share)
                cv2.rectangle(out, (x + 2, y), (right - 2, y + size // 90), band.tolist(), -1)
            x += width + 1
            if rng.uniform() < 0.08:
                x += 2 * width
        plank = plank_image[: board + 1]
        out[bottom : bottom + len(plank)] = plank[: size - bottom]
    edge = plank_image[:, :board]
    out[:, :board], out[:, -board:] = edge, edge
    return out


def carpet(size: int, rng: np.random.Generator) -> Image:
    """A bordered, patterned rug."""
    hue = rng.uniform()
    v, u = np.mgrid[:size, :size] / size - 0.5
    rings = np.floor(np.maximum(np.abs(u), np.abs(v)) * 16).astype(int)
    palette = np.array(
        [rgb(hue + rng.uniform(-0.1, 0.15), 0.42, rng.uniform(0.25, 0.7)) for _ in range(9)]
    )
    out = palette[rings]
    motif = np.sin(u * 70) * np.sin(v * 70) + 0.5 * np.sin((u + v) * 50)
    inner = np.maximum(np.abs(u), np.abs(v)) < 0.36
    out[inner & (motif > 0.35)] = palette[0] * 0.5 + 0.4
    return out * (1 + rng.normal(0, 0.08, (size, size, 1)))


def bytes_of(image: Image) -> np.ndarray:
    """uint8."""
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
