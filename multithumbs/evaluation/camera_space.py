"""Metrics of people in the camera's own space, as Multi-HMR 2 reports them (its section 4).

Pure functions of arrays in metres along the camera's axes; float64; one image (or any number of
them one after the other) at a time. Predictions and targets are matched before, by 2D joint
locations (`matching`); people without a partner only enter F1.
"""

import numpy as np
from jaxtyping import Float64

from multithumbs.evaluation.alignment import similarity, transform
from multithumbs.evaluation.metrics import joint_distance


def pve_mm(
    predicted: Float64[np.ndarray, "N V 3"],
    true: Float64[np.ndarray, "N V 3"],
    predicted_pelvis: Float64[np.ndarray, "N 3"],
    true_pelvis: Float64[np.ndarray, "N 3"],
) -> Float64[np.ndarray, " N"]:
    """PVE: mean per-vertex error of each person, both meshes centred on their pelvis joint; mm."""
    return 1e3 * joint_distance(predicted - predicted_pelvis[:, None], true - true_pelvis[:, None])


def abs_pve_mm(
    predicted: Float64[np.ndarray, "N V 3"], true: Float64[np.ndarray, "N V 3"]
) -> Float64[np.ndarray, " N"]:
    """Abs-PVE: the same with nothing aligned: where each person is in the camera counts; mm."""
    return 1e3 * joint_distance(predicted, true)


def ta_pve_mm(
    predicted: Float64[np.ndarray, "N V 3"], true: Float64[np.ndarray, "N V 3"]
) -> Float64[np.ndarray, " N"]:
    """TA-PVE: the same after one translation of everybody of the image; mm.

    The translation joins the means of all vertices (the least-squares one). With fewer than two
    people it is not defined: NaN, for it would be PVE again.
    """
    if len(true) < 2:
        return np.full(len(true), np.nan)
    shift = (true - predicted).mean((0, 1))
    return 1e3 * joint_distance(predicted + shift, true)


def pair_pa_mpjpe_mm(
    predicted: Float64[np.ndarray, "N 2 J 3"], true: Float64[np.ndarray, "N 2 J 3"]
) -> Float64[np.ndarray, " N"]:
    """Pair-PA-MPJPE: joint error of two people after one similarity of both together; mm.

    One value per pair. Whether they stand right to each other counts (Hi4D's and BUDDI's
    protocol).
    """
    predicted, true = (np.concatenate([side[:, 0], side[:, 1]], 1) for side in (predicted, true))
    return 1e3 * joint_distance(transform(similarity(true, predicted), predicted), true)


def mrpe_mm(
    predicted_pelvis: Float64[np.ndarray, "N 3"], true_pelvis: Float64[np.ndarray, "N 3"]
) -> Float64[np.ndarray, " N"]:
    """MRPE: distance of the pelvises in the camera; mm. Moon et al., 3DMPPE, ICCV 2019."""
    return 1e3 * np.linalg.norm(predicted_pelvis - true_pelvis, axis=-1)


def f1_percent(matched: int, predicted: int, true: int) -> float:
    """F1 of the detection: twice the matched people over all predicted and all true; percent.

    100 where there is nobody to find and nobody was found.
    """
    total = predicted + true
    return 100.0 * 2 * matched / total if total else 100.0
