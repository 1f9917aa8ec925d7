"""Stage `boundaries`: the two frames of one cut in one space (paper section 3.1)."""

import numpy as np

from multithumbs.config.boundaries import BoundariesConfig
from multithumbs.config.boundaries_vggt import VggtBoundariesConfig
from multithumbs.types import (
    Bodies,
    BoundaryScene,
    Detections,
    Keypoints,
    Masks,
    Textures,
    Tracks,
)
from multithumbs.types.work import CutItem, Work


def run(
    work: Work[BoundariesConfig],
    *,
    detections: tuple[Detections, Detections],
    keypoints: tuple[Keypoints, Keypoints],
    masks: tuple[Masks, Masks],
    bodies: tuple[Bodies, Bodies],
    tracks: tuple[Tracks, Tracks],
    textures: tuple[Textures, Textures] | None = None,
) -> BoundaryScene:
    """Relate the boundary frames; a cut that cannot be related is FAILED and says why.

    ``textures`` are given to the back-ends that read them.
    """
    from multithumbs.backends.boundaries.side import gather_side
    from multithumbs.body import load_body

    config, cut = work.config, work.cut
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
            window_frames=config.window_frames,
            min_confidence=config.min_keypoint_confidence,
        )
        for side in range(2)
    )
    images = (work.video.frame(cut.before), work.video.frame(cut.after))
    body = load_body(work.body_npz, device=work.runtime.device)
    if isinstance(config, VggtBoundariesConfig):
        from multithumbs.backends.boundaries import vggt

        def load() -> vggt.Vggt:
            return vggt.load_network(config, work.checkpoints[config.weights], work.runtime.device)

        more = [work.video.frame(f) for f in context(cut, detections, config)]
        return vggt.reconstruct(
            (before, after),
            [*images, *more],
            body,
            config,
            lambda: work.kept.get("network", load),
            work.runtime.device,
        )
    from multithumbs.backends.boundaries import people as backend
    from multithumbs.backends.boundaries.colours import Clothes

    people = tuple(
        backend.people_mask(masks[side], np.flatnonzero(detections[side].frame == frames[side]))
        for side in range(2)
    )
    clothes = None
    if textures is not None:
        clothes = (
            Clothes(*textures[0].of_tracks(tracks[0].track[before.row])),
            Clothes(*textures[1].of_tracks(tracks[1].track[after.row])),
        )
    return backend.reconstruct(
        (before, after), images, (people[0], people[1]), body, config, work.runtime.device, clothes
    )


def context(
    cut: CutItem, detections: tuple[Detections, Detections], config: VggtBoundariesConfig
) -> list[int]:
    """Further frames on either side, nearest first, none beyond the frames that hold people:
    a cut does not know where its shots begin and end."""
    frames = []
    for step in range(1, config.context_frames + 1):
        reach = step * config.context_step
        earlier, later = cut.before - reach, cut.after + reach
        if len(detections[0]) and earlier >= detections[0].frame[0]:
            frames.append(earlier)
        if len(detections[1]) and later <= detections[1].frame[-1]:
            frames.append(later)
    return frames
