"""`Detections` by networks that look at every frame by itself."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float64

from multithumbs.backends.batching import Stream, in_batches
from multithumbs.backends.detections.nms import suppress
from multithumbs.config.detections import BoxDetectorConfig
from multithumbs.types import Detections, Frame
from multithumbs.types.work import ShotItem, Work


class Boxes(NamedTuple):
    """Candidates for people in one frame."""

    xyxy: Float64[np.ndarray, "N 4"]
    """Pixels, the image's corner at (0, 0) as everywhere here."""
    score: Float64[np.ndarray, " N"]


def detect_framewise(
    work: Work[BoxDetectorConfig],
    shot: ShotItem,
    read: Callable[[Sequence[Frame]], Sequence[Boxes]],
) -> Detections:
    """Everyone in ``shot``: every frame is decoded once and read in batches.

    ``read`` gives the candidates of each of its frames; `select` takes those that stay.
    """
    config, hw = work.config, work.video.info.hw
    frames = Stream(work.video.frames(shot.start, shot.end))
    total = shot.end - shot.start

    def run(batch: slice) -> list[tuple[int, Boxes]]:
        pictures = frames[batch]
        found = read(pictures) if pictures else []
        return [
            (picture.index, select(boxes, hw, config))
            for picture, boxes in zip(pictures, found, strict=True)
        ]

    rows: list[tuple[int, Boxes]] = []
    done = 0
    with torch.inference_mode():
        for batch in in_batches(total, config.batch, run):
            rows += batch
            done += len(batch)
            work.progress(done, total)
    return detections_of(rows)


def select(boxes: Boxes, hw: tuple[int, int], config: BoxDetectorConfig) -> Boxes:
    """The candidates that are people: scored, inside the image, large enough and not twice."""
    height, width = hw
    xyxy = np.clip(boxes.xyxy, 0, [width, height, width, height])
    size = xyxy[:, 2:] - xyxy[:, :2]
    good = (boxes.score >= config.min_score) & (size > 0).all(-1)
    good &= size[:, 1] >= config.min_height_px
    xyxy, score = xyxy[good], boxes.score[good]
    kept = suppress(xyxy, score, config.max_iou)[: config.max_people]
    return Boxes(xyxy[kept], score[kept])


def detections_of(rows: Sequence[tuple[int, Boxes]]) -> Detections:
    """Boxes of frames in order; the region of each is its own square."""
    xyxy = np.concatenate([np.zeros((0, 4)), *(boxes.xyxy for _, boxes in rows)])
    size = xyxy[:, 2:] - xyxy[:, :2]
    roi = np.zeros((len(xyxy), 4))
    roi[:, :2] = (xyxy[:, :2] + xyxy[:, 2:]) / 2
    roi[:, 2] = size.max(axis=-1, initial=0)
    counts = [len(boxes.score) for _, boxes in rows]
    return Detections(
        frame=np.repeat(np.array([frame for frame, _ in rows], dtype=np.int64), counts),
        box_xyxy=xyxy,
        score=np.concatenate([np.zeros(0), *(boxes.score for _, boxes in rows)]),
        roi=roi,
    )
