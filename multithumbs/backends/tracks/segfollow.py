"""`Tracks` by SegFollow over the masks of this run."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

import cv2
import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8
from scipy.ndimage import gaussian_filter

from multithumbs.config.tracks import SegFollowConfig
from multithumbs.solvers.segfollow import MaskObservations, follow_masks, repeated
from multithumbs.types import Detections, Masks, Tracks
from multithumbs.types.work import Work

LAB_SHIFT: Final = np.array([0.0, 64.0, 64.0])
LAB_RANGE: Final = np.array([100.0, 128.0, 128.0])
"""What the histograms resolve; stronger colours fall into the outermost bins."""
BLUR_BINS: Final = 0.7
COARSE_PX: Final = 240
"""About the longer side of the grid on which masks are compared."""
DECODED_MASKS: Final = 256
MASKLESS_FILL: Final = 0.5
"""Share of its box that a person without a mask is taken to cover."""


def follow(work: Work[SegFollowConfig], detections: Detections, masks: Masks) -> Tracks:
    """Track ids; -1 for duplicates and for tracks that stay too short."""
    count, bins = len(detections), work.config.colour_bins
    box = detections.box_xyxy.copy()
    area = MASKLESS_FILL * np.maximum(np.prod(box[:, 2:] - box[:, :2], axis=1), 0)
    feature = np.zeros((count, max(bins, 1) ** 3), np.float32)
    shapes = _Shapes(masks)
    edges = np.flatnonzero(np.diff(detections.frame)) + 1
    images = _images(work, detections)
    for rows in np.split(np.arange(count), edges) if count else []:
        rgb = next(images) if bins else None
        for row in rows:
            mask = masks.dense(int(row))
            bounds = mask_box(mask)
            if bounds is None:
                continue
            box[row], area[row] = bounds, mask.sum()
            if rgb is not None:
                low, high = bounds.astype(np.int64).reshape(2, 2)
                part = (slice(low[1], high[1]), slice(low[0], high[0]))
                feature[row] = histogram(rgb[part][mask[part]], bins)
    twice = repeated(detections.frame, detections.score, shapes.overlap, work.config.duplicate_iou)
    kept = np.flatnonzero(~twice)

    def overlap(
        a: Int64[np.ndarray, " T"], b: Int64[np.ndarray, " R"]
    ) -> Float64[np.ndarray, "T R"]:
        return shapes.overlap(kept[a], kept[b])

    seen = MaskObservations(
        frame=detections.frame[kept],
        time_s=work.video.info.timestamps_s[detections.frame[kept]],
        box_xyxy=box[kept],
        area=area[kept],
        score=detections.score[kept],
        feature=feature[kept],
    )
    track = np.full(count, -1, dtype=np.int64)
    track[kept] = follow_masks(seen, overlap, work.config)
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


class _Shapes:
    """Overlaps of masks, on every few pixels; a few masks are kept decoded."""

    def __init__(self, masks: Masks) -> None:
        self._masks = masks
        self._step = max(1, round(max(masks.hw) / COARSE_PX))
        self._decoded: OrderedDict[int, Bool[np.ndarray, "h w"]] = OrderedDict()

    def overlap(
        self, a: Int64[np.ndarray, " T"], b: Int64[np.ndarray, " R"]
    ) -> Float64[np.ndarray, "T R"]:
        """IoU of every two masks; empty masks overlap with nothing."""
        first = np.stack([self._coarse(int(row)) for row in a]).reshape(len(a), -1)
        second = np.stack([self._coarse(int(row)) for row in b]).reshape(len(b), -1)
        common = first.astype(np.float32) @ second.astype(np.float32).T
        either = first.sum(1)[:, None] + second.sum(1)[None] - common
        return (common / np.maximum(either, 1)).astype(np.float64)

    def _coarse(self, row: int) -> Bool[np.ndarray, "h w"]:
        mask = self._decoded.pop(row, None)
        if mask is None:
            mask = self._masks.dense(row)[:: self._step, :: self._step].copy()
        self._decoded[row] = mask
        while len(self._decoded) > DECODED_MASKS:
            self._decoded.popitem(last=False)
        return mask
