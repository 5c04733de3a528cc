"""Recipes: readable files that say everything about a training run. Knows nothing of its steps."""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from med2e3.errors import InputError
from med2e3.files import write_whole
from med2e3.model import Med2E3Config
from med2e3.training.optimizers import OPTIMIZERS, Schedule
from med2e3.volume import Window

FOLDER = Path(__file__).parent / "recipes"

#: What a run's folder keeps of the recipe that began it.
RECIPE_FILE = "recipe.json"

#: What every stage has; the rest of its table is its own.
OWN_FIELDS = ("steps", "learning_rate", "parts", "optimizer")


@dataclass(frozen=True)
class StageRecipe:
    """One stage: how many steps, and the numbers that only this stage knows.

    A step's batch is made of `parts`, which processes share and each takes one after the other.
    `optimizer` is a name in `med2e3.training.optimizers.OPTIMIZERS`.
    """

    name: str
    steps: int
    learning_rate: float
    options: dict[str, Any]
    parts: int = 1
    schedule: Schedule = field(default_factory=Schedule)
    optimizer: str = "adamw"


@dataclass(frozen=True)
class Recipe:
    """A training run. Seeds are (first, end); nothing is ever trained outside `train_seeds`.

    `start` is the model to go on from ("demo", or a folder), or empty for random weights; then
    `tokenizer` and `model` are the recipe's own. Tuning sees the first `tuning_phantoms` phantoms
    (0: all), for it is their features that take time and disk, and each is asked many questions.
    """

    name: str
    seed: int
    train_seeds: tuple[int, int]
    window: Window
    tokenizer: dict[str, int]
    model: dict[str, Any]
    stages: dict[str, StageRecipe]
    start: str = ""
    tuning_phantoms: int = 0

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
    """A recipe that trains on phantoms, by the name of one that ships, or from a TOML file.

    Raises `InputError` when there is none, or it lacks something.
    """
    said, path = read_recipe(name_or_path)
    try:
        return _parse(said)
    except KeyError as error:
        raise InputError(
            f"{path} lacks {error}. Compare it with {FOLDER / 'demo.toml'}."
        ) from error


def read_recipe(name_or_path: str | Path) -> tuple[dict[str, Any], Path]:
    """What a recipe file says, and where it lies; raises `InputError` when it cannot be read."""
    path = Path(name_or_path)
    if not path.suffix:
        path = FOLDER / f"{name_or_path}.toml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in FOLDER.glob("*.toml")))
        raise InputError(
            f"There is no recipe “{name_or_path}”. Name one that ships ({known}) or a .toml file."
        )
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")), path
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid TOML: {error}. Correct it there.") from error


def keep_to_recipe(recipe: Recipe, folder: Path) -> None:
    """Writes into a run's folder what it is made by, or compares with what was written.

    Raises `InputError` where the folder was begun by another recipe: its phantoms and checkpoints
    would be taken for this one's.
    """
    path = folder / RECIPE_FILE
    own = json.loads(json.dumps(asdict(recipe)))
    if not path.is_file():
        write_whole(path, json.dumps(own, indent=1))
        return
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is damaged ({error}). Name another folder.") from error
    if found := _difference(kept, own):
        where, before, now = found
        raise InputError(
            f"{folder} was begun by another recipe: {where} was {before}, and is {now} now. "
            f"Resume with the recipe that {RECIPE_FILE} in it states, or name another folder."
        )


def _difference(kept: Any, own: Any, where: str = "") -> tuple[str, Any, Any] | None:
    """Where two recipes differ first, and what each of them says there."""
    if isinstance(kept, dict) and isinstance(own, dict):
        names = [*kept, *(name for name in own if name not in kept)]
        steps = (
            _difference(kept.get(n, "not stated"), own.get(n, "not stated"), f"{where}.{n}")
            for n in names
        )
        return next((step for step in steps if step), None)
    return None if kept == own else (where.lstrip("."), kept, own)


def _parse(said: dict[str, Any]) -> Recipe:
    data = said["data"]
    stages = {}
    for name, options in said["stages"].items():
        rest = {k: v for k, v in options.items() if k not in OWN_FIELDS}
        optimizer = options.get("optimizer", "adamw")
        if optimizer not in OPTIMIZERS:
            raise InputError(
                f"The stage “{name}” names the optimizer “{optimizer}”, which there is not. "
                f"Name one of: {', '.join(OPTIMIZERS)}."
            )
        stages[name] = StageRecipe(
            name,
            options["steps"],
            options["learning_rate"],
            rest,
            options.get("parts", 1),
            optimizer=optimizer,
        )
    return Recipe(
        name=said["name"],
        seed=said["seed"],
        train_seeds=(data["train_seeds"][0], data["train_seeds"][1]),
        window=Window(said["window"]["centre"], said["window"]["width"]),
        tokenizer={} if "start" in said else said["tokenizer"],
        model={} if "start" in said else said["model"],
        stages=stages,
        start=said.get("start", ""),
        tuning_phantoms=data.get("tuning_phantoms", 0),
    )
