"""What recipes that go through lists of samples share: steps by epochs, and the plan of a stage."""

from __future__ import annotations

import math
from typing import Protocol

from med2e3.errors import RecipeError
from med2e3.training.optimizers import Schedule
from med2e3.training.stage_recipe import StageRecipe


class OfEpochs(Protocol):
    """Goes through its samples `epochs` times, in batches of `parts` equal micro-batches.

    `max_steps` bounds the steps; 0 does not.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def epochs(self) -> float: ...  # noqa: D102
    @property
    def batch(self) -> int: ...  # noqa: D102
    @property
    def parts(self) -> int: ...  # noqa: D102
    @property
    def max_steps(self) -> int: ...  # noqa: D102
    @property
    def learning_rate(self) -> float: ...  # noqa: D102
    @property
    def warmup(self) -> float: ...  # noqa: D102
    @property
    def weight_decay(self) -> float: ...  # noqa: D102


def check_parts(recipe: OfEpochs) -> None:
    """Raises `RecipeError` where a batch cannot be cut into equal parts."""
    if recipe.batch % recipe.parts:
        raise RecipeError(
            f"batch = {recipe.batch} samples cannot be cut into parts = {recipe.parts} equal "
            "parts.",
            ("parts",),
        )


def steps_of(recipe: OfEpochs, samples: int) -> int:
    """How many steps so many samples make."""
    whole = math.ceil(recipe.epochs * samples / recipe.batch)
    return min(whole, recipe.max_steps) if recipe.max_steps else whole


def plan_of(recipe: OfEpochs, samples: int) -> StageRecipe:
    """The loop's view of it. AdamW's other numbers are those of transformers' Trainer."""
    schedule = Schedule(
        warmup=recipe.warmup, floor=0.0, weight_decay=recipe.weight_decay, betas=(0.9, 0.999)
    )
    return StageRecipe(
        recipe.name,
        steps_of(recipe, samples),
        recipe.learning_rate,
        parts=recipe.parts,
        schedule=schedule,
    )
