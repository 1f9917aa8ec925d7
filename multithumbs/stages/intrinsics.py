"""Stage `intrinsics`: the pinhole camera of one shot."""

from multithumbs.config.intrinsics import (
    AssumedIntrinsicsConfig,
    GivenIntrinsicsConfig,
    IntrinsicsConfig,
    PeopleIntrinsicsConfig,
    RoomIntrinsicsConfig,
)
from multithumbs.types import Detections, Intrinsics, Keypoints
from multithumbs.types.work import Work


def run(
    work: Work[IntrinsicsConfig],
    *,
    keypoints: Keypoints | None = None,
    detections: Detections | None = None,
) -> Intrinsics:
    """One focal length for the whole shot; zooms are the odometry's to find.

    ``keypoints`` and ``detections`` are given to the back-ends that read them.
    """
    config, hw = work.config, work.video.info.hw
    match config:
        case AssumedIntrinsicsConfig():
            from multithumbs.backends.intrinsics.assumed import assume

            return assume(config, hw)
        case GivenIntrinsicsConfig():
            from multithumbs.backends.intrinsics.assumed import give

            return give(config, hw)
        case PeopleIntrinsicsConfig():
            from multithumbs.backends.intrinsics.people import estimate

            if keypoints is None:
                raise ValueError("intrinsics=people reads keypoints, and was given none")
            return estimate(work, config, keypoints)
        case RoomIntrinsicsConfig():
            from multithumbs.backends.intrinsics import room

            if detections is None:
                raise ValueError("intrinsics=room reads detections, and was given none")
            return room.estimate(work, config, detections)
