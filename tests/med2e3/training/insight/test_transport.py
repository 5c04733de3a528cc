"""Optimal transport in log space, against POT, by hand, and by finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from med2e3.training.insight.transport import Solving, log_plan

ot = pytest.importorskip("ot")


def cost_of(n: int) -> torch.Tensor:
    return torch.rand(n, n, generator=torch.Generator().manual_seed(n), dtype=torch.float64)


@pytest.mark.parametrize("n", [4, 10, 32])
@pytest.mark.parametrize("mass", [0.4, 0.75, 0.95])
def test_partial_plans_are_those_of_pot(n: int, mass: float) -> None:
    cost, even = cost_of(n), np.full(n, 1 / n)
    wanted = ot.partial.entropic_partial_wasserstein(even, even, cost.numpy(), 0.03, mass)
    plan = log_plan(cost, 0.03, mass).exp()
    np.testing.assert_allclose(plan, wanted, rtol=0, atol=1e-6)
    assert float(plan.sum()) == pytest.approx(mass, abs=1e-9)


@pytest.mark.parametrize("mass", [0.4, 0.95])
def test_a_finished_plan_fills_no_row_and_no_column_beyond_its_marginal(mass: float) -> None:
    plan = log_plan(cost_of(8), 0.1, mass, Solving(1e-13, 100_000)).exp()
    assert float(plan.sum(0).max()) <= 1 / 8 + 1e-9
    assert float(plan.sum(1).max()) <= 1 / 8 + 1e-9


@pytest.mark.parametrize("n", [10, 32])
def test_whole_plans_are_those_of_sinkhorn(n: int) -> None:
    cost, even = cost_of(n), np.full(n, 1 / n)
    wanted = ot.sinkhorn(even, even, cost.numpy(), 0.1, numItermax=20_000, stopThr=1e-13)
    np.testing.assert_allclose(log_plan(cost, 0.1).exp(), wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("mass", [0.5, 0.8, 1.0])
def test_gradients_are_those_of_finite_differences(mass: float) -> None:
    cost = cost_of(6).requires_grad_(True)
    exact = Solving(tolerance=1e-14, rounds=100_000)
    assert torch.autograd.gradcheck(lambda c: log_plan(c, 0.1, mass, exact), (cost,))


def test_without_entropy_each_goes_to_its_own_as_far_as_the_mass_allows() -> None:
    n, mass = 5, 0.6
    plan = log_plan(1 - torch.eye(n, dtype=torch.float64), 0.01, mass).exp()
    torch.testing.assert_close(plan, torch.eye(n, dtype=torch.float64) * mass / n)


def test_a_pair_that_does_not_fit_is_what_a_partial_plan_leaves_out() -> None:
    n = 8
    cost = 1 - torch.eye(n, dtype=torch.float64)
    cost[0, 0] = 1.0  # the first caption is about something else
    log = log_plan(cost, 0.02, 1 - 1 / n)
    kept = log.exp().diagonal()
    assert float(kept[0]) < 1e-6
    assert float(kept[1:].min()) > 0.99 / n


@pytest.mark.parametrize("mass", [0.95, 1.0])
def test_equal_costs_give_an_even_plan_and_finite_gradients(mass: float) -> None:
    cost = torch.zeros(6, 6, requires_grad=True)
    log = log_plan(cost, 0.03, mass)
    torch.testing.assert_close(log, torch.full((6, 6), math.log(mass / 36)))
    log.diagonal().sum().backward()
    assert cost.grad is not None
    assert torch.isfinite(cost.grad).all()


def test_costs_far_beyond_a_kernel_stay_finite() -> None:
    cost = cost_of(6) * 1e4  # exp(−C / ε) is 0 in any float
    assert torch.isfinite(log_plan(cost, 0.01, 0.9)).all()


@pytest.mark.parametrize(
    ("cost", "epsilon", "mass", "said"),
    [
        (torch.zeros(2, 3), 0.1, 0.9, "not square"),
        (torch.zeros(3, 3), 0.0, 0.9, "epsilon=0"),
        (torch.zeros(3, 3), 0.1, 1.2, "mass=1.2"),
        (torch.full((3, 3), math.nan), 0.1, 0.9, "finite"),
    ],
)
def test_what_makes_no_transport_is_named(
    cost: torch.Tensor, epsilon: float, mass: float, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        log_plan(cost, epsilon, mass)
