"""Intrinsics and trajectories of the cameras."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64


@dataclass(frozen=True, slots=True, kw_only=True)
class Intrinsics:
    """Pinhole intrinsics of one shot."""

    K: Float64[np.ndarray, "3 3"]
    """Pixels; the principal point is the image centre ``(W / 2, H / 2)`` unless known."""
    source: str
    """``given``, ``assumed`` or ``estimated``."""
    log_focal_std: float
    """One standard deviation of the focal length's logarithm; 0 when given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Odometry:
    """Camera motion inside one shot, up to one unknown scale (paper section 3.3)."""

    frame: Int64[np.ndarray, " T"]
    """Every frame of the shot."""
    shot_from_cam: Float64[np.ndarray, "T 4 4"]
    """Identity at the first frame."""
    motion: str
    """``static``, ``rotation`` (no translation that could be measured) or ``free``."""
    tracked: Bool[np.ndarray, " T"]
    """False where the pose is interpolated or held because nothing could be measured."""
    zoom: Float64[np.ndarray, " T"]
    """Focal length relative to the shot's `Intrinsics`; 1 where no zoom was detected."""
    warning: str
    """Empty, or what a user must know (lost tracking, zoom)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cameras:
    """Every frame's camera in its island's world."""

    frame: Int64[np.ndarray, " T"]
    shot: Int64[np.ndarray, " T"]
    island: Int64[np.ndarray, " T"]
    K: Float64[np.ndarray, "T 3 3"]
    world_from_cam: Float64[np.ndarray, "T 4 4"]
    tracked: Bool[np.ndarray, " T"]
    metres_per_unit: Float64[np.ndarray, " S"]
    """Scale that was applied to each shot's odometry."""
    scale_source: tuple[str, ...]
    """Per shot: ``anchors``, ``bodies``, ``contact``, ``none`` (static or rotation only) or
    ``assumed`` (the paper's SE(3) form, Eq. 6)."""
    island_of_shot: Int64[np.ndarray, " S"]
    cut_residual_m: Float64[np.ndarray, " C"]
    """Disagreement left at each cut after both anchors are reconciled; NaN at failed cuts."""
    cut_scale: Float64[np.ndarray, " C"]
    """Factor that was applied to the lengths of each cut's `Alignment`; 1: taken as they are."""
