"""Metres per unit of each shot's odometry, and what the number rests on."""

import numpy as np
from jaxtyping import Float64, Int64

from multithumbs.config.cameras import ScaleConfig
from multithumbs.solvers.contact_scale import Displacements, vote
from multithumbs.types import Bodies, Detections, Keypoints, Odometry, Tracks

FOOT_JOINTS = (7, 8, 10, 11)
FOOT_KEYPOINTS = (15, 16, 17, 20)
"""Keypoints whose confidence stands for those joints: ankles, big toes."""
TRUNK_JOINTS = (0, 12)
TRUNK_KEYPOINTS = (11, 5)


def metres_per_unit(
    odometry: Odometry,
    detections: Detections,
    bodies: Bodies,
    joints: Float64[np.ndarray, "N 24 3"],
    keypoints: Keypoints,
    tracks: Tracks,
    timestamps_s: Float64[np.ndarray, " F"],
    config: ScaleConfig,
) -> tuple[float, str]:
    """Scale of one shot and its source, as `Cameras.scale_source` names them.

    Feet that stand still decide (`contact`); where feet are not seen, trunks that stand still
    (`bodies`); where neither says anything, the depth of the people times a usual ratio
    between the background's depth and theirs, marked `assumed`. ``joints`` are everybody's in
    their cameras, at one size per person.
    """
    if odometry.motion != "free":
        return 1.0, "none"
    usable = (tracks.track >= 0) & (bodies.confidence > 0)
    if not usable.any():
        return 1.0, "assumed"
    prior = config.prior_depth * float(np.median(joints[usable, 0, 2]))
    prior = max(prior, 0.1)
    for chosen, points, source in (
        (FOOT_JOINTS, FOOT_KEYPOINTS, "contact"),
        (TRUNK_JOINTS, TRUNK_KEYPOINTS, "bodies"),
    ):
        confidence = keypoints.confidence[:, points]
        seen = (confidence > config.min_keypoint_confidence) & usable[:, None]
        positions = joints[:, chosen]
        moves = displacements(
            odometry, detections.frame, tracks.track, positions, seen, timestamps_s,
            config.window_s,
        )  # fmt: skip
        if len(moves) < config.min_pairs:
            continue
        found = vote(
            moves,
            still_m=config.still_m,
            depth_noise=config.depth_noise,
            prior=prior,
            prior_log_std=config.prior_log_std,
        )
        if found.still >= config.min_still and found.contrast >= config.min_contrast:
            return found.metres_per_unit, source
    return prior, "assumed"


def displacements(
    odometry: Odometry,
    frame: Int64[np.ndarray, " N"],
    track: Int64[np.ndarray, " N"],
    positions: Float64[np.ndarray, "N J 3"],
    seen: np.ndarray,
    timestamps_s: Float64[np.ndarray, " F"],
    window_s: float,
) -> Displacements:
    """Every seen point against itself ``window_s`` later in the same track."""
    start = int(odometry.frame[0])
    rotation, centre = odometry.shot_from_cam[:, :3, :3], odometry.shot_from_cam[:, :3, 3]
    span = timestamps_s[odometry.frame[-1]] - timestamps_s[start]
    rate = max(len(odometry.frame) - 1, 1) / max(float(span), 1e-6)
    later = max(1, round(window_s * rate))
    row_at = {(int(t), int(f)): n for n, (t, f) in enumerate(zip(track, frame, strict=True))}
    pairs = [
        (n, row_at[t, f + later])
        for (t, f), n in row_at.items()
        if t >= 0 and (t, f + later) in row_at
    ]
    first, second = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    at = frame - start
    both = seen[first] & seen[second]
    turned = np.einsum("nij,nkj->nki", rotation[at], positions)
    depth = np.linalg.norm(positions, axis=-1)
    ray = turned[first] + turned[second]
    moved = np.broadcast_to((centre[at[second]] - centre[at[first]])[:, None], turned[first].shape)
    return Displacements(
        body=(turned[second] - turned[first])[both],
        camera=moved[both],
        ray=(ray / np.linalg.norm(ray, axis=-1, keepdims=True))[both],
        depth=depth[first][both],
    )
