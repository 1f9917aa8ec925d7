"""Stage `textures`: one UV texture per track of a shot (paper section 3.4)."""

from multithumbs.config.textures import TexturesConfig
from multithumbs.types import Bodies, Detections, Masks, Textures, Tracks
from multithumbs.types.work import Work


def run(
    work: Work[TexturesConfig],
    *,
    detections: Detections,
    masks: Masks,
    bodies: Bodies,
    tracks: Tracks,
) -> Textures:
    """Bake a few frames of every track; the shot is streamed once, up to the last of them."""
    match work.config.name:
        case "raycast":
            from multithumbs.backends.textures import merge as backend
    from multithumbs.body import load_body

    rows = backend.choose_rows(detections, bodies, tracks, work.config)
    frames = detections.frame[rows]
    first, last = (int(frames.min()), int(frames.max())) if len(rows) else (0, -1)
    return backend.merge_textures(
        work.video.frames(first, last + 1) if len(rows) else (),
        rows,
        detections,
        masks,
        bodies,
        tracks,
        load_body(work.body_npz, device=work.runtime.device),
        work.config,
        work.runtime.device,
    )
