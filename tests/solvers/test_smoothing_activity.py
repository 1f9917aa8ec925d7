"""Whoever moves a lot is smoothed less: what a first round's motion says about it."""

from dataclasses import replace

import pytest
import torch

from multithumbs.body import EMBEDDED_BODY, BodyModel, load_body
from multithumbs.geometry.rotations import matrix_from_axis_angle
from multithumbs.solvers.smoothing import smooth
from multithumbs.solvers.smoothing_acceleration import Motion, Timeline, measured_activity
from multithumbs.solvers.smoothing_chain import ACTIVE
from multithumbs.solvers.smoothing_terms import Frames, Weights

WEIGHTS = Weights(
    robust_scale=3.0, root_std_rad=0.2, pose_std_rad=0.2, transl_std_m_s2=2.0,
    root_std_rad_s2=8.0, pose_std_rad_s2=15.0, transl_huber=1.0,
)  # fmt: skip
ROWS, FPS = 40, 25
LIVELY = 30.0
"""Angular acceleration of one joint, rad/s^2."""


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body(EMBEDDED_BODY)


def bending(angle: torch.Tensor) -> Motion:
    """A joint that turns by ``angle`` (N,) while all else stands still."""
    pose = torch.zeros(len(angle), 24, 3, dtype=torch.float64)
    pose[:, ACTIVE[3], 0] = angle
    people = torch.zeros(2, 10, dtype=torch.float64)
    still = torch.tensor([0.0, 0.0, 4.0], dtype=torch.float64).expand(len(angle), 3)
    return Motion(matrix_from_axis_angle(pose), still, people)


def two_people() -> Timeline:
    row = torch.arange(2 * ROWS)
    return Timeline(
        person=row // ROWS,
        time_s=(row % ROWS).double() / FPS,
        linked=row % ROWS < ROWS - 1,
        activity=torch.ones(2 * ROWS, dtype=torch.float64),
    )


def test_a_constant_acceleration_is_measured_and_nobody_else_is_touched() -> None:
    timeline = two_people()
    lively = timeline.person == 1
    angle = torch.where(lively, LIVELY * timeline.time_s**2 / 2, 0)
    found = measured_activity(bending(angle), timeline, WEIGHTS, usual=0.1, power=1.5, reach=5)
    directions = 3 + 3 * len(ACTIVE)
    ratio = LIVELY / WEIGHTS.pose_std_rad_s2 / directions**0.5 / 0.1
    assert ratio > 2
    assert torch.allclose(found[lively], torch.full((ROWS,), ratio**1.5, dtype=torch.float64))
    assert (found[~lively] == 1).all()


def test_it_is_local_in_time() -> None:
    timeline = two_people()
    late = (timeline.person == 1) & (timeline.time_s > 0.8)
    angle = torch.where(late, LIVELY * (timeline.time_s - 0.8) ** 2 / 2, 0)
    found = measured_activity(bending(angle), timeline, WEIGHTS, usual=0.1, power=1.0, reach=4)
    own = found[timeline.person == 1]
    assert (own[:15] == 1).all()
    assert (own[26:] > 2).all()
    assert (own[15:26].diff() >= 0).all()


def test_the_lively_keep_their_motion(body: BodyModel) -> None:
    timeline = two_people()
    truth = bending(0.6 * torch.sin(2 * torch.pi * 2 * timeline.time_s))
    count = 2 * ROWS
    frames = Frames(
        cam_from_world=torch.eye(4, dtype=torch.float64).expand(count, 4, 4),
        K=torch.eye(3, dtype=torch.float64).expand(count, 3, 3),
        uv=torch.zeros(count, 23, 2, dtype=torch.float64),
        uv_weight=torch.zeros(count, 23, dtype=torch.float64),
        uv_std=torch.ones(count, 23, dtype=torch.float64),
        rotmats=truth.rotmats,
        transl=truth.transl,
        transl_precision=torch.eye(3, dtype=torch.float64).expand(count, 3, 3),
        pose_weight=torch.ones(count, dtype=torch.float64),
    )
    free = torch.where(timeline.person == 1, 10.0, 1.0).double()
    found = smooth(
        body, frames, replace(timeline, activity=free), WEIGHTS, truth, None,
        shape_precision=torch.ones(2, dtype=torch.float64),
        max_iterations=10, relative_tolerance=1e-6,
    )  # fmt: skip
    joint = ACTIVE[3]
    lost = (found.rotmats[:, joint] - truth.rotmats[:, joint]).flatten(1).norm(dim=1)
    assert lost[timeline.person == 1].mean() < 0.2 * lost[timeline.person == 0].mean()
