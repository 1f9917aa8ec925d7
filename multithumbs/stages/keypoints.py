"""Stage `keypoints`: the joints of every detection of one shot."""

from multithumbs.config.keypoints import KeypointsConfig
from multithumbs.types import Detections, Keypoints
from multithumbs.types.work import Work


def run(work: Work[KeypointsConfig], *, detections: Detections) -> Keypoints:
    """The 23 keypoints of each row of ``detections``."""
    match work.config.name:
        case "blazepose":
            from multithumbs.backends.keypoints.blazepose import estimate
    return estimate(work, detections)
