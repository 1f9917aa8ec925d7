"""Camera motion inside one shot (paper section 3.3), from its background."""

from collections.abc import Iterator

import numpy as np

from multithumbs.config.odometry import OdometryConfig, StaticOdometryConfig, VoOdometryConfig
from multithumbs.types import Detections, Intrinsics, Masks, Odometry
from multithumbs.types.work import ShotItem, Work


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
            return _measure(work, work.shot, config, detections, masks, intrinsics)


def _measure(
    work: Work[OdometryConfig],
    shot: ShotItem,
    config: VoOdometryConfig,
    detections: Detections,
    masks: Masks,
    intrinsics: Intrinsics,
) -> Odometry:
    from multithumbs.backends.odometry.flow import FlowTracker, follow
    from multithumbs.backends.odometry.people_mask import background
    from multithumbs.backends.odometry.vo import estimate

    hw = work.video.info.hw
    tracker = FlowTracker(config.flow, hw)
    bounds = np.searchsorted(detections.frame, np.arange(shot.start, shot.end + 1))

    def pairs() -> Iterator[tuple[np.ndarray | None, np.ndarray | None]]:
        for index, rgb in work.video.frames(shot.start, shot.end):
            if not shot.clean_start <= index < shot.clean_end:
                yield None, None
                continue
            at = index - shot.start
            rows = np.arange(bounds[at], bounds[at + 1])
            yield (
                rgb,
                background(detections, masks, rows, tracker.low_hw, config.flow.person_margin),
            )

    total = shot.end - shot.start
    tracks = follow(pairs(), tracker, lambda done: work.progress(done, total))
    return estimate(tracks, intrinsics.K, hw[1], tracker.pixel_scale, shot.start, config)
