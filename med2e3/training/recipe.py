"""Recipes: readable files that say everything about a training run. Knows nothing of its steps."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from med2e3.errors import InputError
from med2e3.model import Med2E3Config
from med2e3.volume import Window

FOLDER = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class StageRecipe:
    """One stage: how many steps, and the numbers that only this stage knows."""

    name: str
    steps: int
    learning_rate: float
    options: dict[str, Any]


@dataclass(frozen=True)
class Recipe:
    """A training run. Seeds are (first, end); nothing is ever trained outside `train_seeds`.

    `start` is the model to go on from ("demo", or a folder), or empty for random weights; then
    `tokenizer` and `model` are the recipe's own.
    """

    name: str
    seed: int
    train_seeds: tuple[int, int]
    window: Window
    tokenizer: dict[str, int]
    model: dict[str, Any]
    stages: dict[str, StageRecipe]
    start: str = ""

    def config(self, vocabulary: int) -> Med2E3Config:
        """The model's config with a vocabulary of this size."""
        text = {**self.model["text_config"], "vocab_size": vocabulary}
        return Med2E3Config(**{**self.model, "text_config": text})

    def smoke(self) -> Recipe:
        """The same run in a minute: few phantoms, few steps."""
        stages = {
            name: replace(
                stage, steps=3, options={**stage.options, "volumes": 2, "questions": 3, "rows": 4}
            )
            for name, stage in self.stages.items()
        }
        first = self.train_seeds[0]
        return replace(self, train_seeds=(first, first + 6), stages=stages, name="smoke")


def load_recipe(name_or_path: str | Path) -> Recipe:
    """A recipe by the name of one that ships, or from a TOML file.

    Raises `InputError` when there is none, or it lacks something.
    """
    path = Path(name_or_path)
    if not path.suffix:
        path = FOLDER / f"{name_or_path}.toml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in FOLDER.glob("*.toml")))
        raise InputError(
            f"There is no recipe “{name_or_path}”. Name one that ships ({known}) or a .toml file."
        )
    try:
        return _parse(tomllib.loads(path.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not valid TOML: {error}. Correct it there.") from error
    except KeyError as error:
        raise InputError(
            f"{path} lacks {error}. Compare it with {FOLDER / 'demo.toml'}."
        ) from error


def _parse(said: dict[str, Any]) -> Recipe:
    data = said["data"]
    stages = {}
    for name, options in said["stages"].items():
        rest = {k: v for k, v in options.items() if k not in ("steps", "learning_rate")}
        stages[name] = StageRecipe(name, options["steps"], options["learning_rate"], rest)
    return Recipe(
        name=said["name"],
        seed=said["seed"],
        train_seeds=(data["train_seeds"][0], data["train_seeds"][1]),
        window=Window(said["window"]["centre"], said["window"]["width"]),
        tokenizer={} if "start" in said else said["tokenizer"],
        model={} if "start" in said else said["model"],
        stages=stages,
        start=said.get("start", ""),
    )
