"""Joint limits mean what anatomy means by them."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from multithumbs.solvers.priors import (
    FREE_JOINTS,
    limit_residual,
    pose_prior,
    spread_residual,
)
from multithumbs.types.skeleton import JOINT_NAMES

ZERO = torch.zeros(1, dtype=torch.float64)
PRIOR = pose_prior(ZERO)
SOFTNESS = 0.05


def overshoot(name: str, axis: int, angle: float) -> float:
    body = PRIOR.mean.clone()[None]
    body[0, JOINT_NAMES.index(name) - 1, axis] = angle
    return float(limit_residual(body, PRIOR, SOFTNESS)[0].abs().sum())


def test_the_mean_pose_is_free() -> None:
    assert float(limit_residual(PRIOR.mean[None], PRIOR, SOFTNESS)[0].abs().max()) == 0
    assert float(spread_residual(PRIOR.mean[None], PRIOR).abs().max()) == 0
    assert bool((PRIOR.low < PRIOR.high).all())


def test_knees_and_elbows_bend_one_way() -> None:
    for side, sign in (("left", -1), ("right", 1)):
        assert overshoot(f"{side}_knee", 0, 1.5) == 0
        assert overshoot(f"{side}_knee", 0, -0.5) > 1
        assert overshoot(f"{side}_elbow", 1, sign * 1.5) == 0
        assert overshoot(f"{side}_elbow", 1, -sign * 0.5) > 1


@given(st.integers(0, 22), st.lists(st.floats(-3, 3), min_size=3, max_size=3))
def test_left_and_right_are_mirror_images(joint: int, angles: list[float]) -> None:
    name = JOINT_NAMES[joint + 1]
    other = name.replace("left", "?").replace("right", "left").replace("?", "right")
    body = PRIOR.mean.clone()[None].expand(2, 23, 3).clone()
    vector = torch.tensor(angles, dtype=torch.float64)
    body[0, joint] = vector
    body[1, JOINT_NAMES.index(other) - 1] = vector * torch.tensor([1.0, -1.0, -1.0])
    cost = (limit_residual(body, PRIOR, SOFTNESS)[0] ** 2).sum((1, 2))
    spread = (spread_residual(body, PRIOR) ** 2).sum((1, 2))
    assert math.isclose(float(cost[0]), float(cost[1]), abs_tol=1e-9)
    assert math.isclose(float(spread[0]), float(spread[1]), abs_tol=1e-9)


def test_limit_derivative_against_finite_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    body = 2 * torch.randn(4, 23, 3, generator=generator, dtype=torch.float64)
    step = 1e-6
    ahead, _ = limit_residual(body + step, PRIOR, SOFTNESS)
    behind, _ = limit_residual(body - step, PRIOR, SOFTNESS)
    _, by = limit_residual(body, PRIOR, SOFTNESS)
    torch.testing.assert_close((ahead - behind) / (2 * step), by, atol=1e-5, rtol=1e-5)


def test_hidden_joints_are_not_free() -> None:
    names = {JOINT_NAMES[joint] for joint in FREE_JOINTS}
    assert "left_knee" in names
    assert not names & {"pelvis", "left_hand", "right_wrist", "left_foot"}
