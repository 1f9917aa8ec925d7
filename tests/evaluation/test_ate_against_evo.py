"""ATE against `evo`, an implementation of its own."""

import numpy as np
import pytest
from evo.core import metrics as evo_metrics
from evo.core import trajectory as evo_trajectory
from scipy.spatial.transform import Rotation

from multithumbs.evaluation import metrics


def trajectories(seed):
    rng = np.random.default_rng(seed)
    true = np.cumsum(rng.normal(size=(80, 3)) * [0.1, 0.02, 0.2], axis=0)
    turn = Rotation.from_rotvec(rng.normal(size=3)).as_matrix()
    found = 1.7 * (true + 0.05 * rng.normal(size=true.shape)) @ turn.T + rng.normal(size=3)
    return found, true


@pytest.mark.parametrize("with_scale", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
def test_ate_is_evos(seed, with_scale):
    found, true = trajectories(seed)
    poses = []
    for centres in (found, true):
        matrices = np.tile(np.eye(4), (len(centres), 1, 1))
        matrices[:, :3, 3] = centres
        poses.append(evo_trajectory.PosePath3D(poses_se3=list(matrices)))
    poses[0].align(poses[1], correct_scale=with_scale)
    ape = evo_metrics.APE(evo_metrics.PoseRelation.translation_part)
    ape.process_data((poses[1], poses[0]))
    expected = ape.get_statistic(evo_metrics.StatisticsType.rmse)
    assert metrics.ate_m(found, true, with_scale=with_scale) == pytest.approx(expected, rel=1e-9)
    # A wrong scale costs in SE(3) and not in Sim(3).
    assert (expected < 0.1) == with_scale
