"""`Keypoints` by BlazePose's landmark network, read straight and mirrored."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float64, UInt8

from multithumbs.backends.keypoints.facing import one_sided
from multithumbs.config.keypoints import BlazePoseKeypointsConfig, FacingConfig, KeypointsConfig
from multithumbs.models.blazepose import FaceNetwork, LandmarkNetwork, Landmarks
from multithumbs.models.blazepose.crowd import read_everyone
from multithumbs.models.blazepose.face import face_region
from multithumbs.models.blazepose.landmarks import INPUT_SIDE, NUM_LANDMARKS
from multithumbs.models.blazepose.skeleton import LANDMARK_OF_KEYPOINT
from multithumbs.types import Detections, Keypoints
from multithumbs.types.work import Work

KNOWN = LANDMARK_OF_KEYPOINT >= 0
_NONE = np.zeros((INPUT_SIDE, INPUT_SIDE), dtype=np.float32)
"""In place of a silhouette: readings of a whole shot are held, and need none."""


def estimate(
    work: Work[KeypointsConfig], config: BlazePoseKeypointsConfig, detections: Detections
) -> Keypoints:
    """The 23 keypoints of every detection row."""
    count = len(detections)
    uv, confidence = np.zeros((count, 23, 2)), np.zeros((count, 23))
    xyz, xyz_confidence = np.zeros((count, 23, 3)), np.zeros((count, 23))
    if count:
        threads = work.runtime.threads
        network = LandmarkNetwork(work.checkpoints["blazepose-landmarks"], threads=threads)
        faces = None
        if "face-landmarks" in config.checkpoints:
            faces = FaceNetwork(work.checkpoints["face-landmarks"], threads=threads)
        first, last = int(detections.frame[0]), int(detections.frame[-1])
        readings: list[list[Landmarks]] = []
        face = np.full(count, np.nan)
        for frame in work.video.frames(first, last + 1):
            rows = np.flatnonzero(detections.frame == frame.index)
            everyone = read_everyone(
                frame.rgb,
                detections.roi[rows],
                detections.score[rows],
                network,
                mirror=config.mirror,
            )
            if faces is not None:
                face[rows] = [_face(frame.rgb, person, faces, config.facing) for person in everyone]
            readings += [[replace(r, segmentation=_NONE) for r in person] for person in everyone]
            work.progress(frame.index - first + 1, last - first + 1)
        time_s = work.video.info.timestamps_s[detections.frame]
        doubt = np.ones(count)
        if config.facing.enabled:
            readings, doubtful = one_sided(readings, detections.frame, time_s, config.facing, face)
            doubt[doubtful] = config.facing.doubtful_confidence
        for row, person in enumerate(readings):
            fused = fuse(person, work.video.info.hw, config.max_disagreement)
            uv[row], confidence[row], xyz[row], xyz_confidence[row] = fused
        confidence *= doubt[:, None]
        xyz_confidence *= doubt[:, None]
    return Keypoints(uv=uv, confidence=confidence, xyz=xyz, xyz_confidence=xyz_confidence)


def _face(
    rgb: UInt8[np.ndarray, "H W 3"],
    readings: list[Landmarks],
    network: FaceNetwork,
    config: FacingConfig,
) -> float:
    """Logit of a face; NaN where the head is outside the image, or too blurred to miss a face."""
    region = face_region(readings)
    height, width = rgb.shape[:2]
    if not (0 <= region[0] < width and 0 <= region[1] < height):
        return np.nan
    logit, sharpness = network(rgb, region)
    blurred = logit < config.face_logit and sharpness < config.min_sharpness
    return np.nan if blurred else logit


def fuse(
    readings: list[Landmarks], hw: tuple[int, ...], max_disagreement: float
) -> tuple[
    Float64[np.ndarray, "23 2"],
    Float64[np.ndarray, "23"],
    Float64[np.ndarray, "23 3"],
    Float64[np.ndarray, "23"],
]:
    """One or two readings of one region -> uv, confidence, xyz, xyz confidence."""
    landmark = LANDMARK_OF_KEYPOINT
    uv = np.stack([r.uv[:NUM_LANDMARKS][landmark] for r in readings])
    xyz = np.stack([r.xyz[landmark] for r in readings])
    weight = np.stack([(r.visibility * r.presence)[landmark] for r in readings]) * KNOWN
    apart = np.linalg.norm(uv - uv[:1], axis=-1).max(0) > max_disagreement * readings[0].roi[2]
    best = weight == weight.max(0)
    share = np.where(apart & ~best, 0.0, weight + 1e-6)
    share /= share.sum(0)
    fused_uv = (share[..., None] * uv).sum(0) * KNOWN[:, None]
    fused_xyz = (share[..., None] * xyz).sum(0) * KNOWN[:, None]
    xyz_confidence = weight.mean(0) * np.where(apart, 0.5, 1.0)
    inside = ((fused_uv >= 0) & (fused_uv < (hw[1], hw[0]))).all(-1)
    return fused_uv, xyz_confidence * inside, fused_xyz, xyz_confidence
