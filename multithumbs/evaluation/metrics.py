"""Motion metrics as pure functions of arrays, float64, metres in.

All of them return one value per frame, so that a table can average over all frames of all
people, as WHAM's and GVHMR's do (the mean over frames, not the mean of sequence means).
``pelvis`` names the joints whose mean is the root: SMPL's hips (1, 2) by default.

Where the evaluation codes of WHAM (Shin et al., CVPR 2024), GVHMR (Shen et al., SIGGRAPH Asia
2024) and SLAHMR (Ye et al., CVPR 2023) differ, the argument that reproduces each is named;
all three are reproduced to 1e-6 in ``tests/evaluation/test_metrics.py``.
"""

import numpy as np
from jaxtyping import Bool, Float64, Int64

from multithumbs.evaluation.alignment import (
    CHUNK_FRAMES,
    aligned_by_chunks,
    centred,
    chunk_of,
    similarity,
    transform,
)

HIPS = (1, 2)
CONTACT_M = 0.01
"""A sole point of the truth that moves less than this per frame stands (GVHMR, WHAM)."""


def joint_distance(
    predicted: Float64[np.ndarray, "T J 3"], true: Float64[np.ndarray, "T J 3"]
) -> Float64[np.ndarray, " T"]:
    """Mean distance over the points of each frame, in the inputs' unit."""
    return np.linalg.norm(predicted - true, axis=-1).mean(-1)


def mpjpe_mm(
    predicted: Float64[np.ndarray, "T J 3"],
    true: Float64[np.ndarray, "T J 3"],
    pelvis: tuple[int, ...] = HIPS,
) -> Float64[np.ndarray, " T"]:
    """MPJPE: mean per-joint position error after moving both pelvises to the origin; mm.

    No rotation is removed: both are compared along the same axes (the camera's).
    Ionescu et al., Human3.6M, PAMI 2014.
    """
    return 1e3 * joint_distance(centred(predicted, pelvis), centred(true, pelvis))


def pa_mpjpe_mm(
    predicted: Float64[np.ndarray, "T J 3"], true: Float64[np.ndarray, "T J 3"]
) -> Float64[np.ndarray, " T"]:
    """PA-MPJPE: the same after the best similarity of each frame on its own; mm.

    Procrustes' alignment (Gower 1975) of Human3.6M's joints, as Kanazawa et al., HMR, CVPR 2018.
    """
    return 1e3 * joint_distance(transform(similarity(true, predicted), predicted), true)


def mpvpe_mm(
    predicted: Float64[np.ndarray, "T V 3"],
    true: Float64[np.ndarray, "T V 3"],
    predicted_root: Float64[np.ndarray, "T 3"],
    true_root: Float64[np.ndarray, "T 3"],
) -> Float64[np.ndarray, " T"]:
    """MPVPE: mean per-vertex error after moving both roots to the origin; mm.

    The paper's Table 1; the root is the middle of the hips as in WHAM's and GVHMR's PVE (Multi-HMR
    2's, about the pelvis joint, is `camera_space.pve_mm`).
    """
    return 1e3 * joint_distance(predicted - predicted_root[:, None], true - true_root[:, None])


def w_mpjpe_mm(
    predicted: Float64[np.ndarray, "T J 3"],
    true: Float64[np.ndarray, "T J 3"],
    *,
    frame: Int64[np.ndarray, " T"] | None = None,
    chunk_frames: int | None = CHUNK_FRAMES,
) -> Float64[np.ndarray, " T"]:
    """W-MPJPE: error in the world after aligning each chunk by its first two frames; mm.

    The alignment is a similarity, scale included, of all joints of two frames (WHAM's and
    GVHMR's ``first_align_joints``). ``chunk_frames=None`` aligns the whole sequence by its
    first two frames: SLAHMR's ``fa_jmse``, and the stricter number. ``frame`` numbers the
    frames where some are missing; chunks are cut by it.
    """
    chunk = chunk_of(np.arange(len(true)) if frame is None else frame, chunk_frames)
    return 1e3 * joint_distance(aligned_by_chunks(predicted, true, chunk, first_frames=2), true)


def wa_mpjpe_mm(
    predicted: Float64[np.ndarray, "T J 3"],
    true: Float64[np.ndarray, "T J 3"],
    *,
    frame: Int64[np.ndarray, " T"] | None = None,
    chunk_frames: int | None = CHUNK_FRAMES,
) -> Float64[np.ndarray, " T"]:
    """WA-MPJPE: error in the world after aligning each whole chunk by a similarity; mm.

    WHAM's and GVHMR's ``global_align_joints``; ``chunk_frames=None`` is SLAHMR's ``ga_jmse``.
    """
    chunk = chunk_of(np.arange(len(true)) if frame is None else frame, chunk_frames)
    return 1e3 * joint_distance(aligned_by_chunks(predicted, true, chunk, first_frames=None), true)


