"""Stage `intrinsics`: the pinhole camera of one shot."""

from multithumbs.config.intrinsics import IntrinsicsConfig
from multithumbs.types import Intrinsics, Keypoints
from multithumbs.types.work import Work


def run(work: Work[IntrinsicsConfig], *, keypoints: Keypoints) -> Intrinsics:
    """One focal length for the whole shot; zooms are the odometry's to find."""
    match work.config.name:
        case "assumed":
            from multithumbs.backends.intrinsics.assumed import assume

            return assume(work.config, work.video.info.hw)
        case "given":
            from multithumbs.backends.intrinsics.assumed import give

            return give(work.config, work.video.info.hw)
