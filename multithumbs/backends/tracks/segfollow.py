"""`Tracks` by SegFollow over the masks of this run."""

from collections.abc import Iterator
from typing import Final

import cv2
import numpy as np
from jaxtyping import Bool, Float64, UInt8
from scipy.ndimage import gaussian_filter

from multithumbs.config.tracks import SegFollowConfig
from multithumbs.solvers.segfollow import MaskObservations, follow_masks, repeated
from multithumbs.types import Detections, Masks, Tracks
from multithumbs.types.work import Work

LAB_SHIFT: Final = np.array([0.0, 64.0, 64.0])
LAB_RANGE: Final = np.array([100.0, 128.0, 128.0])
"""What the histograms resolve; stronger colours fall into the outermost bins."""
BLUR_BINS: Final = 0.7
MASKLESS_FILL: Final = 0.5
"""Share of its box that a person without a mask is taken to cover."""


def follow(work: Work[SegFollowConfig], detections: Detections, masks: Masks) -> Tracks:
    """Track ids; -1 for duplicates and for tracks that stay too short."""
    count, bins = len(detections), work.config.colour_bins
    box = detections.box_xyxy.copy()
    area = MASKLESS_FILL * np.maximum(np.prod(box[:, 2:] - box[:, :2], axis=1), 0)
    feature = np.zeros((count, max(bins, 1) ** 3))
    overlap = []
    edges = np.flatnonzero(np.diff(detections.frame)) + 1
    groups = [rows for rows in np.split(np.arange(count), edges) if len(rows)]
    images = _images(work, detections)
    for rows in groups:
        rgb = next(images) if bins else None
        dense = [masks.dense(int(row)) for row in rows]
        for row, mask in zip(rows, dense, strict=True):
            bounds = mask_box(mask)
            if bounds is None:
                continue
            box[row], area[row] = bounds, mask.sum()
            if rgb is not None:
                low, high = bounds.astype(np.int64).reshape(2, 2)
                part = (slice(low[1], high[1]), slice(low[0], high[0]))
                feature[row] = histogram(rgb[part][mask[part]], bins)
        overlap.append(_overlap(dense, box[rows]))
    twice = repeated(detections.frame, detections.score, overlap, work.config.duplicate_iou)
    kept = np.flatnonzero(~twice)
    seen = MaskObservations(
        frame=detections.frame[kept],
        time_s=work.video.info.timestamps_s[detections.frame[kept]],
        box_xyxy=box[kept],
        area=area[kept],
        score=detections.score[kept],
        feature=feature[kept],
    )
    track = np.full(count, -1, dtype=np.int64)
    track[kept] = follow_masks(seen, work.config)
    return Tracks(track=track)


def mask_box(mask: Bool[np.ndarray, "H W"]) -> Float64[np.ndarray, "4"] | None:
    """The smallest box (xyxy, pixels) around a mask; None around nothing."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    if len(rows) == 0:
        return None
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], dtype=np.float64)


def histogram(pixels: UInt8[np.ndarray, "P 3"], bins: int) -> Float64[np.ndarray, " D"]:
    """Square roots of a blurred CIELAB histogram: a unit vector, so that the product of two is
    the Bhattacharyya coefficient of their colours."""
    lab = cv2.cvtColor(pixels[None].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0]
    scaled = (lab + LAB_SHIFT) / LAB_RANGE
    index = np.clip((scaled * bins).astype(np.int64), 0, bins - 1)
    flat = np.bincount(index @ [bins**2, bins, 1], minlength=bins**3).astype(np.float64)
    soft = gaussian_filter(flat.reshape(bins, bins, bins), BLUR_BINS, mode="nearest").reshape(-1)
    return np.sqrt(soft / soft.sum())


def _images(
    work: Work[SegFollowConfig], detections: Detections
) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """The frames that have rows, in order."""
    if len(detections) == 0:
        return
    first, end = int(detections.frame[0]), int(detections.frame[-1]) + 1
    wanted = set(detections.frame.tolist())
    for index, rgb in work.video.frames(first, end):
        work.progress(index + 1 - first, end - first)
        if index in wanted:
            yield rgb


def _overlap(
    dense: list[Bool[np.ndarray, "H W"]], box: Float64[np.ndarray, "R 4"]
) -> Float64[np.ndarray, "R R"]:
    """IoU of every two masks; empty masks overlap with nothing."""
    iou = np.eye(len(dense))
    for i in range(len(dense)):
        for j in range(i):
            low = np.maximum(box[i, :2], box[j, :2]).astype(np.int64)
            high = np.minimum(box[i, 2:], box[j, 2:]).astype(np.int64)
            if (high <= low).any():
                continue
            part = (slice(low[1], high[1]), slice(low[0], high[0]))
            common = np.count_nonzero(dense[i][part] & dense[j][part])
            either = np.count_nonzero(dense[i]) + np.count_nonzero(dense[j]) - common
            iou[i, j] = iou[j, i] = common / max(either, 1)
    return iou
