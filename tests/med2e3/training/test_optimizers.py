"""Optimizers: what each takes care of, and that a run goes on from a checkpoint of either."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from med2e3.errors import CheckpointError, InputError
from med2e3.training.checkpointing import restore, save
from med2e3.training.optimizers import OPTIMIZERS, Paired, Schedule, muon
from med2e3.training.recipe import load_recipe
from med2e3.training.recipe_file import FOLDER


class Words(nn.Module):
    """An embedding whose table the output layer shares, and a layer between."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(11, 6)
        self.inner = nn.Linear(6, 6)
        self.out = nn.Linear(6, 11, bias=False)
        self.out.weight = self.table.weight

    def loss(self, ids: Tensor) -> Tensor:
        return nn.functional.cross_entropy(self.out(self.inner(self.table(ids))), ids)


def steps(module: Words, optimizer: torch.optim.Optimizer, count: int) -> list[float]:
    losses = []
    for _ in range(count):
        optimizer.zero_grad()
        loss = module.loss(torch.arange(11))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_muon_takes_inner_matrices_and_leaves_shared_tables_and_biases_to_adamw() -> None:
    module = Words()
    optimizer = muon(module, 1e-2, Schedule())
    assert isinstance(optimizer, Paired)
    matrices, rest = (part.param_groups[0]["params"] for part in optimizer.pair)
    assert [id(p) for p in matrices] == [id(module.inner.weight)]
    assert {id(p) for p in rest} == {id(module.table.weight), id(module.inner.bias)}


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_each_optimizer_learns_and_obeys_a_rate_set_on_its_groups(name: str) -> None:
    module = Words()
    optimizer = OPTIMIZERS[name](module, 1e-2, Schedule())
    losses = steps(module, optimizer, 30)
    assert losses[-1] < 0.8 * losses[0]
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    before = [p.clone() for p in module.parameters()]
    steps(module, optimizer, 1)
    assert all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_a_run_goes_on_from_a_checkpoint_as_if_never_stopped(name: str, tmp_path: Path) -> None:
    whole = Words()
    straight = steps(whole, OPTIMIZERS[name](whole, 1e-2, Schedule()), 6)
    first = Words()
    optimizer = OPTIMIZERS[name](first, 1e-2, Schedule())
    steps(first, optimizer, 3)
    save(tmp_path / "x.pt", first, optimizer, 3)
    second = Words()
    again = OPTIMIZERS[name](second, 1e-2, Schedule())
    assert restore(tmp_path / "x.pt", second, again) == 3
    assert steps(second, again, 3) == pytest.approx(straight[3:], abs=1e-6)


def test_a_checkpoint_of_another_optimizer_is_refused_by_name(tmp_path: Path) -> None:
    module = Words()
    save(tmp_path / "x.pt", module, OPTIMIZERS["adamw"](module, 1e-2, Schedule()), 1)
    with pytest.raises(CheckpointError, match=r"x\.pt is damaged, or of another recipe"):
        restore(tmp_path / "x.pt", module, OPTIMIZERS["muon"](module, 1e-2, Schedule()))


def test_a_recipe_with_an_unknown_optimizer_is_refused_before_anything_runs(tmp_path: Path) -> None:
    said = (FOLDER / "demo.toml").read_text(encoding="utf-8")
    path = tmp_path / "wrong.toml"
    path.write_text(said.replace('"muon"', '"moun"', 1), encoding="utf-8")
    with pytest.raises(InputError, match=r"“text” names the optimizer “moun”.*adamw, muon"):
        load_recipe(path)
