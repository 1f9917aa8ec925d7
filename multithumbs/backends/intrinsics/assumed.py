"""`Intrinsics` that no pixel was asked about: an assumed or a given focal length."""

import math

import numpy as np

from multithumbs.config.intrinsics import AssumedIntrinsicsConfig, GivenIntrinsicsConfig
from multithumbs.types import Intrinsics


def pinhole(focal_px: float, hw: tuple[int, int]) -> np.ndarray:
    """``K`` (3, 3) with square pixels and the principal point at the image centre."""
    height, width = hw
    return np.array([[focal_px, 0, width / 2], [0, focal_px, height / 2], [0, 0, 1]], np.float64)


def assume(config: AssumedIntrinsicsConfig, hw: tuple[int, int]) -> Intrinsics:
    """A multiple of the image's diagonal."""
    focal = config.focal_over_diagonal * math.hypot(*hw)
    return Intrinsics(K=pinhole(focal, hw), source="assumed", log_focal_std=config.log_focal_std)


def give(config: GivenIntrinsicsConfig, hw: tuple[int, int]) -> Intrinsics:
    """The focal length or the field of view that the user knows."""
    focal = config.focal_px
    if config.horizontal_fov_deg is not None:
        focal = hw[1] / 2 / math.tan(math.radians(config.horizontal_fov_deg) / 2)
    assert focal is not None  # the configuration's validator saw to it
    return Intrinsics(K=pinhole(focal, hw), source="given", log_focal_std=0.0)