def second_difference(
    points: Float64[np.ndarray, "T *rest"],
) -> Float64[np.ndarray, "T_minus_2 *rest"]:
    """``x[t-1] - 2 x[t] + x[t+1]`` of every inner frame."""
    return points[:-2] - 2 * points[1:-1] + points[2:]


def accel_mps2(
    predicted: Float64[np.ndarray, "T J 3"],
    true: Float64[np.ndarray, "T J 3"],
    fps: float,
    pelvis: tuple[int, ...] | None = HIPS,
) -> Float64[np.ndarray, " T_minus_2"]:
    """Accel: mean norm of the difference of joint accelerations; m/s^2 (T - 2 values).

    Kanazawa et al., HMMR, CVPR 2019. Joints are relative to the pelvis as in WHAM and GVHMR
    (WHAM also drops the first and last value); None compares them as they are.
    """
    if pelvis is not None:
        predicted, true = centred(predicted, pelvis), centred(true, pelvis)
    return joint_distance(second_difference(predicted), second_difference(true)) * fps**2


def accel_norm_m(
    predicted: Float64[np.ndarray, "T J 3"], true: Float64[np.ndarray, "T J 3"]
) -> Float64[np.ndarray, " T_minus_2"]:
    """SLAHMR's ``acc_norm``: difference of the joints' acceleration *norms*; m per frame^2.

    Per frame the root of the joints' summed squares.
    """
    norms = [np.linalg.norm(second_difference(x), axis=-1) for x in (predicted, true)]
    return np.linalg.norm(norms[0] - norms[1], axis=-1)


def jitter(
    predicted: Float64[np.ndarray, "T J 3"], fps: float
) -> Float64[np.ndarray, " T_minus_3"]:
    """Jitter: mean norm of the joints' third difference in the world; 10 m/s^3 (T - 3 values).

    Yi et al., TransPose, 2021; needs no truth.
    """
    third = predicted[3:] - 3 * predicted[2:-1] + 3 * predicted[1:-2] - predicted[:-3]
    return np.linalg.norm(third, axis=-1).mean(-1) * fps**3 / 10


def foot_sliding_mm(
    predicted_soles: Float64[np.ndarray, "T P 3"], true_soles: Float64[np.ndarray, "T P 3"]
) -> Float64[np.ndarray, " M"]:
    """Foot sliding: how far predicted sole points move per frame while the true ones stand; mm.

    One value per standing (frame, point), in that order: the truth moves less than
    `CONTACT_M` to the next frame. WHAM's and GVHMR's ``compute_foot_sliding``.
    """
    return 1e3 * _steps(predicted_soles)[standing(true_soles)]


def standing(
    soles: Float64[np.ndarray, "T P 3"], limit_m: float = CONTACT_M
) -> Bool[np.ndarray, "T_minus_1 P"]:
    """Whether each point moves less than ``limit_m`` metres to the next frame."""
    return _steps(soles) < limit_m


def rte_percent(
    predicted_root: Float64[np.ndarray, "T 3"], true_root: Float64[np.ndarray, "T 3"]
) -> Float64[np.ndarray, " T"]:
    """RTE: root error after one rigid alignment (no scale), in percent of the true path length.

    WHAM's ``compute_rte``. NaN where the true root never moves: there is no path to divide by.
    """
    aligned = transform(similarity(true_root, predicted_root, with_scale=False), predicted_root)
    path = _steps(true_root).sum()
    error = np.linalg.norm(aligned - true_root, axis=-1)
    return 100 * error / path if path > 0 else np.full(len(error), np.nan)


def ate_m(
    predicted_centres: Float64[np.ndarray, "T 3"],
    true_centres: Float64[np.ndarray, "T 3"],
    *,
    with_scale: bool = False,
) -> float:
    """ATE: root mean square distance of camera centres after one alignment; metres.

    SE(3) by default, so that a wrong scale counts; Sim(3) with ``with_scale``.
    Sturm et al., IROS 2012.
    """
    fitted = similarity(true_centres, predicted_centres, with_scale=with_scale)
    squared = ((transform(fitted, predicted_centres) - true_centres) ** 2).sum(-1)
    return float(np.sqrt(squared.mean()))


def _steps(points: Float64[np.ndarray, "T *rest 3"]) -> Float64[np.ndarray, "T_minus_1 *rest"]:
    return np.linalg.norm(np.diff(points, axis=0), axis=-1)
