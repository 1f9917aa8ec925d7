"""The metrics against WHAM's, GVHMR's and SLAHMR's own evaluation functions.

`tests/golden/metrics.npz` holds what those functions put out in float64 on four synthetic
sequences (WHAM 2b54f77, GVHMR 44fbc19, SLAHMR 58518fe); numbers only, none of their code.
"""

from pathlib import Path

import numpy as np
import pytest

from multithumbs.evaluation import metrics
from multithumbs.evaluation.alignment import centred, similarity, transform

GOLDEN = Path(__file__).parents[1] / "golden" / "metrics.npz"
PELVIS = {"walk24": (1, 2), "turn24": (1, 2), "coco17": (11, 12), "tail24": (1, 2)}
FPS = 30.0


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as data:
        return dict(data)


def _ours(predicted, true, predicted_feet, true_feet, pelvis):
    fa = metrics.w_mpjpe_mm(predicted, true, chunk_frames=None)
    ga = metrics.wa_mpjpe_mm(predicted, true, chunk_frames=None)
    pa = metrics.pa_mpjpe_mm(predicted, true)
    accel = metrics.accel_mps2(predicted, true, FPS, pelvis)
    w, wa = metrics.w_mpjpe_mm(predicted, true), metrics.wa_mpjpe_mm(predicted, true)
    common = {
        "pa_mpjpe": pa,
        "mpjpe": metrics.mpjpe_mm(predicted, true, pelvis),
        "rte": metrics.rte_percent(predicted[:, 0], true[:, 0]),
        "jitter": metrics.jitter(predicted, FPS),
        "fs": metrics.foot_sliding_mm(predicted_feet, true_feet),
    }
    gvhmr = common | {"accel": accel, "wa2_mpjpe": w, "waa_mpjpe": wa}
    wham = common | {"accel": accel[1:-1], "w_mpjpe": w, "wa_mpjpe": wa}
    wham |= {"w_mpjpe_unchunked": fa, "wa_mpjpe_unchunked": ga}
    slahmr = {
        "fa_jmse": fa.mean() / 1e3,
        "ga_jmse": ga.mean() / 1e3,
        "pampjpe": pa.mean() / 1e3,
        "acc_norm": metrics.accel_norm_m(predicted, true).mean(),
    }
    return {"gvhmr": gvhmr, "wham": wham, "slahmr": slahmr}


@pytest.mark.parametrize("sequence", PELVIS)
def test_agrees_with_the_upstream_functions(golden, sequence):
    names = ("pred", "target", "pred_feet", "target_feet")
    inputs = [golden[f"in/{sequence}/{name}"].astype(np.float64) for name in names]
    for project, values in _ours(*inputs, PELVIS[sequence]).items():
        for name, value in values.items():
            expected = golden[f"{project}/{sequence}/{name}"]
            np.testing.assert_allclose(
                value, expected, rtol=1e-6, atol=1e-9, err_msg=f"{project} {name}"
            )


def test_whole_sequence_similarity_agrees_with_wham(golden):
    for sequence in PELVIS:
        predicted, true = (golden[f"in/{sequence}/{x}"].astype(float) for x in ("pred", "target"))
        fitted = similarity(true.reshape(-1, 3), predicted.reshape(-1, 3))
        scale, rotation, translation = (golden[f"wham/{sequence}/align_{x}"][0] for x in "sRt")
        np.testing.assert_allclose(fitted[:3, :3], scale * rotation, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(fitted[:3, 3], translation, rtol=1e-6, atol=1e-9)


def test_a_similarity_of_the_truth_has_no_aligned_error():
    rng = np.random.default_rng(0)
    true = np.cumsum(rng.normal(0, 0.02, (130, 24, 3)), axis=0) + rng.normal(0, 0.5, (24, 3))
    turn = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    predicted = 1.3 * true @ turn.T + [1.0, 2.0, 3.0]
    assert metrics.w_mpjpe_mm(predicted, true, chunk_frames=None).max() < 1e-9
    assert metrics.wa_mpjpe_mm(predicted, true).max() < 1e-9
    assert metrics.pa_mpjpe_mm(predicted, true).max() < 1e-9
    assert metrics.mpjpe_mm(predicted, true).min() > 1
    centres, moved = true[:, 0], predicted[:, 0]
    assert metrics.ate_m(moved, centres, with_scale=True) < 1e-12
    assert metrics.ate_m(moved, centres) > 1e-3
    assert metrics.ate_m(transform(fitted_rigid(turn), centres), centres) < 1e-12


def fitted_rigid(turn):
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    matrix[:3, 3] = (4.0, -1.0, 2.0)
    return matrix


def test_w_mpjpe_feels_a_jump_that_wa_mpjpe_spreads():
    rng = np.random.default_rng(1)
    true = np.repeat(rng.normal(0, 0.5, (1, 24, 3)), 80, axis=0)
    predicted = true.copy()
    predicted[40:, :, 0] += 0.3
    w = metrics.w_mpjpe_mm(predicted, true)
    assert w[:40].max() < 1e-9
    np.testing.assert_allclose(w[40:], 300)
    wa = metrics.wa_mpjpe_mm(predicted, true)
    assert 100 < wa.mean() < 200


def test_mpvpe_ignores_where_the_root_is():
    rng = np.random.default_rng(2)
    vertices = rng.normal(size=(3, 50, 3))
    root = rng.normal(size=(3, 3))
    shifted = vertices + 5
    assert metrics.mpvpe_mm(shifted, vertices, root + 5, root).max() < 1e-9
    shifted[:, :, 1] += 0.01
    np.testing.assert_allclose(metrics.mpvpe_mm(shifted, vertices, root + 5, root), 10)


def test_jitter_of_constant_acceleration_is_zero_and_units_are_10_mps3():
    time = np.arange(30)[:, None, None] / FPS
    direction = np.array([1.0, 0, 0])
    assert metrics.jitter(3 * time**2 * direction, FPS).max() < 1e-8
    np.testing.assert_allclose(metrics.jitter(time**3 * direction, FPS), 0.6, rtol=1e-6)


def test_rte_of_a_person_who_never_moves_has_no_path_to_divide_by():
    still = np.zeros((5, 3))
    assert np.isnan(metrics.rte_percent(still + 1, still)).all()


def test_centred_uses_the_mean_of_the_named_joints():
    joints = np.random.default_rng(3).normal(size=(4, 24, 3))
    np.testing.assert_allclose(centred(joints, (1, 2))[:, 1:3].mean(1), 0, atol=1e-12)
