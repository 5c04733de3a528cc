"""Entropic optimal transport between two sets of like size, whole or in part, in log space.

The plan π minimises ⟨π, C⟩ − ε H(π) where no row and no column of π holds more than its marginal,
and π sums to the mass m (Benamou et al., SIAM J. Sci. Comput. 37, 2015, §5.1; POT's
`ot.partial.entropic_partial_wasserstein`). Each of Dykstra's corrections there is one number a row,
a column, or in all, so that the plan is π = exp(−C / ε + u ⊕ v + w) with u, v ≤ 0. Only these
potentials are iterated, and no kernel can underflow. Gradients come from the conditions of the
optimum, not from the rounds: they need no memory for these. Knows nothing of embeddings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

#: Rounds end when no potential moves by more than this, or after `ROUNDS`.
TOLERANCE, ROUNDS = 1e-12, 1000

#: Every so many rounds it is looked whether they may end: looking takes as long as a small round.
CHECKED = 10

#: Added to the diagonal of the gradient's system, relative to its mean: rows and columns together
#: hold one direction in which the plan does not change.
RIDGE = 1e-12


@dataclass(frozen=True)
class Solving:
    """How far the rounds go."""

    tolerance: float = TOLERANCE
    rounds: int = ROUNDS


def log_plan(
    cost: Tensor, epsilon: float, mass: float = 1.0, solving: Solving | None = None
) -> Tensor:
    """The plan's logarithm log π (n, n) for a cost (n, n), with uniform marginals 1 / n.

    It is differentiable in the cost.

    `mass` m is 0 < m ≤ 1; with 1 all of both sides is transported, which is Sinkhorn's problem.
    Computed in float64, returned in the cost's type. Raises ValueError for other masses, an ε that
    is not above 0, or a cost that is not square and finite.
    """
    if cost.ndim != 2 or cost.shape[0] != cost.shape[1] or not len(cost):
        raise ValueError(f"a cost of shape {tuple(cost.shape)} is not square")
    if not 0 < mass <= 1:
        raise ValueError(f"mass={mass:g} does not lie above 0 and up to 1")
    if not epsilon > 0:
        raise ValueError(f"epsilon={epsilon:g} is not above 0")
    if not torch.isfinite(cost).all():
        raise ValueError("a cost is not a finite number")
    chosen = solving or Solving()
    plan: Tensor = _LogPlan.apply(-cost.double() / epsilon, mass, chosen)  # type: ignore[no-untyped-call]
    return plan.to(cost.dtype)


class _LogPlan(torch.autograd.Function):
    """From −C / ε to log π; backward by the implicit function theorem."""

    @staticmethod
    def forward(ctx: Any, base: Tensor, mass: float, solving: Solving) -> Tensor:
        """Iterates the potentials; see `log_plan`."""
        u, v, w = _potentials(base, mass, solving)
        log = base + u[:, None] + v[None] + w
        rows, columns = (u < 0, v < 0) if mass < 1 else (u == u, v == v)
        ctx.save_for_backward(log, rows, columns)
        return log

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """The gradient in −C / ε.

        Rows and columns that are full stay full, and the sum stays m: with A the map from their
        potentials to the plan and H = Aᵀ diag(π) A, the gradient is G − π ∘ A H⁻¹ Aᵀ G.
        """
        log, rows, columns = ctx.saved_tensors
        plan = log.exp()
        i, j = rows.nonzero()[:, 0], columns.nonzero()[:, 0]
        by_row, by_column = plan.sum(1)[i], plan.sum(0)[j]
        n, k = len(i), len(j)
        system = plan.new_zeros(n + k + 1, n + k + 1)
        system[:n, :n] = torch.diag(by_row)
        system[n:-1, n:-1] = torch.diag(by_column)
        system[:n, n:-1] = plan[i][:, j]
        system[:n, -1], system[n:-1, -1], system[-1, -1] = by_row, by_column, plan.sum()
        system = system.triu() + system.triu(1).T
        right = torch.cat([gradient.sum(1)[i], gradient.sum(0)[j], gradient.sum()[None]])
        system.diagonal().add_(RIDGE * system.diagonal().mean())
        y = torch.linalg.solve(system, right)
        moved = plan.new_zeros(plan.shape) + y[-1]
        moved[i] += y[:n, None]
        moved[:, j] += y[None, n:-1]
        return gradient - plan * moved, None, None


def _potentials(base: Tensor, mass: float, solving: Solving) -> tuple[Tensor, Tensor, Tensor]:
    """u, v (n,) and w () of the plan."""
    n = len(base)
    full, wanted = -math.log(n), math.log(mass)
    u, v = base.new_zeros(n), base.new_zeros(n)
    w = wanted - base.logsumexp((0, 1))
    partial = mass < 1
    for number in range(1, solving.rounds + 1):
        old_u, old_v, old_w = u, v, w
        u = full - (base + v + w).logsumexp(1)
        u = u.clamp(max=0) if partial else u
        v = full - (base + u[:, None] + w).logsumexp(0)
        v = v.clamp(max=0) if partial else v
        if partial:
            w = wanted - (base + u[:, None] + v).logsumexp((0, 1))
        if number % CHECKED == 0:
            pairs = ((u, old_u), (v, old_v), (w, old_w))
            if max(float((a - b).abs().max()) for a, b in pairs) < solving.tolerance:
                break
    return u, v, w
