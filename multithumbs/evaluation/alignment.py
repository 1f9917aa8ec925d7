"""Aligning a prediction to the truth before it is compared: pelvis, per frame, chunk, whole."""

import numpy as np
import torch
from jaxtyping import Float64, Int64

from multithumbs.geometry.rigid import apply, fit_similarity

CHUNK_FRAMES = 100
"""Length of the pieces that WHAM and GVHMR align one by one; the last may be shorter."""


def similarity(
    true: Float64[np.ndarray, "*batch N 3"],
    predicted: Float64[np.ndarray, "*batch N 3"],
    *,
    with_scale: bool = True,
) -> Float64[np.ndarray, "*batch 4 4"]:
    """``true_from_predicted`` of least squares (Umeyama 1991; Kabsch without scale)."""
    weights = torch.ones(true.shape[:-1], dtype=torch.float64)
    fitted = fit_similarity(
        torch.from_numpy(np.ascontiguousarray(true)),
        torch.from_numpy(np.ascontiguousarray(predicted)),
        weights,
        with_scale=with_scale,
    )
    return fitted.numpy()


def transform(
    a_from_b: Float64[np.ndarray, "*#batch 4 4"], points_b: Float64[np.ndarray, "*#batch N 3"]
) -> Float64[np.ndarray, "*batch N 3"]:
    """Apply transforms to points; batches broadcast."""
    return apply(torch.from_numpy(a_from_b), torch.from_numpy(points_b)).numpy()


def centred(
    joints: Float64[np.ndarray, "T J 3"], pelvis: tuple[int, ...]
) -> Float64[np.ndarray, "T J 3"]:
    """Joints relative to the mean of the ``pelvis`` joints of their frame."""
    return joints - joints[:, list(pelvis)].mean(1, keepdims=True)


def aligned_by_chunks(
    predicted: Float64[np.ndarray, "T J 3"],
    true: Float64[np.ndarray, "T J 3"],
    chunk: Int64[np.ndarray, " T"],
    *,
    first_frames: int | None,
) -> Float64[np.ndarray, "T J 3"]:
    """Each chunk of the prediction under its own similarity to the truth.

    ``chunk`` numbers the chunk of every frame (non-decreasing). The similarity is fitted to
    all joints of the chunk's first ``first_frames`` frames (2: W-MPJPE), or to all its frames
    (None: WA-MPJPE).
    """
    aligned = np.empty_like(predicted)
    for index in np.unique(chunk):
        rows = np.flatnonzero(chunk == index)
        fit = rows[:first_frames]
        true_from_predicted = similarity(true[fit].reshape(-1, 3), predicted[fit].reshape(-1, 3))
        aligned[rows] = transform(true_from_predicted, predicted[rows])
    return aligned


def chunk_of(frame: Int64[np.ndarray, " T"], length: int | None) -> Int64[np.ndarray, " T"]:
    """Chunk number of each frame, counted from the first; one chunk where ``length`` is None."""
    if length is None or len(frame) == 0:
        return np.zeros_like(frame)
    return (frame - frame[0]) // length
