"""A stage is a class and a row: recipes, dry runs and runs follow from these alone."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from med2e3.checkpoints import Hub
from med2e3.errors import RecipeError
from med2e3.fields import Share
from med2e3.training.dry_run import plan_recipe
from med2e3.training.pipeline import run_all
from med2e3.training.recipe import Recipe, load_recipe
from med2e3.training.recipe_file import FOLDER
from med2e3.training.run_folder import RunFolder
from med2e3.training.stage_recipe import StageRecipe
from med2e3.training.stages import STAGES
from med2e3.training.stages.base import PhantomStage, Reads, StageData


@dataclass(frozen=True)
class ShrinkRecipe(StageRecipe):
    """Shrinks weights to this share of their size."""

    share: Share

    def micro_batch(self) -> str:
        return "nothing at all"


class ShrinkStage(PhantomStage[ShrinkRecipe]):
    """Draws the scorer's weights to 0, with the 2D connector beside it as it is."""

    recipe_class = ShrinkRecipe
    reads = Reads.FEATURES
    modules = {"held": "connector2d", "shrunk": "scorer"}  # noqa: RUF012

    def __init__(self, recipe: ShrinkRecipe, held: nn.Module, shrunk: nn.Module) -> None:
        self.name, self.share = recipe.name, recipe.share
        self.module = nn.ModuleDict({"held": held.requires_grad_(False), "shrunk": shrunk})

    @classmethod
    def frozen(cls, recipe: ShrinkRecipe) -> tuple[str, ...]:
        return ("connector2d",)

    @classmethod
    def build(cls, recipe: ShrinkRecipe, data: StageData) -> Self:
        model = data.model()
        assert model.connector2d is not None
        assert model.scorer is not None
        return cls(recipe, model.connector2d, model.scorer)

    def loss(self, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        weights = [p.square().sum() for p in self.module.parameters() if p.requires_grad]
        return torch.stack(weights).sum() * self.share, {}

    def finish(self, folder: Path) -> None:
        (folder / "shrunk.txt").write_text("done", encoding="utf-8")


@pytest.fixture
def shrinking(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Recipe:
    """A recipe with a stage that the program does not have, before the one that it goes on to."""
    monkeypatch.setitem(STAGES, "shrink", ShrinkStage)
    text = (FOLDER / "demo-more.toml").read_text(encoding="utf-8")
    path = tmp_path / "shrink.toml"
    path.write_text(
        text + "\n[stages.shrink]\nsteps = 4\nlearning_rate = 1e-2\nparts = 2\nshare = 0.5\n",
        encoding="utf-8",
    )
    recipe = load_recipe(path)
    return replace(recipe, stages={"shrink": recipe.stages["shrink"]}, train_seeds=(0, 1))


def test_a_stage_that_is_added_is_parsed_planned_and_run(shrinking: Recipe, tmp_path: Path) -> None:
    assert shrinking.stages["shrink"] == ShrinkRecipe("shrink", 4, 1e-2, 0.5, parts=2)
    (plan,) = plan_recipe(shrinking, Hub(), None)
    assert [(part.name, part.trained) for part in plan.parts] == [
        ("scorer", True), ("connector2d", False),
    ]  # fmt: skip
    assert plan.batch == "2 parts of nothing at all"
    run_folder = RunFolder(shrinking, tmp_path / "run")
    made = run_all(run_folder, lambda *_: None, workers=1)
    with (run_folder.folder / "shrink.csv").open(newline="", encoding="utf-8") as stream:
        losses = [float(row["loss"]) for row in csv.DictReader(stream)]
    assert losses == sorted(losses, reverse=True)
    assert len(losses) == 4
    assert (run_folder.folder / "shrunk.txt").is_file()
    assert run_folder.start is not None
    before, after = (
        {k: v.float() for k, v in load_file(folder / "model.safetensors").items()}
        for folder in (run_folder.start, made)
    )
    changed = {
        name.split(".")[0]
        for name, value in after.items()
        if not torch.allclose(value, before[name], atol=1e-3)
    }
    assert changed == {"scorer"}


def test_its_keys_are_held_as_strictly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(STAGES, "shrink", ShrinkStage)
    text = (FOLDER / "demo-more.toml").read_text(encoding="utf-8")
    path = tmp_path / "shrink.toml"
    path.write_text(
        text + "\n[stages.shrink]\nsteps = 4\nlearning_rate = 1e-2\nshare = 2\n", encoding="utf-8"
    )
    with pytest.raises(RecipeError, match=r"line \d+: share = 2 must lie between 0 and 1"):
        load_recipe(path)


def test_every_part_that_a_stage_names_is_one_of_the_model() -> None:
    from med2e3.training.published_recipe import PARTS

    for name, stage in STAGES.items():
        assert set(stage.modules.values()) <= set(PARTS), name
        assert issubclass(stage.recipe_class, StageRecipe)
