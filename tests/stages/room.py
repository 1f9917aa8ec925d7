"""A textured box room seen by any pinhole camera: a video whose cameras are known exactly."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import cv2
import numpy as np

from multithumbs.types import Frame, VideoInfo

HALF_SIZE = np.array([4.0, 1.6, 6.0])
"""The room is ``[-4, 4] x [-1.6, 1.6] x [-6, 6]`` metres, +y down."""


def _texture(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    image = np.zeros((512, 512), np.float32)
    for size in (16, 64, 256):
        layer = rng.uniform(0, 1, (size, size)).astype(np.float32)
        image += cv2.resize(layer, (512, 512), interpolation=cv2.INTER_CUBIC)
    return (255 * (image - image.min()) / np.ptp(image)).astype(np.float32)


TEXTURES = [_texture(seed) for seed in range(6)]


def _tiles(seed: int) -> np.ndarray:
    """Bricks: straight edges along the walls."""
    shade = np.random.default_rng(seed).uniform(40, 220, (16, 16)).astype(np.float32)
    return cv2.resize(shade, (512, 512), interpolation=cv2.INTER_NEAREST)


TILES = [_tiles(seed) for seed in range(6)]


def render(
    K: np.ndarray,
    world_from_cam: np.ndarray,
    hw: tuple[int, int],
    textures: list[np.ndarray] = TEXTURES,
) -> np.ndarray:
    """Grey picture of the room as RGB uint8."""
    v, u = np.mgrid[: hw[0], : hw[1]] + 0.5
    rays = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones(hw)], axis=-1)
    rays = rays @ world_from_cam[:3, :3].T
    centre = world_from_cam[:3, 3]
    with np.errstate(divide="ignore"):
        t = np.where(rays > 0, HALF_SIZE - centre, -HALF_SIZE - centre) / rays
    axis = np.abs(t).argmin(-1)
    hit = centre + np.take_along_axis(t, axis[..., None], -1) * rays
    out = np.zeros(hw, np.float32)
    for side in range(6):
        k = side // 2
        on = (axis == k) & ((rays[..., k] > 0) == bool(side % 2))
        a, b = [i for i in range(3) if i != k]
        to_px = 511 / (2 * HALF_SIZE.max())
        x = ((hit[..., a] + HALF_SIZE[a]) * to_px).astype(np.float32)
        y = ((hit[..., b] + HALF_SIZE[b]) * to_px).astype(np.float32)
        out[on] = cv2.remap(textures[side], x, y, cv2.INTER_LINEAR)[on]
    return np.repeat(out.clip(0, 255).astype(np.uint8)[..., None], 3, axis=-1)


@dataclass
class RoomVideo:
    """A `FrameReader` over rendered pictures."""

    K: np.ndarray
    world_from_cam: np.ndarray
    hw: tuple[int, int]
    zoom: np.ndarray | None = None
    noise: float = 2.0
    decorate: object = None
    textures: list[np.ndarray] = field(default_factory=lambda: TEXTURES)
    info: VideoInfo = field(init=False)

    def __post_init__(self) -> None:
        self.info = VideoInfo(
            sha256="0" * 64,
            hw=self.hw,
            frame_rate=Fraction(25),
            timestamps_s=np.arange(len(self.world_from_cam)) / 25.0,
        )

    def frame(self, index: int) -> np.ndarray:
        K = self.K.copy()
        if self.zoom is not None:
            K[:2, :2] *= self.zoom[index]
        rgb = render(K, self.world_from_cam[index], self.hw, self.textures)
        noise = np.random.default_rng(index).normal(0, self.noise, rgb.shape)
        rgb = (rgb + noise).clip(0, 255).astype(np.uint8)
        return rgb if self.decorate is None else self.decorate(index, rgb)

    def frames(self, start: int, end: int, step: int = 1) -> Iterator[Frame]:
        for index in range(start, end, step):
            yield Frame(index, self.frame(index))
