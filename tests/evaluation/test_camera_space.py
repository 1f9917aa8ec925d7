"""Multi-HMR 2's metrics on errors made on purpose."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from multithumbs.evaluation import camera_space


@pytest.fixture
def people():
    rng = np.random.default_rng(0)
    vertices = rng.normal(size=(3, 50, 3)) * 0.4 + [[[0, 0, 4]], [[1, 0, 5]], [[-1, 0, 3]]]
    return vertices, vertices.mean(1)


def test_a_shift_of_everyone_costs_only_the_absolute_error(people):
    true, pelvis = people
    shift = np.array([0.1, 0.0, 0.2])
    off = float(1e3 * np.linalg.norm(shift))
    found = true + shift
    np.testing.assert_allclose(
        camera_space.pve_mm(found, true, pelvis + shift, pelvis), 0, atol=1e-9
    )
    np.testing.assert_allclose(camera_space.abs_pve_mm(found, true), off)
    np.testing.assert_allclose(camera_space.ta_pve_mm(found, true), 0, atol=1e-9)
    np.testing.assert_allclose(camera_space.mrpe_mm(pelvis + shift, pelvis), off)


def test_a_shift_of_one_is_shared_out_by_the_translation(people):
    true, _ = people
    found = true.copy()
    found[0, :, 2] += 0.3
    np.testing.assert_allclose(camera_space.ta_pve_mm(found, true), [200, 100, 100])
    assert np.isnan(camera_space.ta_pve_mm(found[:1], true[:1])).all()


def test_a_pair_is_aligned_as_one(people):
    true, _ = people
    turn = Rotation.from_rotvec([0.3, 1.0, -0.2]).as_matrix()
    moved = 1.3 * true[:2] @ turn.T + [1.0, 2.0, 3.0]
    apart = moved.copy()
    apart[1] += [0.5, 0.0, 0.0]
    errors = camera_space.pair_pa_mpjpe_mm(np.stack([moved, apart]), np.stack([true[:2]] * 2))
    assert errors[0] == pytest.approx(0, abs=1e-9) and errors[1] > 50


def test_f1_of_detection():
    assert camera_space.f1_percent(3, 4, 5) == pytest.approx(100 * 2 * 3 / 9)
    assert camera_space.f1_percent(0, 0, 0) == 100.0
    assert camera_space.f1_percent(0, 0, 2) == 0.0
