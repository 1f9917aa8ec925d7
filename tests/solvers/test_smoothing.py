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
from multithumbs.solvers.smoothing import smooth
from multithumbs.solvers.smoothing_acceleration import Motion, Timeline
from multithumbs.solvers.smoothing_adamw import Bodies, Crossing, joint_limits, loss
from multithumbs.solvers.smoothing_chain import (
    NUM_MOTION,
    TURNED,
    by_turns,
    chain_of,
    levers,
    pose_rows,
)
from multithumbs.solvers.smoothing_contact import (
    NUM_CONTACT,
    Contact,
    contact_cost,
    contact_equations,
    next_blocks,
)
from multithumbs.solvers.smoothing_terms import (
    NUM_COLUMNS,
    Frames,
    Weights,
    fill_turns,
    keypoint_equations,
    normal_equations,
    pose_residual,
    row_costs,
    sight,
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
    rotmats[:, TURNED] = rotmats[:, TURNED] @ turn
    return rotmats, motion.transl + step[:, :3]


def test_gradients_of_a_row_are_half_the_derivative_of_its_cost(body: BodyModel) -> None:
    motion, frames = scene(body, 3)
    # Away from the optimum, but at the monocular pose, where its turn's derivative is exact.
    off = 5 * torch.sin(torch.arange(138.0, dtype=torch.float64)).view(3, 23, 2)
    frames = replace(frames, uv=frames.uv + off, transl=frames.transl + 0.1)
    betas = motion.betas.expand(3, 10)
    chain = chain_of(body)
    pose = pose_rows(chain, motion.rotmats, betas, motion.transl)
    equations = torch.zeros(46, NUM_COLUMNS, 3, dtype=torch.float64)
    lever, seen = levers(chain, pose, betas), sight(pose.keypoints, frames)
    keypoint_equations(equations, chain, pose, lever, seen, WEIGHTS)
    turned = pose_residual(motion.rotmats, frames, WEIGHTS)
    model = normal_equations(equations.permute(2, 0, 1), turned, motion.transl, frames, WEIGHTS)
    rng = np.random.default_rng(0)
    for _ in range(6):
        step = torch.from_numpy(rng.normal(size=(3, NUM_MOTION)))
        shape = torch.from_numpy(rng.normal(size=(3, 10)))

        def cost(t: float, step: Tensor = step, shape: Tensor = shape) -> Tensor:
            rotmats, transl = moved(motion, t * step)
            keypoints = body.posed_by_matrices(rotmats, betas + t * shape, transl).keypoints
            seen = sight(keypoints.permute(1, 2, 0), frames)
            return row_costs(seen, pose_residual(rotmats, frames, WEIGHTS), transl, frames, WEIGHTS)

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
    chain = chain_of(body)
    pose = pose_rows(chain, motion.rotmats, betas, motion.transl)
    rows = torch.zeros(NUM_CONTACT, NUM_COLUMNS, 4, dtype=torch.float64)
    contact_equations(rows, contact, chain, pose, levers(chain, pose, betas))
    equations = rows.permute(2, 0, 1)
    pull = (equations * equations[..., -1:]).sum(1)
    rng = np.random.default_rng(0)
    step = torch.from_numpy(rng.normal(size=(4, NUM_MOTION)))
    shape = torch.from_numpy(rng.normal(size=10)).expand(4, 10)

    def cost(t: float, by_shape: float = 1.0) -> Tensor:
        rotmats, transl = moved(motion, t * step)
        points = body.posed_by_matrices(rotmats, betas + t * by_shape * shape, transl).keypoints
        return contact_cost(contact, points.permute(1, 2, 0)).sum()

    slope = (cost(1e-6) - cost(-1e-6)) / 2e-6
    by_motion = (pull[:, :NUM_MOTION] * step).sum()
    by_shape = (pull[:, NUM_MOTION:-1] * shape).sum()
    assert torch.allclose(
        slope, 2 * (by_motion + by_shape), rtol=1e-3
    )  # sliding by shape is not in
    alone = (cost(1e-6, 0.0) - cost(-1e-6, 0.0)) / 2e-6
    assert torch.allclose(alone, 2 * by_motion, rtol=1e-6)

    # The quadratic form of all blocks is the sum of squares that moves with all rows.
    blocks = next_blocks(contact, equations, NUM_MOTION)
    own = (equations[..., :NUM_MOTION] @ step[..., None]).square().sum()
    tied = 2 * torch.einsum("ni,nij,nj->", step[:-1], blocks, step[1:])
    turn = torch.func.jvp(lambda t: _soles(body, motion, step, t), (zero(),), (zero() + 1,))[1]
    squares = (contact.still[:-1, :, None] * turn.diff(dim=0).square()).sum() / 0.01**2
    squares = squares + (contact.on_floor * turn[..., 1].square()).sum() / 0.03**2
    assert torch.allclose(own + tied, squares)
    # Where nothing couples two rows, the block between them is zero.
    assert blocks[1].abs().max() == 0 and blocks[0].abs().max() > 0


def zero() -> Tensor:
    return torch.zeros((), dtype=torch.float64)


def _soles(body: BodyModel, motion: Motion, step: Tensor, t: Tensor) -> Tensor:
    rotmats, transl = moved(motion, t * step)
    betas = motion.betas.expand(len(step), 10)
    return body.posed_by_matrices(rotmats, betas, transl).keypoints[:, 17:]


@pytest.mark.parametrize("blends", [False, True])
def test_the_chain_is_the_bodys(body: BodyModel, blends: bool) -> None:
    generator = torch.Generator().manual_seed(3)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    if blends:
        by_pose = 1e-3 * noise(23, 24, 3, 207) * (body.rig.masses != 0)[..., None, None]
        body = replace(body, rig=replace(body.rig, offsets_by_pose=by_pose))
    chain, betas, transl = chain_of(body), noise(4, 10), noise(4, 3)
    rotmats = matrix_from_axis_angle(noise(4, 24, 3))
    expected = body.linearise(rotmats, betas, transl)
    pose = pose_rows(chain, rotmats, betas, transl)
    assert torch.allclose(pose.keypoints.permute(2, 0, 1), expected.keypoints)
    assert torch.allclose(pose.by_betas.permute(3, 0, 2, 1), expected.keypoints_by_betas)
    turns = torch.zeros(23 * 3, NUM_MOTION, 4, dtype=torch.float64)
    eye = torch.eye(3, dtype=torch.float64)[None, ..., None]
    fill_turns(
        turns, by_turns(pose.axes[chain.pair_joint], levers(chain, pose, betas), eye),
        chain.pair_point, chain.pair_column,
    )  # fmt: skip
    found = turns[:, 3:].permute(2, 0, 1)
    wanted = expected.keypoints_by_rotation[..., TURNED, :].reshape(found.shape)
    # The derivative of pose blend shapes is left out: here they are a hundredth of a lever.
    assert torch.allclose(found, wanted, atol=0.03 if blends else 1e-12)


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
