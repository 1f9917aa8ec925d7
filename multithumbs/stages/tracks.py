"""Stage `tracks`: which rows of one shot are the same person."""

from typing import cast

from multithumbs.config.tracks import (
    Hungarian3DConfig,
    PhalpConfig,
    SegFollowConfig,
    TracksConfig,
)
from multithumbs.types import Bodies, Detections, Keypoints, Masks, Tracks
from multithumbs.types.work import Work


def run(
    work: Work[TracksConfig],
    *,
    detections: Detections,
    keypoints: Keypoints,
    bodies: Bodies,
    masks: Masks,
) -> Tracks:
    """A track id for each detection row, -1 where it belongs to none."""
    match work.config:
        case Hungarian3DConfig():
            from multithumbs.backends.tracks.hungarian3d import follow

            return follow(cast(Work[Hungarian3DConfig], work), detections, keypoints, bodies)
        case PhalpConfig():
            from multithumbs.backends.tracks import phalp

            return phalp.follow(cast(Work[PhalpConfig], work), detections, bodies, masks)
        case SegFollowConfig():
            from multithumbs.backends.tracks import segfollow

            return segfollow.follow(cast(Work[SegFollowConfig], work), detections, masks)
