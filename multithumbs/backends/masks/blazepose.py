"""`Masks` by BlazePose's segmentation; people in one frame share no pixel."""

import cv2
import numpy as np
from jaxtyping import Bool, Float32

from multithumbs.config.masks import BlazePoseMasksConfig, MasksConfig
from multithumbs.models.blazepose import LandmarkNetwork, Landmarks
from multithumbs.models.blazepose.crowd import read_everyone
from multithumbs.models.blazepose.erase import OUTSIDE_LOGIT
from multithumbs.models.blazepose.landmarks import NUM_LANDMARKS
from multithumbs.models.blazepose.region import paste
from multithumbs.types import Detections, Masks
from multithumbs.types.detections import encode_runs
from multithumbs.types.work import Work


def segment(work: Work[MasksConfig], config: BlazePoseMasksConfig, detections: Detections) -> Masks:
    """A mask per detection row, encoded frame by frame."""
    runs: list[np.ndarray] = []
    if len(detections):
        network = LandmarkNetwork(
            work.checkpoints["blazepose-landmarks"], threads=work.runtime.threads
        )
        first, last = int(detections.frame[0]), int(detections.frame[-1])
        for frame in work.video.frames(first, last + 1):
            rows = detections.frame == frame.index
            everyone = read_everyone(
                frame.rgb, detections.roi[rows], detections.score[rows], network, mirror=False
            )
            hw = (frame.rgb.shape[0], frame.rgb.shape[1])
            masks = separate([readings[0] for readings in everyone], hw, config)
            runs += [encode_runs(mask) for mask in masks]
            work.progress(frame.index - first + 1, last - first + 1)
    return Masks.from_runs(runs, work.video.info.hw)


def separate(
    seen: list[Landmarks], hw: tuple[int, int], config: BlazePoseMasksConfig
) -> list[Bool[np.ndarray, "H W"]]:
    """Masks of everyone in one frame; a pixel belongs to whoever has the higher logit there."""
    logits = [paste(s.segmentation, s.roi, hw, outside=OUTSIDE_LOGIT) for s in seen]
    if not logits:
        return []
    threshold = float(np.log(config.min_probability / (1 - config.min_probability)))
    owner, best = _owners(logits)
    masks = [(owner == person) & (best > threshold) for person in range(len(seen))]
    return [_clean(m, s, config.min_component) for m, s in zip(masks, seen, strict=True)]


def _owners(
    logits: list[Float32[np.ndarray, "H W"]],
) -> tuple[np.ndarray, Float32[np.ndarray, "H W"]]:
    """Per pixel, who has the highest logit, and that logit."""
    best = logits[0]
    owner = np.zeros(best.shape, dtype=np.int64)
    for person, candidate in enumerate(logits[1:], start=1):
        owner = np.where(candidate > best, person, owner)
        best = np.maximum(candidate, best)
    return owner, best


def _clean(
    mask: Bool[np.ndarray, "H W"], seen: Landmarks, min_component: float
) -> Bool[np.ndarray, "H W"]:
    """Keep the parts that hold landmarks, and of those only the large ones."""
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    part = mask[top : top + height, left : left + width]
    count, label_image, stats, _ = cv2.connectedComponentsWithStats(part.astype(np.uint8))
    if count <= 2:
        return mask
    labels = np.asarray(label_image, dtype=np.int64)
    landmark = np.floor(seen.uv[:NUM_LANDMARKS]).astype(np.int64) - (left, top)
    column, row = landmark[((landmark >= 0) & (landmark < (width, height))).all(-1)].T
    area = np.asarray(stats)[:, cv2.CC_STAT_AREA]
    area[0] = 0  # the background
    touched = np.bincount(labels[row, column], minlength=count) > 0
    held = touched & (area >= max(1.0, min_component * area.max()))
    if not held.any():
        held[area.argmax()] = True
    cleaned = np.zeros_like(mask)
    cleaned[top : top + height, left : left + width] = held[labels]
    return cleaned
