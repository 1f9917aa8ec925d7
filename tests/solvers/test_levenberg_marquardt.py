"""The batched solver on problems whose answers are known."""

import torch
from torch import Tensor

from multithumbs.solvers.levenberg_marquardt import Linearisation, solve


def retract(state: Tensor, step: Tensor) -> Tensor:
    return state + step


def select(mask: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return torch.where(mask[:, None], a, b)


def rosenbrock(state: Tensor) -> tuple[Tensor, Tensor]:
    x, y = state.unbind(-1)
    residual = torch.stack([10 * (y - x**2), 1 - x], -1)
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    jacobian = torch.stack(
        [torch.stack([-20 * x, 10 * one], -1), torch.stack([-one, zero], -1)], -2
    )
    return residual, jacobian


def linearise(state: Tensor) -> Linearisation:
    residual, jacobian = rosenbrock(state)
    back = jacobian.transpose(-1, -2)
    return Linearisation(
        (residual**2).sum(-1), (back @ residual[..., None]).squeeze(-1), back @ jacobian
    )


def evaluate(state: Tensor) -> Tensor:
    return (rosenbrock(state)[0] ** 2).sum(-1)


def run(start: Tensor, iterations: int = 100) -> tuple[Tensor, Tensor, Tensor]:
    solution = solve(linearise, evaluate, retract, select, start, max_iterations=iterations)
    return solution.state, solution.cost, solution.converged


def test_rosenbrock_from_several_starts() -> None:
    start = torch.tensor([[-1.2, 1.0], [5.0, -3.0], [1.0, 1.0]], dtype=torch.float64)
    state, cost, converged = run(start)
    torch.testing.assert_close(state, torch.ones_like(state), atol=1e-5, rtol=0)
    assert bool(converged.all())
    assert bool((cost <= evaluate(start)).all())


def test_problems_of_a_batch_do_not_touch_each_other() -> None:
    start = torch.tensor([[-1.2, 1.0], [40.0, -30.0]], dtype=torch.float64)
    together, _, _ = run(start, 9)
    alone = torch.cat([run(start[:1], 9)[0], run(start[1:], 9)[0]])
    torch.testing.assert_close(together, alone, atol=0, rtol=0)


def test_an_unobserved_parameter_stays() -> None:
    def flat(state: Tensor) -> Linearisation:
        gradient = torch.stack([state[:, 0] - 3, torch.zeros_like(state[:, 0])], -1)
        hessian = torch.diag_embed(torch.tensor([[1.0, 0.0]], dtype=torch.float64))
        return Linearisation((state[:, 0] - 3) ** 2, gradient, hessian)

    start = torch.tensor([[0.0, 7.0]], dtype=torch.float64)
    solution = solve(flat, lambda s: (s[:, 0] - 3) ** 2, retract, select, start, max_iterations=50)
    torch.testing.assert_close(solution.state, torch.tensor([[3.0, 7.0]], dtype=torch.float64))


def test_a_start_without_a_finite_cost_is_returned_unchanged() -> None:
    start = torch.full((1, 2), torch.nan, dtype=torch.float64)
    state, _, _ = run(start, 5)
    assert bool(state.isnan().all())
