"""Stage `bodies`: a posed body, in metres in its camera, for every detection of one shot."""

from typing import cast

from multithumbs.config.bodies import BodiesConfig, FitConfig, Hmr2Config
from multithumbs.types import Bodies, Detections, Intrinsics, Keypoints
from multithumbs.types.work import Work


def run(
    work: Work[BodiesConfig],
    *,
    detections: Detections,
    keypoints: Keypoints | None = None,
    intrinsics: Intrinsics,
) -> Bodies:
    """One row of `Bodies` per detection row; rows that cannot be fitted have confidence 0.

    ``keypoints`` are given to the back-ends that read them.
    """
    match work.config:
        case FitConfig():
            from multithumbs.backends.bodies.fit import estimate

            if keypoints is None:
                raise ValueError("bodies=fit reads keypoints, and was given none")
            return estimate(cast(Work[FitConfig], work), detections, keypoints, intrinsics)
        case Hmr2Config():
            from multithumbs.backends.bodies.hmr2 import estimate

            return estimate(cast(Work[Hmr2Config], work), detections, keypoints, intrinsics)
