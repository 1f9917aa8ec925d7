"""Decoding of the person detector: anchors, boxes, alignment points.

Facts (MediaPipe's ``pose_detection`` graph): input 224 x 224 RGB in [-1, 1]; feature maps of
strides 8, 16, 32, 32, 32 with two square anchors each, whose size is fixed to the input's,
so every output is an offset in input pixels from the anchor's centre. A row holds the head's
box (x, y, w, h) and four alignment points (x, y): hip centre, full-body scale point, shoulder
centre, upper-body scale point.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

INPUT_SIDE = 224
ANCHORS_PER_CELL = ((8, 2), (16, 2), (32, 6))
"""(stride in pixels, anchors per cell); the three layers of stride 32 are one of six anchors."""
MAX_LOGIT = 100.0
HIP, SCALE = 0, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """People that the detector proposes, best first, in the pixels of the image it saw."""

    score: Float64[np.ndarray, " M"]
    hip_uv: Float64[np.ndarray, "M 2"]
    scale_uv: Float64[np.ndarray, "M 2"]

    def __len__(self) -> int:
        return len(self.score)


def anchor_centres() -> Float64[np.ndarray, "A 2"]:
    """Centres of the 2254 anchors in input pixels, in the network's order."""
    centres = []
    for stride, per_cell in ANCHORS_PER_CELL:
        ticks = (np.arange(INPUT_SIDE // stride) + 0.5) * stride
        v, u = np.meshgrid(ticks, ticks, indexing="ij")
        centres.append(np.repeat(np.stack([u, v], -1).reshape(-1, 2), per_cell, axis=0))
    return np.concatenate(centres)


def decode_candidates(
    boxes: Float32[np.ndarray, "A 12"],
    logits: Float32[np.ndarray, "A 1"],
    anchors: Float64[np.ndarray, "A 2"],
    *,
    min_score: float,
) -> Candidates:
    """Proposals of at least ``min_score``, in input pixels, best first; duplicates remain."""
    score = sigmoid(logits[:, 0])
    order = np.flatnonzero(score >= min_score)
    order = order[np.argsort(-score[order], kind="stable")]
    points = boxes[order, 4:].astype(np.float64).reshape(-1, 4, 2) + anchors[order, None]
    return Candidates(score=score[order], hip_uv=points[:, HIP], scale_uv=points[:, SCALE])


def sigmoid(
    logits: Float32[np.ndarray, "*b"] | Float64[np.ndarray, "*b"],
) -> Float64[np.ndarray, "*b"]:
    """Logistic function in float64, without overflow."""
    return 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -MAX_LOGIT, MAX_LOGIT)))
