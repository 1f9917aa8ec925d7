"""Scripted cameras: static, dolly, pan, zoom, handheld."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64
from scipy.spatial.transform import Rotation

from multithumbs.synth.curves import through_keys, wander

Point = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraKey:
    """Be here, looking there, with this lens."""

    time_s: float
    eye: Point
    """World metres, +y up."""
    target: Point
    focal_px: float | None = None
    """Pixels; None is the image's diagonal, a lens of 53 degrees across it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraScript:
    """One key is a static camera; several are a dolly, a pan or a zoom between them."""

    keys: tuple[CameraKey, ...]
    smooth_s: float = 0.15
    """Of the moves' starts and ends."""
    handheld: float = 0.0
    """1 is an operator's shoulder: about 1 cm and half a degree, slowly."""
    seed: int = 0


def look_at(
    eye: Float[np.ndarray, "*T 3"], target: Float[np.ndarray, "*T 3"]
) -> Float64[np.ndarray, "*T 4 4"]:
    """``world_from_cam`` of OpenCV cameras (+x right, +y down, +z ahead) in a world with +y up."""
    ahead = target - eye
    ahead = ahead / np.linalg.norm(ahead, axis=-1, keepdims=True)
    right = np.cross(ahead, [0.0, 1.0, 0.0])
    right = right / np.linalg.norm(right, axis=-1, keepdims=True)
    down = np.cross(ahead, right)
    matrix = np.zeros((*eye.shape[:-1], 4, 4))
    matrix[..., :3, :3] = np.stack([right, down, ahead], -1)
    matrix[..., :3, 3] = eye
    matrix[..., 3, 3] = 1
    return matrix


def trajectory(
    script: CameraScript, times: Float[np.ndarray, " T"], hw: tuple[int, int]
) -> tuple[Float64[np.ndarray, "T 3 3"], Float64[np.ndarray, "T 4 4"]]:
    """``K`` (pixels, principal point at the centre) and ``world_from_cam`` at uniform times."""
    diagonal = float(np.hypot(*hw))
    values = np.array(
        [[*key.eye, *key.target, np.log(key.focal_px or diagonal)] for key in script.keys]
    )
    path = through_keys(times, [key.time_s for key in script.keys], values, script.smooth_s)
    world_from_cam = look_at(path[:, :3], path[:, 3:6])
    if script.handheld > 0:
        rng = np.random.default_rng([script.seed, 3])
        drift = wander(times, rng, period_s=2.2, count=3) * 0.008 * script.handheld
        shake = wander(times, rng, period_s=1.1, count=3) * np.radians(0.35) * script.handheld
        world_from_cam[:, :3, 3] += drift
        world_from_cam[:, :3, :3] @= Rotation.from_rotvec(shake).as_matrix()
    K = np.zeros((len(times), 3, 3))
    K[:, 0, 0] = K[:, 1, 1] = np.exp(path[:, 6])
    K[:, 0, 2], K[:, 1, 2], K[:, 2, 2] = hw[1] / 2, hw[0] / 2, 1
    return K, world_from_cam
