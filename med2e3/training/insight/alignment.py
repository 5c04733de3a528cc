"""Losses that bring embeddings of slices to frozen embeddings of their images and texts, by name.

A new one is a function of two sets of embeddings and a row in `ALIGNMENTS`. Knows nothing of
volumes or encoders.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from med2e3.errors import InputError, RecipeError
from med2e3.fields import Between, CountOrNone, OneOf, Positive
from med2e3.training.insight.transport import Solving, log_plan

#: CLIP's first temperature, as a factor in the logarithm, and the largest factor that it allows.
FIRST_SCALE, LARGEST_SCALE = math.log(1 / 0.07), math.log(100.0)

#: How far a step's plan is computed: the embeddings move further than that from step to step.
SOLVING = Solving(tolerance=1e-5, rounds=200)

#: Added under the square root of a cost, whose slope at 0 is infinite.
TINY = 1e-12


@dataclass(frozen=True)
class AlignmentRecipe:
    """Which loss, and its numbers.

    `kind` is a name in `ALIGNMENTS`. `epsilon` and `mass` are those of the transport; the published
    ones are 0.03 and 0.95. `queue` is how many past pairs stand beside those of a step.

    With n pairs in a step and its queue, `partial_ot` can leave out (1 − mass) · n of them in all:
    with the published batch of 10 and mass of 0.95 half a pair, which is nearly `ot`. It acts where
    (1 − mass) · n is several pairs. A plan without entropy (`epsilon` towards 0) leaves out whole
    pairs; a larger one spreads what is left out over all.
    """

    kind: Annotated[str, OneOf(("infonce", "ot", "partial_ot"))]
    epsilon: Positive = 0.03
    mass: Annotated[float, Between(0, 1, above=True)] = 0.95
    queue: CountOrNone = 0

    def __post_init__(self) -> None:
        if self.kind == "partial_ot" and self.mass == 1:
            raise RecipeError("mass = 1 leaves nothing out: name it kind = “ot”.", ("mass",))

    def left_out(self, pairs: int) -> float:
        """How many of so many pairs the transport can leave out."""
        return (1 - self.mass) * pairs if self.kind == "partial_ot" else 0.0


class Metric(nn.Module):
    """A weighted Euclidean distance; every dimension's weight is learned and stays above 0.

    C_ij = √Σ_k softplus(ω_k) (v_jk − e_ik)². The published weights are a matrix of which only the
    diagonal is read, and may become negative, which makes the root undefined.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        # softplus(ω) = 1: the plain distance.
        self.weight = nn.Parameter(torch.full((width,), math.log(math.e - 1)))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Embeddings (n, E) and (k, E) → costs (n, k)."""
        # Far below, softplus rounds to 0: the smallest number that is one keeps it above.
        weight = F.softplus(self.weight).clamp_min(torch.finfo(self.weight.dtype).tiny).sqrt()
        a, b = first * weight, second * weight
        square = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T
        return (square.clamp_min(0) + TINY).sqrt()


class Alignment(nn.Module):
    """A loss by name, with what it learns: a temperature, or a metric."""

    def __init__(self, recipe: AlignmentRecipe, width: int) -> None:
        super().__init__()
        self.recipe = recipe
        self.scale = nn.Parameter(torch.tensor(FIRST_SCALE)) if recipe.kind == "infonce" else None
        self.metric = None if recipe.kind == "infonce" else Metric(width)

    def forward(self, own: Tensor, target: Tensor, current: int | None = None) -> Tensor:
        """Row k of `own` (n, E) belongs to row k of `target` (n, E); both are normalised here.

        Only the first `current` rows count, the others stand beside them. Raises `InputError` for a
        single pair: any embedding is the nearest of one.
        """
        if len(own) < 2:
            raise InputError(
                f"The loss “{self.recipe.kind}” was given {len(own)} pair of slice and caption, "
                "and can learn nothing from fewer than 2. Raise `volumes` or `slices` of the stage."
            )
        own, target = F.normalize(own.float(), dim=-1), F.normalize(target.float(), dim=-1)
        counted = len(own) if current is None else current
        return ALIGNMENTS[self.recipe.kind](self, own, target, counted)


def infonce(alignment: Alignment, own: Tensor, target: Tensor, counted: int) -> Tensor:
    """Symmetric cross entropy over scaled cosines, with a learned temperature from 0.07."""
    scale = alignment.scale
    assert scale is not None
    logits = scale.clamp(max=LARGEST_SCALE).exp() * own @ target.T
    right = torch.arange(counted, device=own.device)
    return (
        F.cross_entropy(logits[:counted], right) + F.cross_entropy(logits.T[:counted], right)
    ) / 2


def transported(alignment: Alignment, own: Tensor, target: Tensor, counted: int) -> Tensor:
    """−mean log(n · π_kk) of the transport plan: how far it is from pairing each with its own.

    The published −(1/n) Σ log π_kk is this and the constant log n, so that losses of batches of any
    size compare. Costs are divided by their largest.
    """
    recipe, metric = alignment.recipe, alignment.metric
    assert metric is not None
    cost = metric(own, target)
    largest = cost.amax()
    apart = float(largest.detach()) > 2 * TINY**0.5
    # Equal embeddings all lie at the same distance: any plan is as good, and none is preferred.
    cost = cost / largest if apart else cost * 0
    mass = recipe.mass if recipe.kind == "partial_ot" else 1.0
    log = log_plan(cost, recipe.epsilon, mass, SOLVING).diagonal()[:counted]
    return -(log + math.log(len(own))).mean()


#: Name in a recipe → its loss.
ALIGNMENTS: dict[str, Callable[[Alignment, Tensor, Tensor, int], Tensor]] = {
    "infonce": infonce,
    "ot": transported,
    "partial_ot": transported,
}


class PairQueue(nn.Module):
    """The latest pairs of embeddings, which stand beside those of a step as further examples.

    They carry no gradient: a larger batch for the memory of a small one (cross-batch memory, Wang
    et al., CVPR 2020). They are buffers, so that a checkpoint has them.
    """

    own: Tensor
    targets: Tensor
    filled: Tensor

    def __init__(self, size: int, width: int, targets: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("own", torch.zeros(size, width))
        self.register_buffer("targets", torch.zeros(targets, size, width))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))

    def beside(self, own: Tensor, target: Tensor, which: int) -> tuple[Tensor, Tensor]:
        """Embeddings of a step with the queue's below them; `which` target these are."""
        count = int(self.filled)
        if not count:
            return own, target
        return (
            torch.cat([own, self.own[:count]]),
            torch.cat([target, self.targets[which, :count]]),
        )

    @torch.no_grad()
    def push(self, own: Tensor, targets: Tensor) -> None:
        """Puts a step's pairs in front; `targets` (T, n, E); the oldest fall out."""
        if not self.size:
            return
        kept = min(self.size, int(self.filled) + len(own))
        old = max(0, kept - len(own))
        fresh = kept - old
        self.own[:kept] = torch.cat([own[:fresh].detach(), self.own[:old]])
        self.targets[:, :kept] = torch.cat([targets[:, :fresh], self.targets[:, :old]], dim=1)
        self.filled.fill_(kept)
