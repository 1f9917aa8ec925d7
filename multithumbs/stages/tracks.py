"""Stage `tracks`: which rows of one shot are the same person."""

from multithumbs.config.tracks import TracksConfig
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
    match work.config.name:
        case "hungarian3d":
            from multithumbs.backends.tracks.hungarian3d import follow

            return follow(work, detections, keypoints, bodies)
