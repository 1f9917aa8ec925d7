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


class Returns(NamedTuple):
    """What returns to an earlier camera say."""

    edges: Edges
    focal_factor: Float64[np.ndarray, " S"]
    """Of each shot's focal length, so that shots from one place agree; 1 where nothing says."""


class _View(NamedTuple):
    """Background features of one frame."""

    shot_from_cam: Float64[np.ndarray, "4 4"]
    plane: Float64[np.ndarray, "F 2"]
    """``(uv - centre) / focal``."""
    descriptors: np.ndarray
    pixel: float
    """A pixel of the reduced image in these units."""


def find_revisits(
    video: FrameReader,
    config: PoseGraphCamerasConfig,
    shots: Shots,
    odometry: tuple[Odometry, ...],
    intrinsics: tuple[Intrinsics, ...],
    detections: tuple[Detections, ...],
    masks: tuple[Masks, ...],
) -> Returns:
    """Edges between shots with cameras that do not travel and see one background.

    The picture with which a shot leaves a camera is compared with that with which a later one
    enters it. A tighter picture from the same place is a longer lens: the later shot's focal
    length follows the earlier one's.
    """
    rows: list[_Row] = []
    leaving: dict[int, _View] = {}
    factor = np.ones(len(shots))
    for s in range(len(shots) if config.revisits.enabled and len(shots) > 1 else 0):
        if odometry[s].motion == "free":
            continue
        parts = odometry[s], intrinsics[s], detections[s], masks[s]
        entering = _look(video, config.revisits, int(shots.clean_start[s]), *parts)
        links = []
        for earlier, view in leaving.items():
            found = _compare(view, entering, config.revisits)
            if found is not None:
                links.append(_Row(earlier, s, view.shot_from_cam, entering.shot_from_cam, found))
        if links:
            factor[s] = max(links, key=lambda link: link.found.inliers).found.focal_factor
        rows += links
        last = entering
        if odometry[s].motion != "static":
            last = _look(video, config.revisits, int(shots.clean_end[s]) - 1, *parts)
        leaving[s] = last._replace(plane=last.plane / factor[s], pixel=last.pixel / factor[s])
        leaving.pop(s - config.revisits.window, None)
    return Returns(_edges(rows, config), factor)


class _Row(NamedTuple):
    first: int
    second: int
    first_shot_from_cam: Float64[np.ndarray, "4 4"]
    second_shot_from_cam: Float64[np.ndarray, "4 4"]
    found: Revisit


def _look(
    video: FrameReader,
    config: RevisitConfig,
    frame: int,
    odometry: Odometry,
    intrinsics: Intrinsics,
    detections: Detections,
    masks: Masks,
) -> _View:
    rgb = video.frame(frame)
    height, width = rgb.shape[:2]
    low = (round(height * min(1.0, WIDTH_PX / width)), min(width, WIDTH_PX))
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    gray = cv2.resize(gray, low[::-1], interpolation=cv2.INTER_AREA)
    rows = np.flatnonzero(detections.frame == frame)
    free = background(detections, masks, rows, low, PERSON_MARGIN).astype(np.uint8)
    sift = cv2.SIFT.create(nfeatures=config.features)
    points, descriptors = sift.detectAndCompute(gray, free)
    uv = (np.array([p.pt for p in points]).reshape(-1, 2) + 0.5) * (width / low[1])
    at = frame - int(odometry.frame[0])
    focal = float(intrinsics.K[0, 0] * odometry.zoom[at])
    return _View(
        shot_from_cam=odometry.shot_from_cam[at],
        plane=(uv - intrinsics.K[:2, 2]) / focal,
        descriptors=np.zeros((0, 128), np.float32) if descriptors is None else descriptors,
        pixel=width / low[1] / focal,
    )


def _compare(first: _View, second: _View, config: RevisitConfig) -> Revisit | None:
    if min(len(first.plane), len(second.plane)) < config.min_matches:
        return None
    matcher = cv2.BFMatcher(cv2.NORM_L2)
    pairs = matcher.knnMatch(second.descriptors, first.descriptors, k=2)
    good = [(p[0].trainIdx, p[0].queryIdx) for p in pairs
            if len(p) == 2 and p[0].distance < MATCH_RATIO * p[1].distance]  # fmt: skip
    if len(good) < config.min_matches:
        return None
    a, b = np.array(good).T
    found = rotation_only(first.plane[a], second.plane[b], config.tolerance_px * first.pixel)
    share = config.min_inliers if np.isclose(found.focal_factor, 1) else config.min_zoomed_inliers
    enough = found.inliers >= max(config.min_matches, share * len(good))
    return found if enough else None


def _edges(rows: list[_Row], config: PoseGraphCamerasConfig) -> Edges:
    turned = np.tile(np.eye(4), (len(rows), 1, 1))
    for e, row in enumerate(rows):
        turned[e, :3, :3] = row.found.first_from_second
    count = len(rows)
    return Edges(
        first=np.array([row.first for row in rows], dtype=np.int64),
        second=np.array([row.second for row in rows], dtype=np.int64),
        first_shot_from_cam=np.array([r.first_shot_from_cam for r in rows]).reshape(-1, 4, 4),
        second_shot_from_cam=np.array([r.second_shot_from_cam for r in rows]).reshape(-1, 4, 4),
        first_from_second=turned,
        rotation_std=np.full(count, np.radians(config.revisit_rotation_std_deg)),
        translation_std=np.full(count, config.revisit_translation_std_m),
    )
