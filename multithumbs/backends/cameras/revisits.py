"""Shots whose camera stands where it stood before: an edge that no chain of cuts can give.

Dialogue is cut A B A B. Following the cuts alone, every return to A adds two cuts' errors;
but the background of A is the same picture again, and two pictures from one place differ by
a rotation only. That is measured here on SIFT matches, to a fraction of a degree.
"""

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float64

from multithumbs.backends.odometry.people_mask import background
from multithumbs.config.cameras import PoseGraphCamerasConfig, RevisitConfig
from multithumbs.solvers.pose_graph import Edges
from multithumbs.solvers.pose_graph_revisit import Revisit, rotation_only
from multithumbs.types import Detections, FrameReader, Intrinsics, Masks, Odometry, Shots

WIDTH_PX = 640
MATCH_RATIO = 0.8
PERSON_MARGIN = 0.1
"""Growth of person masks, as a fraction of the box's shorter side."""


class _View(NamedTuple):
    shot_from_cam: Float64[np.ndarray, "4 4"]
    rays: Float64[np.ndarray, "F 3"]
    descriptors: np.ndarray
    pixel: float
    """Angle of a pixel of the reduced image, radians."""


def find_revisits(
    video: FrameReader,
    config: PoseGraphCamerasConfig,
    shots: Shots,
    odometry: tuple[Odometry, ...],
    intrinsics: tuple[Intrinsics, ...],
    detections: tuple[Detections, ...],
    masks: tuple[Masks, ...],
) -> Edges:
    """Edges between shots with cameras that do not travel and see one background."""
    rows: list[tuple[int, int, Revisit]] = []
    views: dict[int, _View] = {}
    if config.revisits.enabled and len(shots) > 1:
        for s in range(len(shots)):
            if odometry[s].motion == "free":
                continue
            at = int(shots.clean_start[s])
            parts = odometry[s], intrinsics[s], detections[s], masks[s]
            views[s] = _look(video, config.revisits, at, *parts)
            views.pop(s - config.revisits.window - 1, None)
            for earlier in [a for a in views if a < s]:
                found = _compare(views[earlier], views[s], config.revisits)
                if found is not None:
                    rows.append((earlier, s, found))
    return _edges(rows, odometry, shots, config)


def _look(
    video: FrameReader,
    config: RevisitConfig,
    frame: int,
    odometry: Odometry,
    intrinsics: Intrinsics,
    detections: Detections,
    masks: Masks,
) -> _View:
    """Background features of one frame."""
    rgb = video.frame(frame)
    height, width = rgb.shape[:2]
    low = (round(height * min(1.0, WIDTH_PX / width)), min(width, WIDTH_PX))
    gray = cv2.resize(
        cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), low[::-1], interpolation=cv2.INTER_AREA
    )
    rows = np.flatnonzero(detections.frame == frame)
    free = background(detections, masks, rows, low, PERSON_MARGIN).astype(np.uint8)
    sift = cv2.SIFT.create(nfeatures=config.features)
    points, descriptors = sift.detectAndCompute(gray, free)
    uv = (np.array([p.pt for p in points]).reshape(-1, 2) + 0.5) * (width / low[1])
    at = frame - int(odometry.frame[0])
    focal = intrinsics.K[0, 0] * odometry.zoom[at]
    rays = np.c_[(uv - intrinsics.K[:2, 2]) / focal, np.ones(len(uv))]
    return _View(
        shot_from_cam=odometry.shot_from_cam[at],
        rays=rays / np.linalg.norm(rays, axis=1, keepdims=True),
        descriptors=np.zeros((0, 128), np.float32) if descriptors is None else descriptors,
        pixel=float(width / low[1] / focal),
    )


def _compare(first: _View, second: _View, config: RevisitConfig) -> Revisit | None:
    if min(len(first.rays), len(second.rays)) < config.min_matches:
        return None
    matcher = cv2.BFMatcher(cv2.NORM_L2)
    pairs = matcher.knnMatch(second.descriptors, first.descriptors, k=2)
    good = [(p[0].trainIdx, p[0].queryIdx) for p in pairs
            if len(p) == 2 and p[0].distance < MATCH_RATIO * p[1].distance]  # fmt: skip
    if len(good) < config.min_matches:
        return None
    a, b = np.array(good).T
    tolerance = config.tolerance_px * first.pixel
    found = rotation_only(first.rays[a], second.rays[b], tolerance)
    enough = found.inliers >= max(config.min_matches, config.min_inliers * len(good))
    return found if enough else None


def _edges(
    rows: list[tuple[int, int, Revisit]],
    odometry: tuple[Odometry, ...],
    shots: Shots,
    config: PoseGraphCamerasConfig,
) -> Edges:
    def cam(shot: int) -> Float64[np.ndarray, "4 4"]:
        at = int(shots.clean_start[shot] - odometry[shot].frame[0])
        return odometry[shot].shot_from_cam[at]

    turned = np.tile(np.eye(4), (len(rows), 1, 1))
    for e, (_, _, found) in enumerate(rows):
        turned[e, :3, :3] = found.first_from_second
    count = len(rows)
    return Edges(
        first=np.array([a for a, _, _ in rows], dtype=np.int64),
        second=np.array([b for _, b, _ in rows], dtype=np.int64),
        first_shot_from_cam=np.array([cam(a) for a, _, _ in rows]).reshape(-1, 4, 4),
        second_shot_from_cam=np.array([cam(b) for _, b, _ in rows]).reshape(-1, 4, 4),
        first_from_second=turned,
        rotation_std=np.full(count, np.radians(config.revisit_rotation_std_deg)),
        translation_std=np.full(count, config.revisit_translation_std_m),
    )
