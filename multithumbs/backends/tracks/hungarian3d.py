"""`Tracks` by Kalman prediction and Hungarian assignment in the camera's space."""

import numpy as np
from jaxtyping import Float64

from multithumbs.backends.tracks.appearance import NUM_PARTS, describe
from multithumbs.config.tracks import Hungarian3DConfig
from multithumbs.solvers.tracking import Observations
from multithumbs.solvers.tracking_boxes import covered
from multithumbs.solvers.tracking_links import track
from multithumbs.types import Bodies, Detections, Keypoints, Tracks
from multithumbs.types.work import Work

PELVIS, NECK = 0, 12
UNKNOWN_DEPTH_STD = 1.0
"""Of log depth, for rows whose body could not be fitted: only the image places them."""
MIN_DEPTH_M = 0.1


def follow(
    work: Work[Hungarian3DConfig], detections: Detections, keypoints: Keypoints, bodies: Bodies
) -> Tracks:
    """Track ids of each detection row."""
    time_s = work.video.info.timestamps_s[detections.frame]
    clothes = None
    if work.config.colour_weight > 0:
        clothes = describe(work.video, detections, keypoints)
    seen = observe(work.config, time_s, detections, keypoints, bodies, clothes)
    return Tracks(track=track(seen, work.config))


def observe(
    config: Hungarian3DConfig,
    time_s: np.ndarray,
    detections: Detections,
    keypoints: Keypoints,
    bodies: Bodies,
    clothes: tuple[Float64[np.ndarray, "N 6 3"], Float64[np.ndarray, "N 6"]] | None,
) -> Observations:
    """Measurements and their noise; the torso's middle stands for the person."""
    colour, colour_weight = clothes or (
        np.zeros((len(detections), NUM_PARTS, 3)),
        np.zeros((len(detections), NUM_PARTS)),
    )
    torso = bodies.joints_cam[:, [PELVIS, NECK]].mean(1)
    fitted = (bodies.confidence > 0) & (torso[:, 2] > MIN_DEPTH_M)
    focal = bodies.K[:, 0, 0]
    size_px = np.maximum((detections.box_xyxy[:, 2:] - detections.box_xyxy[:, :2]).max(1), 1.0)
    # A row without a body: as deep as the others, or as a person of that size would be.
    depth = np.where(fitted, torso[:, 2], 1.6 * focal / size_px)
    centre = (detections.box_xyxy[:, :2] + detections.box_xyxy[:, 2:]) / 2
    by_box = (centre - bodies.K[:, :2, 2]) / focal[:, None]
    by_body = torso[:, :2] / depth[:, None]
    across = np.hypot(config.position_noise_m / depth, config.pixel_noise / focal)
    across = np.where(fitted, across, 3 * across)
    along = np.where(fitted, config.depth_noise, UNKNOWN_DEPTH_STD)
    # Half hidden behind somebody, a body is fitted to guesses.
    crowding = covered(detections.frame, detections.box_xyxy)
    unsure = 1 + config.crowd_noise * crowding
    across, along = across * unsure, along * unsure
    span = np.linalg.norm(bodies.joints_cam[:, NECK] - bodies.joints_cam[:, PELVIS], axis=-1)
    known = span[fitted & (span > 0)]
    typical = float(np.median(known)) if len(known) else 1.0
    return Observations(
        frame=detections.frame,
        time_s=time_s,
        place=np.column_stack([np.where(fitted[:, None], by_body, by_box), np.log(depth)]),
        place_std=np.column_stack([across, across, along]),
        uv=keypoints.uv,
        confidence=keypoints.confidence,
        focal=focal,
        size_px=size_px,
        log_size=np.log(np.where(fitted & (span > 0), np.maximum(span, 1e-3), typical)),
        score=detections.score,
        colour=colour,
        colour_weight=colour_weight,
        crowding=crowding,
    )
