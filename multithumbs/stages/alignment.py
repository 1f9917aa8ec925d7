"""Stage `alignment`: bodies and cameras of one cut refined together (paper section 3.2)."""

from multithumbs.config.alignment import AlignmentConfig
from multithumbs.types import (
    Alignment,
    Bodies,
    BoundaryScene,
    Detections,
    Keypoints,
    Masks,
    Tracks,
)
from multithumbs.types.work import Work


def run(
    work: Work[AlignmentConfig],
    *,
    boundaries: BoundaryScene,
    detections: tuple[Detections, Detections],
    keypoints: tuple[Keypoints, Keypoints],
    masks: tuple[Masks, Masks],
    bodies: tuple[Bodies, Bodies],
    tracks: tuple[Tracks, Tracks],
) -> Alignment:
    """Algorithm 1; a failed boundary scene stays failed, with its reason."""
    match work.config.name:
        case "lm" | "adamw":
            from multithumbs.backends.alignment import algorithm1 as backend
    from multithumbs.backends.boundaries.side import gather_side
    from multithumbs.body import load_body

    cut = work.cut
    if cut is None:
        raise ValueError("alignment runs per cut: work.cut is missing")
    before, after = (
        gather_side(
            frame,
            detections[side],
            keypoints[side],
            bodies[side],
            tracks[side],
            masks[side],
            window_frames=work.config.limits.window_frames,
            min_confidence=work.config.limits.min_keypoint_confidence,
        )
        for side, frame in enumerate((cut.before, cut.after))
    )
    body = load_body(work.body_npz, device=work.runtime.device)
    return backend.align((before, after), boundaries, body, work.config)
