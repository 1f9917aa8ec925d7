"""Stage `bodies`: a posed body, in metres in its camera, for every detection of one shot."""

from multithumbs.config.bodies import BodiesConfig
from multithumbs.types import Bodies, Detections, Intrinsics, Keypoints
from multithumbs.types.work import Work


def run(
    work: Work[BodiesConfig],
    *,
    detections: Detections,
    keypoints: Keypoints,
    intrinsics: Intrinsics,
) -> Bodies:
    """One row of `Bodies` per detection row; rows that cannot be fitted have confidence 0."""
    match work.config.name:
        case "fit":
            from multithumbs.backends.bodies.fit import estimate
    return estimate(work, detections, keypoints, intrinsics)
