"""Stage `keypoints`: the joints of every detection of one shot."""

from multithumbs.config.keypoints import (
    BlazePoseKeypointsConfig,
    KeypointsConfig,
    ViTPoseConfig,
)
from multithumbs.types import Bodies, Detections, Keypoints
from multithumbs.types.work import Work


def run(
    work: Work[KeypointsConfig], *, detections: Detections, bodies: Bodies | None = None
) -> Keypoints:
    """The 23 keypoints of each row of ``detections``.

    ``bodies`` are given where the configuration looks for keypoints inside the boxes of the
    meshes (paper section 3.1).
    """
    match work.config:
        case BlazePoseKeypointsConfig() as config:
            from multithumbs.backends.keypoints.blazepose import estimate

            return estimate(work, config, detections)
        case ViTPoseConfig() as config:
            from multithumbs.backends.keypoints import vitpose

            return vitpose.estimate(work, config, detections, bodies)
