"""Visual odometry on background points: none, rotation, rotation and zoom, or free motion."""

import numpy as np
from jaxtyping import Float64

from multithumbs.backends.odometry.motion import (
    believable,
    best_rotation,
    lost_warning,
    odometry_of,
    rotating,
    standing,
    stands_still,
    zoom_warning,
)
from multithumbs.config.odometry import VoOdometryConfig
from multithumbs.solvers.odometry_sfm import SfmSettings, reconstruct
from multithumbs.solvers.odometry_tracks import PointTracks
from multithumbs.types import Odometry


def estimate(
    tracks: PointTracks,
    K: Float64[np.ndarray, "3 3"],
    width: int,
    pixel_scale: float,
    start: int,
    config: VoOdometryConfig,
) -> Odometry:
    """The simplest motion model that explains the tracks.

    Args:
        tracks: background points of the shot, full-image pixels.
        K: the shot's intrinsics, pixels.
        width: of the full image, pixels.
        pixel_scale: full-image pixels per reduced pixel (thresholds are in reduced pixels).
        start: the shot's first frame.
    """
    tracked = tracks.count_per_frame() >= config.flow.min_points
    if tracked.sum() < 2:
        lost = "" if tracks.num_frames < 2 else "no background texture to track: camera held still"
        return standing(start, tracked, lost)
    if stands_still(tracks, config.static_px * pixel_scale):
        return standing(start, tracked, lost_warning(tracked))
    turning, factor = best_rotation(tracks, K, config, pixel_scale)
    free = reconstruct(tracks, K, _sfm_settings(config, K, width, pixel_scale))
    if free is not None and believable(free, turning, K, config):
        parts = [
            zoom_warning(tracks, K, free.shot_from_cam, free.tracked, config, pixel_scale),
            lost_warning(free.tracked),
        ]
        return odometry_of(start, free.shot_from_cam, "free", free.tracked,
                           warning="; ".join(p for p in parts if p))  # fmt: skip
    return rotating(start, turning, factor, config, pixel_scale)


def _sfm_settings(
    config: VoOdometryConfig, K: Float64[np.ndarray, "3 3"], width: int, pixel_scale: float
) -> SfmSettings:
    focal = float(K[0, 0])
    return SfmSettings(
        huber=config.huber_px * pixel_scale / focal,
        outlier=config.outlier_px * pixel_scale / focal,
        min_angle=np.radians(config.triangulation_deg),
        min_points=config.flow.min_points,
        keyframe_flow=config.keyframe_flow * width / focal,
        max_keyframes=config.max_keyframes,
        seed=config.seed,
    )
