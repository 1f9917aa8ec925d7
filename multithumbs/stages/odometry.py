"""Camera motion inside one shot (paper section 3.3), from its background."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from multithumbs.config.odometry import (
    BackgroundMotionConfig,
    DroidOdometryConfig,
    OdometryConfig,
    StaticOdometryConfig,
    VoOdometryConfig,
)
from multithumbs.types import Detections, Intrinsics, Masks, Odometry
from multithumbs.types.work import ShotItem, Work

if TYPE_CHECKING:
    from multithumbs.backends.odometry.droid_network import NetworkOperator
    from multithumbs.solvers.odometry_tracks import PointTracks


def run(
    work: Work[OdometryConfig], *, detections: Detections, masks: Masks, intrinsics: Intrinsics
) -> Odometry:
    """Odometry of ``work.shot``; frames that a fade blends are held, not measured."""
    if work.shot is None:
        raise ValueError("odometry runs per shot")
    match work.config:
        case StaticOdometryConfig():
            from multithumbs.backends.odometry.static import hold

            return hold(work.shot.start, work.shot.end)
        case VoOdometryConfig() as config:
            from multithumbs.backends.odometry.vo import estimate

            tracks, scale = _follow(work, work.shot, config, detections, masks)
            width = work.video.info.hw[1]
            return estimate(tracks, intrinsics.K, width, scale, work.shot.start, config)
        case DroidOdometryConfig() as config:
            return _droid(work, work.shot, config, detections, masks, intrinsics)


def _follow(
    work: Work[OdometryConfig],
    shot: ShotItem,
    config: BackgroundMotionConfig,
    detections: Detections,
    masks: Masks,
) -> tuple["PointTracks", float]:
    """Background points of the shot, and full-image pixels per pixel of the thresholds."""
    from multithumbs.backends.odometry.flow import FlowTracker, follow

    tracker = FlowTracker(config.flow, work.video.info.hw)
    total = shot.end - shot.start
    tracks = follow(
        (
            (rgb, background)
            for _, rgb, background in _frames(
                work, shot, detections, masks, tracker.low_hw, config.flow.person_margin
            )
        ),
        tracker,
        lambda done: work.progress(done, total),
    )
    return tracks, tracker.pixel_scale


def _frames(
    work: Work[OdometryConfig],
    shot: ShotItem,
    detections: Detections,
    masks: Masks,
    hw: tuple[int, int],
    margin: float,
) -> Iterator[tuple[int, np.ndarray | None, np.ndarray | None]]:
    """Every frame counted from the shot's first, with its background at size ``hw``; blended
    frames come without a picture."""
    from multithumbs.backends.odometry.people_mask import background

    bounds = np.searchsorted(detections.frame, np.arange(shot.start, shot.end + 1))
    for index, rgb in work.video.frames(shot.start, shot.end):
        at = index - shot.start
        if not shot.clean_start <= index < shot.clean_end:
            yield at, None, None
            continue
        rows = np.arange(bounds[at], bounds[at + 1])
        yield at, rgb, background(detections, masks, rows, hw, margin)


def _droid(
    work: Work[OdometryConfig],
    shot: ShotItem,
    config: DroidOdometryConfig,
    detections: Detections,
    masks: Masks,
    intrinsics: Intrinsics,
) -> Odometry:
    from multithumbs.backends.odometry.droid import Resized, estimate
    from multithumbs.backends.odometry.droid_weights import load_operator

    tracks, scale = _follow(work, shot, config, detections, masks)
    size = Resized.of(work.video.info.hw, intrinsics.K, config.area_px)

    def load() -> "NetworkOperator":
        return load_operator(work.checkpoints["droid"], config, work.runtime.device)

    def frames() -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        margin = config.flow.person_margin
        for at, rgb, background in _frames(work, shot, detections, masks, size.scaled_hw, margin):
            if rgb is not None and background is not None:
                yield at, rgb, background

    return estimate(
        frames, tracks, size, intrinsics.K, scale, shot.start, config,
        lambda: work.kept.get("operator", load),
        work.runtime.device,
    )  # fmt: skip
