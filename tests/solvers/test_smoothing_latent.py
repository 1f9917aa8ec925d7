"""The learned pose prior of the motion problem, and Eq. 10's three terms in the literal one."""

import pytest
import torch

from multithumbs.body import EMBEDDED_BODY, load_body
from multithumbs.geometry.rotations import matrix_from_axis_angle
from multithumbs.solvers.smoothing_adamw import Bodies, Crossing, loss
from multithumbs.solvers.smoothing_chain import ACTIVE, NUM_MOTION
from multithumbs.solvers.smoothing_latent import LatentPrior, latent_cost, latent_equations


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def bent(pose: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A curved code of 5 numbers and its derivative."""
    matrix = random(5, 63, seed=7) / 8
    flat = pose @ matrix.T
    return flat.sin(), flat.cos()[..., None] * matrix


PRIOR = LatentPrior(linearise=bent, std=0.7)


@pytest.mark.parametrize("size", [0.0, 0.4, 1.2])
def test_equations_are_the_derivative_of_the_cost(size):
    rotmats = matrix_from_axis_angle(size * random(3, 24, 3, seed=1))
    equations = latent_equations(PRIOR, rotmats)
    assert equations.shape == (3, 5, NUM_MOTION + 11)
    assert (equations[..., :6] == 0).all()
    assert (equations[..., NUM_MOTION:-1] == 0).all()
    cost = latent_cost(PRIOR, rotmats)
    torch.testing.assert_close(equations[..., -1].square().sum(-1), cost)
    gradient = 2 * (equations[..., :-1] * equations[..., -1:]).sum(1)
    for column, (joint, axis) in enumerate((j, a) for j in ACTIVE for a in range(3)):
        turn = torch.zeros(3, dtype=torch.float64)
        turn[axis] = 1e-6
        ahead, behind = rotmats.clone(), rotmats.clone()
        ahead[:, joint] = ahead[:, joint] @ matrix_from_axis_angle(turn)
        behind[:, joint] = behind[:, joint] @ matrix_from_axis_angle(-turn)
        slope = (latent_cost(PRIOR, ahead) - latent_cost(PRIOR, behind)) / 2e-6
        torch.testing.assert_close(gradient[:, 6 + column], slope, rtol=1e-6, atol=1e-7)


def test_the_literal_objective_has_the_three_terms_of_equation_10():
    body = load_body(EMBEDDED_BODY)
    state = Bodies(0.2 * random(3, 24, 3), random(3, 3, seed=2), 0.3 * random(2, 10, seed=3))
    person, follows = torch.tensor([0, 0, 1]), torch.tensor([0])
    none = Crossing(
        row=torch.zeros(0, dtype=torch.int64),
        cam_from_world=torch.zeros(0, 4, 4, dtype=torch.float64),
        K=torch.zeros(0, 3, 3, dtype=torch.float64),
        uv=torch.zeros(0, 23, 2, dtype=torch.float64),
        weight=torch.zeros(0, 23, dtype=torch.float64),
    )

    def code(pose: torch.Tensor) -> torch.Tensor:
        return bent(pose[:, :21].flatten(1))[0]

    found = loss(body, state, person, follows, none, code, smooth_weight=10.0, cross_weight=1.0)
    joints = body.posed(state.pose, state.betas[person], state.transl).joints
    expected = (
        (joints[0] - joints[1]).square().sum()
        + state.betas.square().sum()
        + bent(state.pose[:, 1:22].flatten(1))[0].square().sum()
    )
    torch.testing.assert_close(found, 10 * expected)
