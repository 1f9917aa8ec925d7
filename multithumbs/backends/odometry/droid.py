"""DROID-SLAM for one shot: frames and people's masks in, `Odometry` out."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float64, UInt8
from torch import Tensor

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
from multithumbs.config.odometry import DroidOdometryConfig, ProximityConfig
from multithumbs.geometry.inverse_depth import CELL, grid_intrinsics
from multithumbs.solvers.droid_backend import BackendSettings
from multithumbs.solvers.droid_frames import UpdateOperator
from multithumbs.solvers.droid_frontend import FrontendSettings, Proximity
from multithumbs.solvers.droid_slam import DroidTrack, track
from multithumbs.solvers.odometry_judge import explained_by
from multithumbs.solvers.odometry_sfm import interpolate
from multithumbs.solvers.odometry_tracks import PointTracks
from multithumbs.types import Odometry

MIN_CELLS = 8
"""Along either side of the grid."""
MIN_BACKGROUND = 0.05
"""Frames that show less background than this fraction are not measured."""
MIN_TRACKED = 0.5
"""Background points must be seen in this share of the frames to have a say."""

MIN_PARALLAX_DEG = 1.0
"""Where no points have a say: DROID-SLAM's own parallax of a camera that turns is below 0.5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resized:
    """DROID's standard size: about a given area, both sides cut to multiples of a cell."""

    scaled_hw: tuple[int, int]
    """Before the cut."""
    hw: tuple[int, int]
    K: Float64[np.ndarray, "3 3"]
    """Of the resized picture, pixel centres at 0.5."""

    @classmethod
    def of(cls, hw: tuple[int, int], K: Float64[np.ndarray, "3 3"], area_px: int) -> "Resized":
        """For pictures of size ``hw`` with intrinsics ``K``."""
        factor = np.sqrt(area_px / (hw[0] * hw[1]))
        # The correlation pyramid halves the grid three times.
        factor = max(factor, MIN_CELLS * CELL / min(hw))
        scaled = int(hw[0] * factor + 1e-6), int(hw[1] * factor + 1e-6)
        stretch = np.array([scaled[1] / hw[1], scaled[0] / hw[0], 1.0])
        height, width = scaled[0] // CELL * CELL, scaled[1] // CELL * CELL
        return cls(scaled_hw=scaled, hw=(height, width), K=stretch[:, None] * K)

    @property
    def grid_hw(self) -> tuple[int, int]:
        """Cells."""
        return self.hw[0] // CELL, self.hw[1] // CELL

    def picture(
        self, rgb: UInt8[np.ndarray, "H W 3"], background: Bool[np.ndarray, "h w"]
    ) -> tuple[UInt8[Tensor, "H2 W2 3"], Bool[Tensor, "h2 w2"]]:
        """The picture without people, and the cells that show nothing but background.

        ``background`` has the size ``scaled_hw``.
        """
        shrinks = self.scaled_hw[0] < rgb.shape[0]
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        small = cv2.resize(rgb, self.scaled_hw[::-1], interpolation=how)
        height, width = self.hw
        seen = background[:height, :width]
        small = np.where(seen[..., None], small[:height, :width], 0).astype(np.uint8)
        rows, columns = self.grid_hw
        cells = seen.reshape(rows, CELL, columns, CELL).all(axis=(1, 3))
        return torch.from_numpy(small), torch.from_numpy(cells)


Frames = Callable[[], Iterator[tuple[int, UInt8[np.ndarray, "H W 3"], Bool[np.ndarray, "h w"]]]]
"""Yields (frame counted from the shot's first, picture, background at `Resized.scaled_hw`)."""


