"""Stage `identities`: who is who across shots (paper section 3.4)."""

from multithumbs.config.identities import IdentitiesConfig
from multithumbs.types import (
    Alignment,
    Bodies,
    Cameras,
    Detections,
    Identities,
    Keypoints,
    Shots,
    Textures,
    Tracks,
)
from multithumbs.types.work import Work


def run(
    work: Work[IdentitiesConfig],
    *,
    shots: Shots,
    detections: tuple[Detections, ...],
    tracks: tuple[Tracks, ...],
    bodies: tuple[Bodies, ...],
    keypoints: tuple[Keypoints, ...],
    textures: tuple[Textures, ...],
    alignment: tuple[Alignment, ...],
    cameras: Cameras,
) -> Identities:
    """One person per kept track; never two tracks of one frame in one person."""
    match work.config.name:
        case "hungarian" | "geometric":
            from multithumbs.backends.identities import hungarian as backend
    from multithumbs.backends.identities.looks import texel_parts
    from multithumbs.backends.identities.sightings import gather_sightings
    from multithumbs.body import load_body

    timestamps_s = work.video.info.timestamps_s
    sightings = gather_sightings(
        shots=shots,
        detections=detections,
        tracks=tracks,
        bodies=bodies,
        keypoints=keypoints,
        textures=textures,
        alignment=alignment,
        cameras=cameras,
        timestamps_s=timestamps_s,
        config=work.config,
    )
    texel_part = None
    if sightings:
        texel_part = texel_parts(load_body(work.body_npz), len(sightings[0].weight))
    return backend.identify(sightings, shots.start.tolist(), timestamps_s, work.config, texel_part)
