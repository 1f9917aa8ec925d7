"""Stage `boundaries`: the two frames of one cut in one space (paper section 3.1)."""

import numpy as np

from multithumbs.config.boundaries import BoundariesConfig
from multithumbs.types import Bodies, BoundaryScene, Detections, Keypoints, Masks, Tracks
from multithumbs.types.work import Work


def run(
    work: Work[BoundariesConfig],
    *,
    detections: tuple[Detections, Detections],
    keypoints: tuple[Keypoints, Keypoints],
    masks: tuple[Masks, Masks],
    bodies: tuple[Bodies, Bodies],
    tracks: tuple[Tracks, Tracks],
) -> BoundaryScene:
    """Relate the boundary frames; a cut that cannot be related is FAILED and says why."""
    match work.config.name:
        case "people":
            from multithumbs.backends.boundaries import people as backend
    from multithumbs.backends.boundaries.side import gather_side
    from multithumbs.body import load_body

    cut = work.cut
    if cut is None:
        raise ValueError("boundaries runs per cut: work.cut is missing")
    frames = (cut.before, cut.after)
    before, after = (
        gather_side(
            frames[side],
            detections[side],
            keypoints[side],
            bodies[side],
            tracks[side],
            masks[side],
            window_frames=work.config.window_frames,
            min_confidence=work.config.min_keypoint_confidence,
        )
        for side in range(2)
    )
    people = tuple(
        backend.people_mask(masks[side], np.flatnonzero(detections[side].frame == frames[side]))
        for side in range(2)
    )
    return backend.reconstruct(
        (before, after),
        (work.video.frame(cut.before), work.video.frame(cut.after)),
        (people[0], people[1]),
        load_body(work.body_npz, device=work.runtime.device),
        work.config,
        work.runtime.device,
    )
