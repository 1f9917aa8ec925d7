"""Which motion explains the background: none, rotation, rotation and zoom, or free."""

import numpy as np
from jaxtyping import Float64

from multithumbs.config.odometry import VoOdometryConfig
from multithumbs.solvers.odometry_rotation import RotationFit, fit_rotations
from multithumbs.solvers.odometry_sfm import FreeFit, SfmSettings, reconstruct
from multithumbs.solvers.odometry_tracks import PointTracks, grouped_median
from multithumbs.types import Odometry

FOCAL_TRIALS = (0.6, 0.8, 1.3, 1.7, 2.3, 3.2)
"""Factors on the assumed focal length tried when a rotation almost explains the flow."""


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
    count = tracks.count_per_frame()
    tracked = count >= config.flow.min_points
    if tracked.sum() < 2:
        lost = "" if tracks.num_frames < 2 else "no background texture to track: camera held still"
        return _odometry(start, np.tile(np.eye(4), (tracks.num_frames, 1, 1)), "static", tracked,
                         warning=lost)  # fmt: skip
    if stands_still(tracks, config.static_px * pixel_scale):
        return _odometry(start, np.tile(np.eye(4), (tracks.num_frames, 1, 1)), "static", tracked,
                         warning=_lost_warning(tracked))  # fmt: skip
    turning, factor = _best_rotation(tracks, K, config, pixel_scale)
    free = reconstruct(tracks, K, _sfm_settings(config, K, width, pixel_scale))
    if free is not None and _believable(free, turning, K, config):
        return _odometry(start, free.shot_from_cam, "free", free.tracked,
                         warning=_lost_warning(free.tracked))  # fmt: skip
    note = f"focal length looks like {factor:.1f} times the assumed one" if factor != 1 else ""
    if turning.typical_px() > config.rotation_px * pixel_scale:
        note = "no motion model explains the background well: rotation kept"
    return _rotating(start, turning, note)


def stands_still(tracks: PointTracks, tolerance_px: float) -> bool:
    """Whether the median background point stays within ``tolerance_px`` of where it was first
    seen, in every frame (a running median over five frames ignores single bad ones)."""
    first = tracks.first_observation()
    moved = np.linalg.norm(tracks.uv - tracks.uv[first[tracks.point]], axis=1)
    later = tracks.frame > tracks.frame[first[tracks.point]]
    if not later.any():
        return True
    medians = grouped_median(moved[later], tracks.frame[later], tracks.num_frames)
    medians = medians[np.isfinite(medians)]
    half = min(2, (len(medians) - 1) // 2)
    padded = np.pad(medians, half, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)
    return bool(np.median(windows, axis=1).max() < tolerance_px)


def _fit(
    tracks: PointTracks,
    K: Float64[np.ndarray, "3 3"],
    config: VoOdometryConfig,
    pixel_scale: float,
    *,
    with_zoom: bool,
) -> RotationFit:
    return fit_rotations(
        tracks,
        K,
        with_zoom=with_zoom,
        huber_px=config.huber_px * pixel_scale,
        min_points=config.flow.min_points,
    )


def _best_rotation(
    tracks: PointTracks,
    K: Float64[np.ndarray, "3 3"],
    config: VoOdometryConfig,
    pixel_scale: float,
) -> tuple[RotationFit, float]:
    """The rotation, with zoom only where that helps, and the focal length's factor.

    A wrong focal length makes a pan look like more than a rotation, so others are tried when
    the residual is large. A richer model must win clearly.
    """
    best, factor = _fit(tracks, K, config, pixel_scale, with_zoom=False), 1.0
    zooming = _fit(tracks, K, config, pixel_scale, with_zoom=True)
    if _beats(zooming, best) and _zoom_range(zooming) > config.zoom_min:
        best = zooming
    if best.typical_px() < config.rotation_px * pixel_scale:
        return best, factor
    for trial in FOCAL_TRIALS:
        scaled = K * np.array([[trial, trial, 1], [trial, trial, 1], [1, 1, 1]])
        for with_zoom in (False, True):
            fit = _fit(tracks, scaled, config, pixel_scale, with_zoom=with_zoom)
            if _beats(fit, best):
                best, factor = fit, trial
    return best, factor


def _beats(richer: RotationFit, simpler: RotationFit) -> bool:
    return richer.typical_px() < 0.8 * simpler.typical_px()


def _zoom_range(fit: RotationFit) -> float:
    zoom = fit.zoom[fit.tracked]
    return float(np.log(zoom.max() / zoom.min())) if len(zoom) else 0.0


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


def _believable(
    free: FreeFit,
    rotation: RotationFit,
    K: Float64[np.ndarray, "3 3"],
    config: VoOdometryConfig,
) -> bool:
    both = np.isfinite(free.residual) & np.isfinite(rotation.residual_px)
    if not both.any() or free.tracked.mean() < 0.5:
        return False
    gain = np.median(free.residual[both]) * K[0, 0] / np.median(rotation.residual_px[both])
    parallax = np.degrees(free.parallax)
    return bool(gain < config.free_gain and parallax > config.min_parallax_deg)


def _rotating(start: int, fit: RotationFit, note: str = "") -> Odometry:
    shot_from_cam = np.tile(np.eye(4), (len(fit.zoom), 1, 1))
    shot_from_cam[:, :3, :3] = fit.shot_from_cam
    zoomed = _zoom_range(fit) > 1e-6
    parts = [note, "the camera zooms" if zoomed else "", _lost_warning(fit.tracked)]
    return _odometry(start, shot_from_cam, "rotation", fit.tracked, zoom=fit.zoom,
                     warning="; ".join(p for p in parts if p))  # fmt: skip


def _lost_warning(tracked: np.ndarray) -> str:
    lost = int((~tracked).sum())
    return f"camera not tracked in {lost} of {len(tracked)} frames" if lost else ""


def _odometry(
    start: int,
    shot_from_cam: Float64[np.ndarray, "T 4 4"],
    motion: str,
    tracked: np.ndarray,
    *,
    zoom: Float64[np.ndarray, " T"] | None = None,
    warning: str = "",
) -> Odometry:
    total = len(shot_from_cam)
    return Odometry(
        frame=np.arange(start, start + total, dtype=np.int64),
        shot_from_cam=shot_from_cam,
        motion=motion,
        tracked=np.asarray(tracked, bool),
        zoom=np.ones(total) if zoom is None else zoom,
        warning=warning,
    )
