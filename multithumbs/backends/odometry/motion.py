"""Which motion explains the background points: none, a rotation (with zoom), or a travel."""

import numpy as np
from jaxtyping import Bool, Float64

from multithumbs.config.odometry import BackgroundMotionConfig
from multithumbs.solvers.odometry_rotation import RotationFit, fit_rotations
from multithumbs.solvers.odometry_sfm import FreeFit
from multithumbs.solvers.odometry_tracks import PointTracks, grouped_median
from multithumbs.solvers.odometry_zoom import check_zoom
from multithumbs.types import Odometry

FOCAL_TRIALS = (0.6, 0.8, 1.3, 1.7, 2.3, 3.2)
"""Factors on the assumed focal length tried when a rotation almost explains the flow."""

ZOOM_GAIN = 0.85
"""A lens that is free in every frame must lower the residual of a travelling camera to this."""

TRAVELLING_ZOOM = 2.0
"""A camera that moves straight ahead hides a change of this many times `zoom_min`."""


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
    config: BackgroundMotionConfig,
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


def best_rotation(
    tracks: PointTracks,
    K: Float64[np.ndarray, "3 3"],
    config: BackgroundMotionConfig,
    pixel_scale: float,
) -> tuple[RotationFit, float]:
    """The rotation, with zoom only where that helps, and the focal length's factor.

    A wrong focal length makes a pan look like more than a rotation, so others are tried when
    the residual is large. A richer model must win clearly.
    """
    best, factor = _fit(tracks, K, config, pixel_scale, with_zoom=False), 1.0
    zooming = _fit(tracks, K, config, pixel_scale, with_zoom=True)
    if _beats(zooming, best) and zoom_range(zooming) > config.zoom_min:
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


def zoom_range(fit: RotationFit) -> float:
    """Logarithm of the largest over the smallest focal length."""
    zoom = fit.zoom[fit.tracked]
    return float(np.log(zoom.max() / zoom.min())) if len(zoom) else 0.0


def believable(
    free: FreeFit,
    rotation: RotationFit,
    K: Float64[np.ndarray, "3 3"],
    config: BackgroundMotionConfig,
) -> bool:
    """Whether a travelling camera explains the points so much better than a turning one.

    A zoom looks like a move towards a wall that fills the picture, and each point's own depth
    lets such a move follow the noise of its track: it must win by more.
    """
    both = np.isfinite(free.residual) & np.isfinite(rotation.residual_px)
    if not both.any() or free.tracked.mean() < 0.5:
        return False
    gain = np.median(free.residual[both]) * K[0, 0] / np.median(rotation.residual_px[both])
    zooms = zoom_range(rotation) > config.zoom_min
    parallax = np.degrees(free.parallax)
    return bool(
        gain < (config.free_gain_over_zoom if zooms else config.free_gain)
        and parallax > config.min_parallax_deg
    )


def rotating(
    start: int,
    fit: RotationFit,
    factor: float,
    config: BackgroundMotionConfig,
    pixel_scale: float,
    note: str = "",
) -> Odometry:
    """A camera that turns, and zooms where the fit says so; ``note`` goes before the warnings."""
    shot_from_cam = np.tile(np.eye(4), (len(fit.zoom), 1, 1))
    shot_from_cam[:, :3, :3] = fit.shot_from_cam
    lens = f"focal length looks like {factor:.1f} times the assumed one" if factor != 1 else ""
    if fit.typical_px() > config.rotation_px * pixel_scale:
        lens = "no motion model explains the background well: rotation kept"
    zoomed = zoom_range(fit) > 1e-6
    parts = [note, lens, "the camera zooms" if zoomed else "", lost_warning(fit.tracked)]
    return odometry_of(start, shot_from_cam, "rotation", fit.tracked, zoom=fit.zoom,
                       warning="; ".join(p for p in parts if p))  # fmt: skip


def zoom_warning(
    tracks: PointTracks,
    K: Float64[np.ndarray, "3 3"],
    shot_from_cam: Float64[np.ndarray, "T 4 4"],
    tracked: Bool[np.ndarray, " T"],
    config: BackgroundMotionConfig,
    pixel_scale: float,
) -> str:
    """What to tell a user whose lens changes while the camera travels: that is not undone."""
    found = check_zoom(tracks, K, shot_from_cam, tracked, huber_px=config.huber_px * pixel_scale)
    smallest = TRAVELLING_ZOOM * config.zoom_min
    if found is None or found.log_range < smallest or found.gain > ZOOM_GAIN:
        return ""
    percent = 100 * (np.exp(found.log_range) - 1)
    return f"the lens zooms by about {percent:.0f} % while the camera travels: its path is biased"


def standing(start: int, tracked: np.ndarray, warning: str) -> Odometry:
    """A camera that does not move."""
    still = np.tile(np.eye(4), (len(tracked), 1, 1))
    return odometry_of(start, still, "static", tracked, warning=warning)


def lost_warning(tracked: np.ndarray) -> str:
    """What to tell a user whose camera could not be followed everywhere."""
    lost = int((~tracked).sum())
    return f"camera not tracked in {lost} of {len(tracked)} frames" if lost else ""


def odometry_of(
    start: int,
    shot_from_cam: Float64[np.ndarray, "T 4 4"],
    motion: str,
    tracked: np.ndarray,
    *,
    zoom: Float64[np.ndarray, " T"] | None = None,
    warning: str = "",
) -> Odometry:
    """The artifact of a shot that begins at frame ``start``."""
    total = len(shot_from_cam)
    return Odometry(
        frame=np.arange(start, start + total, dtype=np.int64),
        shot_from_cam=shot_from_cam,
        motion=motion,
        tracked=np.asarray(tracked, bool),
        zoom=np.ones(total) if zoom is None else zoom,
        warning=warning,
    )
