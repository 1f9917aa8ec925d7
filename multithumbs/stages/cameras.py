"""Every frame's camera in metres, in the world of its island (paper section 3.3)."""

import numpy as np

from multithumbs.config.cameras import (
    CamerasConfig,
    LiteralCamerasConfig,
    PoseGraphCamerasConfig,
)
from multithumbs.types import (
    Alignment,
    Bodies,
    Cameras,
    Detections,
    Intrinsics,
    Keypoints,
    Masks,
    Odometry,
    Shots,
    Tracks,
)
from multithumbs.types.work import Work


def run(
    work: Work[CamerasConfig],
    *,
    shots: Shots,
    detections: tuple[Detections, ...],
    keypoints: tuple[Keypoints, ...],
    intrinsics: tuple[Intrinsics, ...],
    masks: tuple[Masks, ...],
    bodies: tuple[Bodies, ...],
    tracks: tuple[Tracks, ...],
    alignment: tuple[Alignment, ...],
    odometry: tuple[Odometry, ...],
) -> Cameras:
    """Tie the shots together at their cuts; a failed cut starts a new island."""
    from multithumbs.backends.cameras.graph import (
        assemble,
        cut_edges,
        join,
        lens_at_ends,
        lens_of_cuts,
        loosened,
        rescaled,
        with_lens,
    )
    from multithumbs.backends.cameras.revisits import find_revisits
    from multithumbs.backends.cameras.rooms import turn_to_room
    from multithumbs.backends.cameras.scale import metres_per_unit
    from multithumbs.backends.sizes import find_sizes, people_of_pairs

    cut_scale = np.ones(len(alignment))
    measured = lens_of_cuts(alignment, odometry, intrinsics)
    match work.config:
        case LiteralCamerasConfig():
            cuts = cut_edges(alignment, odometry, 1.0, 1.0)
            ones = np.ones(len(shots))
            source = tuple("assumed" if o.motion == "free" else "none" for o in odometry)
            return assemble(
                shots, odometry, intrinsics, cuts, cuts, cut_scale, ones, 0 * ones, source, measured
            )  # fmt: skip
        case PoseGraphCamerasConfig() as config:
            video, times = work.video, work.video.info.timestamps_s
            lensed = tuple(map(with_lens, intrinsics, measured.tolist()))
            returns, again = find_revisits(
                video, config, shots, odometry, lensed, detections, masks
            )
            focal_factor = measured * again
            cuts = cut_edges(
                alignment,
                odometry,
                np.radians(config.cut_rotation_std_deg),
                config.cut_translation_std_m,
            )
            joints = tuple(own.joints_cam for own in bodies)
            if config.sizes is not None:
                who = people_of_pairs(alignment, tracks)
                sizes = find_sizes(who, bodies, keypoints, tracks, alignment, config.sizes)
                joints = tuple(map(sizes.resized, range(len(shots)), tracks, bodies))
                cut_scale = np.exp(-sizes.log_unit)
                cuts = rescaled(cuts, cut_scale)
            lens = lens_at_ends(shots, odometry, focal_factor)
            cuts = turn_to_room(
                cuts, video, alignment, intrinsics, detections, masks, bodies, tracks, joints,
                lens, config.room,
            )  # fmt: skip
            cuts = loosened(cuts, returns)
            found = [
                metres_per_unit(
                    odometry[s], detections[s], bodies[s], joints[s], keypoints[s], tracks[s],
                    times, config.scale,
                )
                for s in range(len(shots))
            ]  # fmt: skip
            scale = np.array([value for value, _ in found])
            source = tuple(name for _, name in found)
            spread = {"none": 0.0, "assumed": config.scale.prior_log_std}
            std = np.array([spread.get(name, config.scale_log_std) for name in source])
            edges = join(cuts, returns)
            return assemble(
                shots, odometry, intrinsics, edges, cuts, cut_scale, scale, std, source,
                focal_factor,
            )  # fmt: skip
