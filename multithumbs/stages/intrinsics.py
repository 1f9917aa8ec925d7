"""Stage `intrinsics`: the pinhole camera of one shot."""

from multithumbs.config.intrinsics import (
    AssumedIntrinsicsConfig,
    GivenIntrinsicsConfig,
    IntrinsicsConfig,
    PeopleIntrinsicsConfig,
)
from multithumbs.types import Intrinsics, Keypoints
from multithumbs.types.work import Work


def run(work: Work[IntrinsicsConfig], *, keypoints: Keypoints) -> Intrinsics:
    """One focal length for the whole shot; zooms are the odometry's to find."""
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

            return estimate(work, config, keypoints)
