"""A virtual camera that looks at a whole world."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float64

NEAR_M: Final = 0.05
FIT: Final = 0.88
"""Share of the picture's half width and height that the world may fill."""
FIELD_DEG: Final = 38.0
"""Vertical field of view; narrow, so that distances compare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewpoint:
    """Pinhole camera over a world with +y up."""

    K: Float64[np.ndarray, "3 3"]
    cam_from_world: Float64[np.ndarray, "4 4"]
    hw: tuple[int, int]

    def project(
        self, points_world: Float64[np.ndarray, "N 3"]
    ) -> tuple[Float64[np.ndarray, "N 2"], Float64[np.ndarray, " N"]]:
        """Pixels and depths (metres); pixels mean nothing where the depth is below `NEAR_M`."""
        cam = points_world @ self.cam_from_world[:3, :3].T + self.cam_from_world[:3, 3]
        depth = cam[:, 2]
        return (cam @ self.K.T)[:, :2] / np.maximum(depth, NEAR_M)[:, None], depth

    def lines(
        self, start_world: Float64[np.ndarray, "N 3"], end_world: Float64[np.ndarray, "N 3"]
    ) -> tuple[Float64[np.ndarray, "N 2 2"], Bool[np.ndarray, " N"]]:
        """Segments cut off at the near plane, in pixels, and whether any of each is in front."""
        rotation, shift = self.cam_from_world[:3, :3], self.cam_from_world[:3, 3]
        ends = np.stack([start_world, end_world]) @ rotation.T + shift
        depth = ends[..., 2]
        share = (NEAR_M - depth[0]) / np.where(depth[0] == depth[1], 1, depth[1] - depth[0])
        crossing = ends[0] + share[:, None] * (ends[1] - ends[0])
        cut = np.where((depth < NEAR_M)[..., None], crossing, ends)
        pixels = (cut @ self.K.T)[..., :2] / np.maximum(cut[..., 2:], NEAR_M)
        return pixels.transpose(1, 0, 2), depth.max(0) >= NEAR_M


def look_from(
    centre: Float64[np.ndarray, "3"],
    distance: float,
    azimuth: float,
    elevation: float,
    hw: tuple[int, int],
) -> Viewpoint:
    """A camera at ``distance`` metres from ``centre``, which it sees in its middle.

    ``azimuth`` turns about +y from +z towards +x, ``elevation`` lifts; radians.
    """
    out = np.array(
        [
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation),
            np.cos(elevation) * np.cos(azimuth),
        ]
    )
    right = np.array([np.cos(azimuth), 0.0, -np.sin(azimuth)])
    rotation = np.stack([right, np.cross(-out, right), -out])
    cam_from_world = np.eye(4)
    cam_from_world[:3, :3] = rotation
    cam_from_world[:3, 3] = -rotation @ (centre + distance * out)
    focal = hw[0] / 2 / np.tan(np.radians(FIELD_DEG) / 2)
    K = np.array([[focal, 0, hw[1] / 2], [0, focal, hw[0] / 2], [0, 0, 1]])
    return Viewpoint(K=K, cam_from_world=cam_from_world, hw=hw)


def fit_view(
    points_world: Float64[np.ndarray, "N 3"],
    azimuths: Float64[np.ndarray, " A"],
    elevation: float,
    hw: tuple[int, int],
) -> tuple[Float64[np.ndarray, "3"], float]:
    """Centre and distance (metres) from which all points fill the picture from every azimuth.

    The centre is moved until what is seen from the middle azimuth lies in the middle.
    """
    centre = (points_world.min(0) + points_world.max(0)) / 2
    middle = float(azimuths[len(azimuths) // 2])
    distance = 0.0
    for _ in range(4):
        distance = max(
            _fitting_distance(points_world, centre, float(azimuth), elevation, hw)
            for azimuth in azimuths
        )
        view = look_from(centre, distance, middle, elevation, hw)
        pixels, _ = view.project(points_world)
        offset = (pixels.min(0) + pixels.max(0)) / 2 - view.K[:2, 2]
        shift = np.append(offset * distance / view.K[0, 0], 0.0)
        centre = centre + view.cam_from_world[:3, :3].T @ shift
    return centre, distance


def _fitting_distance(
    points_world: Float64[np.ndarray, "N 3"],
    centre: Float64[np.ndarray, "3"],
    azimuth: float,
    elevation: float,
    hw: tuple[int, int],
) -> float:
    unit = look_from(centre, 0.0, azimuth, elevation, hw)
    seen = points_world @ unit.cam_from_world[:3, :3].T + unit.cam_from_world[:3, 3]
    # |f x / (z + d)| <= FIT * size / 2 is linear in the distance d.
    focal = unit.K[0, 0]
    limits = FIT * np.array([hw[1], hw[0]]) / 2
    needed = np.abs(seen[:, :2]) * focal / limits - seen[:, 2:]
    return float(max(needed.max(), 2.0))
