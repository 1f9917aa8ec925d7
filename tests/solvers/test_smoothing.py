"""Derivatives of the motion problem against finite differences, and its behaviour."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from multithumbs.body import EMBEDDED_BODY, BodyModel, load_body
from multithumbs.geometry.projection import project
from multithumbs.geometry.rotations import matrix_from_axis_angle
from multithumbs.solvers.contact_detect import stand
from multithumbs.solvers.smoothing import Motion, Timeline, smooth
from multithumbs.solvers.smoothing_adamw import Bodies, Crossing, joint_limits, loss
from multithumbs.solvers.smoothing_contact import (
    Contact,
    contact_cost,
    floor_equations,
    still_equations,
)
from multithumbs.solvers.smoothing_terms import (
    ACTIVE,
    NUM_MOTION,
    Frames,
    Weights,
    keypoint_equations,
    normal_equations,
    row_costs,
)

WEIGHTS = Weights(
    robust_scale=3.0,
    root_std_rad=0.3,
    pose_std_rad=0.3,
    transl_std_m_s2=4.0,
    root_std_rad_s2=20.0,
    pose_std_rad_s2=40.0,
    transl_huber=3.0,
)


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body(EMBEDDED_BODY)


def scene(body: BodyModel, count: int, seed: int = 0) -> tuple[Motion, Frames]:
    """A person who walks past a camera, and what the camera sees."""
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    pose = 0.2 * noise(1, 24, 3).expand(count, 24, 3).clone()
    pose[:, 0] += torch.tensor(
        [np.pi, 0, 0], dtype=torch.float64
    )  # upright: the camera's y is down
    transl = torch.zeros(count, 3, dtype=torch.float64)
    transl[:, 0] = torch.linspace(-0.5, 0.5, count, dtype=torch.float64)
    transl[:, 2] = 4
    betas = 0.3 * noise(1, 10)
    motion = Motion(matrix_from_axis_angle(pose), transl, betas)
    K = torch.tensor([[1000.0, 0, 640], [0, 1000, 360], [0, 0, 1]], dtype=torch.float64)
    K = K.expand(count, 3, 3)
    points = body.posed_by_matrices(motion.rotmats, betas.expand(count, 10), transl).keypoints
    eye = torch.eye(4, dtype=torch.float64).expand(count, 4, 4)
    frames = Frames(
        cam_from_world=eye,
        K=K,
        uv=project(points, K),
        uv_weight=torch.full((count, 23), 0.9, dtype=torch.float64),
        uv_std=torch.full((count, 23), 6.0, dtype=torch.float64),
        rotmats=motion.rotmats,
        transl=transl,
        transl_precision=25 * torch.eye(3, dtype=torch.float64).expand(count, 3, 3),
        pose_weight=torch.ones(count, dtype=torch.float64),
    )
    return motion, frames


def moved(motion: Motion, step: Tensor) -> tuple[Tensor, Tensor]:
    """Rotations and translations after a tangent step (N, D)."""
    rotmats = motion.rotmats.clone()
    turn = matrix_from_axis_angle(step[:, 3:].unflatten(-1, (-1, 3)))
    rotmats[:, [0, *ACTIVE]] = rotmats[:, [0, *ACTIVE]] @ turn
    return rotmats, motion.transl + step[:, :3]


def test_gradients_of_a_row_are_half_the_derivative_of_its_cost(body: BodyModel) -> None:
    motion, frames = scene(body, 3)
    # Away from the optimum, but at the monocular pose, where its turn's derivative is exact.
    off = 5 * torch.sin(torch.arange(138.0, dtype=torch.float64)).view(3, 23, 2)
    frames = replace(frames, uv=frames.uv + off, transl=frames.transl + 0.1)
    betas = motion.betas.expand(3, 10)
    linear = body.linearise(motion.rotmats, betas, motion.transl)
    equations = keypoint_equations(linear, frames, WEIGHTS)
    model = normal_equations(equations, frames, WEIGHTS, motion.rotmats, motion.transl)
    rng = np.random.default_rng(0)
    for _ in range(6):
        step = torch.from_numpy(rng.normal(size=(3, NUM_MOTION)))
        shape = torch.from_numpy(rng.normal(size=(3, 10)))

        def cost(t: float, step: Tensor = step, shape: Tensor = shape) -> Tensor:
            rotmats, transl = moved(motion, t * step)
            keypoints = body.posed_by_matrices(rotmats, betas + t * shape, transl).keypoints
            return row_costs(keypoints, frames, WEIGHTS, rotmats, transl)

        slope = (cost(1e-6) - cost(-1e-6)) / 2e-6
        expected = 2 * (model.gradient * step).sum(-1) + 2 * (model.shape_gradient * shape).sum(-1)
        assert torch.allclose(slope, expected, rtol=1e-5, atol=1e-4)


def test_gradient_of_contact_is_half_the_derivative_of_its_cost(body: BodyModel) -> None:
    motion, _ = scene(body, 4)
    generator = torch.Generator().manual_seed(1)
    weight = torch.rand(4, 6, generator=generator, dtype=torch.float64)
    contact = Contact(
        still=weight * torch.tensor([1, 0, 1, 0], dtype=torch.float64)[:, None],
        on_floor=weight,
        height=torch.full((6,), 0.02, dtype=torch.float64),
        still_std_m=0.01,
        floor_std_m=0.03,
    )
    betas = motion.betas.expand(4, 10)
    linear = body.linearise(motion.rotmats, betas, motion.transl)
    floor = floor_equations(contact, linear)
    still = still_equations(contact, linear)
    pull = (floor * floor[..., -1:]).sum(1)
    rng = np.random.default_rng(0)
    step = torch.from_numpy(rng.normal(size=(4, NUM_MOTION)))
    shape = torch.from_numpy(rng.normal(size=10)).expand(4, 10)

    def cost(t: float) -> Tensor:
        rotmats, transl = moved(motion, t * step)
        keypoints = body.posed_by_matrices(rotmats, betas + t * shape, transl).keypoints
        return contact_cost(contact, keypoints).sum()

    slope = (cost(1e-6) - cost(-1e-6)) / 2e-6
    by_motion = pull[:, :NUM_MOTION] + still.gradient
    expected = 2 * (by_motion * step).sum() + 2 * (pull[:, NUM_MOTION:-1] * shape).sum()
    assert torch.allclose(slope, expected, rtol=1e-3)  # sliding by shape is left out
    # Where nothing couples two rows, the block between them is zero.
    assert still.ahead[1].abs().max() == 0 and still.ahead[0].abs().max() > 0


def test_white_noise_goes_and_the_walk_stays(body: BodyModel) -> None:
    count = 30
    truth, frames = scene(body, count)
    generator = torch.Generator().manual_seed(2)
    shake = 0.05 * torch.randn(count, 3, generator=generator, dtype=torch.float64)
    turn = 0.08 * torch.randn(count, 24, 3, generator=generator, dtype=torch.float64)
    noisy = Motion(
        truth.rotmats @ matrix_from_axis_angle(turn), truth.transl + shake, truth.betas + 0.2
    )
    frames = replace(frames, rotmats=noisy.rotmats, transl=noisy.transl)
    timeline = Timeline(
        person=torch.zeros(count, dtype=torch.int64),
        time_s=torch.arange(count, dtype=torch.float64) / 25,
        linked=torch.arange(count) < count - 1,
        activity=torch.ones(count, dtype=torch.float64),
    )
    found = smooth(
        body, frames, timeline, WEIGHTS, noisy, None,
        shape_precision=torch.full((1,), 4.0, dtype=torch.float64),
        max_iterations=15, relative_tolerance=1e-4,
    )  # fmt: skip
    joints = [
        body.posed_by_matrices(m.rotmats, m.betas.expand(count, 10), m.transl).joints
        for m in (truth, noisy, found)
    ]
    before, after = ((j - joints[0]).norm(dim=-1).mean() for j in joints[1:])
    assert after < 0.25 * before
    jerk = [(j[2:] - 2 * j[1:-1] + j[:-2]).norm(dim=-1).mean() for j in joints[1:]]
    assert jerk[1] < 0.05 * jerk[0]


def test_soles_that_are_slow_and_low_stand() -> None:
    soles = torch.zeros(5, 2, 3, dtype=torch.float64)
    soles[:, 0, 0] = torch.tensor([0, 0, 0, 0.3, 0.6], dtype=torch.float64)  # stands, then swings
    soles[:, 1, 1] = 0.5  # still, but in the air
    linked = torch.tensor([True, True, True, True, False])
    found = stand(
        soles, torch.zeros(2, dtype=torch.float64), torch.arange(5, dtype=torch.float64) / 25,
        linked, max_speed=0.35, max_height=0.08,
    )  # fmt: skip
    assert found.still[:2, 0].min() > 0.99 and found.still[2:, 0].max() < 0.01
    assert found.on_floor[:3, 0].min() > 0.99 and found.on_floor[4, 0] < 0.01
    assert found.still[:, 1].max() < 0.01 and found.on_floor[:, 1].max() < 0.01


def test_the_papers_loss_is_eq_9(body: BodyModel) -> None:
    motion, frames = scene(body, 3)
    pose = 0.1 * torch.ones(3, 24, 3, dtype=torch.float64)
    pose[:, 4, 0] = -1.0  # a knee bent the wrong way
    state = Bodies(pose, motion.transl, motion.betas)
    crossing = Crossing(
        row=torch.tensor([1]),
        cam_from_world=frames.cam_from_world[:1],
        K=frames.K[:1],
        uv=frames.uv[:1],
        weight=torch.ones(1, 23, dtype=torch.float64),
    )
    person, follows = torch.zeros(3, dtype=torch.int64), torch.tensor([0, 1])
    value = loss(body, state, person, follows, crossing, joint_limits,
                 smooth_weight=10.0, cross_weight=1.0)  # fmt: skip
    posed = body.posed(pose, motion.betas.expand(3, 10), motion.transl)
    smoothness = sum((posed.joints[t] - posed.joints[t + 1]).square().sum() for t in range(2))
    latent = joint_limits(pose[:, 1:]).square().sum()
    uv = project(posed.keypoints[1:2], frames.K[:1])
    cross = (uv - frames.uv[:1]).square().sum()
    expected = 10 * (smoothness + motion.betas.square().sum() + latent) + cross
    assert torch.allclose(value, expected)
    assert latent > 10
