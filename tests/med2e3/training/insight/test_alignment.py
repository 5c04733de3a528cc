"""Losses between slices and their frozen embeddings."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from med2e3.errors import InputError, RecipeError
from med2e3.training.insight.alignment import (
    ALIGNMENTS,
    Alignment,
    AlignmentRecipe,
    Metric,
    PairQueue,
)

KINDS = tuple(ALIGNMENTS)


def embeddings(n: int = 6, width: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    drawn = torch.Generator().manual_seed(3)
    return torch.randn(n, width, generator=drawn), torch.randn(n, width, generator=drawn)


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_downhill_brings_pairs_together(kind: str) -> None:
    own, target = embeddings()
    own.requires_grad_(True)
    loss = Alignment(AlignmentRecipe(kind), 8)
    before = loss(own, target)
    (slope,) = torch.autograd.grad(before, own)
    after = loss(own - 0.05 * slope / slope.norm(), target)
    assert after.item() < before.item()


@pytest.mark.parametrize("kind", KINDS)
def test_right_pairs_cost_less_than_wrong_ones(kind: str) -> None:
    _, target = embeddings()
    loss = Alignment(AlignmentRecipe(kind), 8)
    assert loss(target, target).item() < loss(target.roll(1, 0), target).item()


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_a_batch_changes_nothing(kind: str) -> None:
    own, target = embeddings()
    loss, order = Alignment(AlignmentRecipe(kind), 8), torch.tensor([3, 1, 5, 0, 2, 4])
    torch.testing.assert_close(loss(own, target), loss(own[order], target[order]))


def test_infonce_is_the_cross_entropy_of_both_ways() -> None:
    own, target = (F.normalize(x, dim=-1) for x in embeddings(3))
    scores = (own @ target.T / 0.07).double()
    by_hand = 0.0
    for table in (scores, scores.T):
        for k in range(3):
            by_hand -= float(table[k, k] - table[k].logsumexp(0)) / 6
    found = Alignment(AlignmentRecipe("infonce"), 8)(own, target)
    assert found.item() == pytest.approx(by_hand, rel=1e-5)


def test_perfect_pairs_cost_nothing_under_transport() -> None:
    target = torch.eye(6, 8)
    found = Alignment(AlignmentRecipe("ot", epsilon=0.01), 8)(target, target)
    assert found.item() == pytest.approx(0.0, abs=1e-4)
    partly = Alignment(AlignmentRecipe("partial_ot", epsilon=0.01, mass=0.5), 8)(target, target)
    assert partly.item() == pytest.approx(math.log(2), abs=1e-4)  # half of each pair is left


@pytest.mark.parametrize("kind", KINDS)
def test_equal_embeddings_give_numbers(kind: str) -> None:
    own = torch.ones(4, 8, requires_grad=True)
    loss = Alignment(AlignmentRecipe(kind), 8)
    found = loss(own, torch.ones(4, 8))
    found.backward()
    assert torch.isfinite(found)
    assert own.grad is not None
    assert torch.isfinite(own.grad).all()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in loss.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_one_is_refused(kind: str) -> None:
    with pytest.raises(InputError, match="1 pair"):
        Alignment(AlignmentRecipe(kind), 8)(torch.ones(1, 8), torch.ones(1, 8))


def test_the_metric_stays_positive_whatever_is_learned() -> None:
    metric = Metric(4)
    plain = metric(torch.eye(4), torch.zeros(1, 4))
    torch.testing.assert_close(plain, torch.ones(4, 1))
    with torch.no_grad():
        metric.weight.fill_(-1e4)
    cost = metric(torch.randn(5, 4), torch.randn(5, 4))
    cost.sum().backward()
    assert (cost > 0).all()
    assert torch.isfinite(metric.weight.grad).all()  # type: ignore[arg-type]


def test_the_metric_is_the_weighted_distance() -> None:
    metric, drawn = Metric(3).double(), torch.Generator().manual_seed(1)
    with torch.no_grad():
        metric.weight.copy_(torch.tensor([-1.0, 0.5, 2.0]))
    a, b = (torch.randn(n, 3, generator=drawn, dtype=torch.float64) for n in (4, 5))
    weight = torch.log1p(metric.weight.exp())
    wanted = ((a[:, None] - b[None]) ** 2 * weight).sum(-1).sqrt()
    torch.testing.assert_close(metric(a, b), wanted)


def test_a_mass_of_all_is_no_partial_transport() -> None:
    with pytest.raises(RecipeError, match="“ot”"):
        AlignmentRecipe("partial_ot", mass=1.0)


def test_how_much_partial_transport_can_leave_out_is_said() -> None:
    published = AlignmentRecipe("partial_ot")
    assert published.left_out(10) == pytest.approx(0.5)  # half a pair: nearly plain transport
    assert published.left_out(256) == pytest.approx(12.8)
    assert AlignmentRecipe("ot").left_out(256) == 0


def test_the_queue_holds_the_latest_pairs_first() -> None:
    queue = PairQueue(3, 2, 1)
    rows = torch.arange(10.0).reshape(5, 2)
    queue.push(rows[:2], rows[None, :2])
    assert queue.beside(rows[4:], rows[4:], 0)[0].tolist() == [[8, 9], [0, 1], [2, 3]]
    queue.push(rows[2:4], rows[None, 2:4] + 1)
    own, target = queue.beside(rows[4:], rows[4:], 0)
    assert own.tolist() == [[8, 9], [4, 5], [6, 7], [0, 1]]
    assert target.tolist() == [[8, 9], [5, 6], [7, 8], [0, 1]]


def test_a_batch_larger_than_the_queue_leaves_its_first_rows_there() -> None:
    queue = PairQueue(2, 1, 1)
    rows = torch.arange(4.0)[:, None]
    queue.push(rows, rows[None])
    assert queue.beside(rows[:0], rows[:0], 0)[0].flatten().tolist() == [0, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_pairs_of_the_queue_are_examples_and_no_part_of_the_mean(kind: str) -> None:
    own, target = embeddings(6)
    loss = Alignment(AlignmentRecipe(kind), 8)
    alone = loss(own[:3], target[:3])
    beside = loss(own, target, current=3)
    assert beside.item() != pytest.approx(alone.item())
    own = own.requires_grad_(True)
    (slope,) = torch.autograd.grad(loss(own, target, current=3), own)
    assert float(slope[:3].abs().sum()) > 0