def estimate(
    frames: Frames,
    tracks: PointTracks,
    size: Resized,
    K: Float64[np.ndarray, "3 3"],
    pixel_scale: float,
    start: int,
    config: DroidOdometryConfig,
    operator: Callable[[], UpdateOperator],
    device: str,
) -> Odometry:
    """The shot's trajectory; the networks run only where the background moves.

    DROID-SLAM has no answer for a camera that stands or turns: depths are then free. Background
    points that were followed through the shot settle those cases, exactly as for `vo`.

    Args:
        frames: the frames to measure, read anew at each call.
        tracks: background points of all frames of the shot, full-image pixels.
        size: of what the networks see.
        K: the shot's intrinsics, full-image pixels.
        pixel_scale: full-image pixels per pixel in which the thresholds are given.
        start: the shot's first frame.
        config: settings.
        operator: makes the networks, if they are needed.
        device: where they run.
    """
    followed = tracks.count_per_frame() >= config.flow.min_points
    judged = followed.sum() >= max(2, MIN_TRACKED * tracks.num_frames)
    if tracks.num_frames < 2:
        return standing(start, followed, "")
    if judged and stands_still(tracks, config.static_px * pixel_scale):
        return standing(start, followed, lost_warning(followed))

    def stream() -> Iterator[tuple[int, Tensor, Tensor]]:
        for t, rgb, background in frames():
            image, cells = size.picture(rgb, background)
            if float(cells.float().mean()) >= MIN_BACKGROUND:
                yield t, image.to(device), cells.to(device)

    if next(stream(), None) is None:
        return standing(
            start, np.zeros(tracks.num_frames, bool), "no background is seen: camera held still"
        )
    intrinsics = grid_intrinsics(torch.from_numpy(size.K)).to(device)
    found = track(
        stream, operator(), size.grid_hw, intrinsics, frontend_settings(config),
        backend_settings(config),
    )  # fmt: skip
    path, tracked = _all_frames(found, tracks.num_frames)
    note = "DROID-SLAM diverged" if not found.finite else ""
    if judged:
        turning, factor = best_rotation(tracks, K, config, pixel_scale)
        if not found.finite or not believable(
            explained_by(tracks, K, path, tracked), turning, K, config
        ):
            return rotating(start, turning, factor, config, pixel_scale, note)
    elif not found.finite:
        return standing(start, np.zeros(tracks.num_frames, bool), f"{note}: camera held still")
    elif np.degrees(found.parallax) < MIN_PARALLAX_DEG:
        path[:, :3, 3] = 0
        return odometry_of(start, path, "rotation", tracked, warning=lost_warning(tracked))
    parts = [
        "little motion: DROID-SLAM's key frames were spread evenly" if found.spread else "",
        zoom_warning(tracks, K, path, tracked, config, pixel_scale) if judged else "",
        lost_warning(tracked),
    ]
    return odometry_of(start, path, "free", tracked, warning="; ".join(p for p in parts if p))


def _all_frames(
    found: DroidTrack, total: int
) -> tuple[Float64[np.ndarray, "T 4 4"], Bool[np.ndarray, " T"]]:
    """Poses of all frames from those that were measured, in units of the first frame's depth.

    Frames between measured ones are interpolated, those outside are held.
    """
    tracked = np.zeros(total, bool)
    tracked[found.time] = True
    path = np.tile(np.eye(4), (total, 1, 1))
    if found.finite:
        rotation, centre = interpolate(
            found.time, found.shot_from_cam[:, :3, :3], found.shot_from_cam[:, :3, 3],
            np.arange(total),
        )  # fmt: skip
        path[:, :3, :3], path[:, :3, 3] = rotation, centre / found.unit_depth
    return path, tracked


def frontend_settings(config: DroidOdometryConfig) -> FrontendSettings:
    """As the solver wants them."""
    return FrontendSettings(
        rules=config.rules,
        beta=config.beta,
        filter_threshold=config.filter_threshold,
        warmup=config.warmup,
        keyframe_threshold=config.keyframe_threshold,
        proximity=_proximity(config.frontend),
        window=config.window,
        max_edges=config.max_edges,
        motion_damping=config.motion_damping,
    )


def backend_settings(config: DroidOdometryConfig) -> BackendSettings:
    """As the solver wants them."""
    return BackendSettings(
        beta=config.beta, proximity=_proximity(config.backend), passes=config.backend_steps
    )


def _proximity(config: ProximityConfig) -> Proximity:
    return Proximity(
        threshold=config.threshold, radius=config.radius, suppression=config.suppression
    )
