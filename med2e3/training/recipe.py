"""Recipes that train on phantoms: readable files that say everything about a run.

Each stage's keys are those of its class in `STAGES`. Knows nothing of the steps of a run.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from huggingface_hub.errors import StrictDataclassError
from transformers import SiglipVisionConfig

from med2e3.errors import InputError, RecipeError
from med2e3.fields import Count, CountOrNone, Key, NotNegative, OneOf, build, unknown_key
from med2e3.model import Med2E3Config
from med2e3.model.config import TEXT_CONFIGS, Vision3DConfig
from med2e3.phantoms import BODIES
from med2e3.training.optimizers import Schedule
from med2e3.training.recipe_file import FOLDER, RecipeFile, read_recipe
from med2e3.training.stage_recipe import StageRecipe
from med2e3.training.stages import STAGES
from med2e3.volume import Window

#: How often each kind of body is drawn, in proportion.
Bodies = dict[Annotated[str, OneOf(BODIES)], NotNegative]

#: Keys of a language model's config that its class takes though it declares no field for them.
UNDECLARED = ("model_type", "rope_theta", "rope_scaling", "partial_rotary_factor")


@dataclass(frozen=True)
class TokenizerRecipe:
    """At most `size` tokens, learned from the language of `texts` phantoms."""

    size: Count
    texts: Count


@dataclass(frozen=True)
class Recipe:
    """A training run. Seeds are (first, end); nothing is ever trained outside `train_seeds`.

    `start` is the model to go on from ("demo", or a folder), or empty for random weights; then
    `tokenizer` and `model` are the recipe's own. `encoder3d` is a folder of a pretrained 3D encoder
    (of `med2e3 train insight`) whose weights take the place of the model's, or empty. Tuning sees
    the first `tuning_phantoms` phantoms (0: all), for it is their features that take time and disk,
    and each is asked many questions. `bodies` is how often each kind of body is drawn.
    """

    name: str
    seed: int
    train_seeds: tuple[int, int]
    window: Window
    tokenizer: TokenizerRecipe | None
    model: dict[str, Any]
    stages: dict[str, StageRecipe]
    start: str = ""
    tuning_phantoms: int = 0
    encoder3d: str = ""
    bodies: Bodies = field(default_factory=lambda: {"simple": 1.0})

    def config(self, vocabulary: int) -> Med2E3Config:
        """The model's config with a vocabulary of this size."""
        text = {**self.model["text_config"], "vocab_size": vocabulary}
        return Med2E3Config(**{**self.model, "text_config": text})

    def check_stages(self, names: Collection[str]) -> None:
        """Raises `InputError` for a name that is no stage of this recipe."""
        wrong = [name for name in names if name not in self.stages]
        if wrong:
            raise InputError(
                f"The recipe {self.name} has no stage “{wrong[0]}”. Name some of: "
                f"{', '.join(self.stages)}."
            )

    def smoke(self) -> Recipe:
        """The same run in a minute: few phantoms, few steps."""
        stages = {name: stage.smoke() for name, stage in self.stages.items()}
        first = self.train_seeds[0]
        return replace(self, train_seeds=(first, first + 6), stages=stages, name="smoke")


@dataclass(frozen=True)
class _Data:
    """The table [data]."""

    train_seeds: tuple[CountOrNone, CountOrNone]
    tuning_phantoms: CountOrNone = 0
    bodies: Bodies = field(default_factory=lambda: {"simple": 1.0})

    def __post_init__(self) -> None:
        first, end = self.train_seeds
        if not first < end:
            raise RecipeError(
                f"train_seeds = [{first}, {end}] holds no phantom: the end must be larger than the "
                "first.",
                ("train_seeds",),
            )
        if not sum(self.bodies.values()) > 0:
            raise RecipeError("bodies must give at least one body a share above 0.", ("bodies",))


@dataclass(frozen=True)
class _Trained:
    """The file of a recipe that goes on from a finished model."""

    name: str
    seed: CountOrNone
    start: str
    data: _Data
    window: Window
    stages: dict[str, Any]
    tokenizer: TokenizerRecipe | None = None
    model: dict[str, Any] | None = None
    encoder3d: str = ""


@dataclass(frozen=True)
class _New:
    """The file of a recipe that begins with random weights."""

    name: str
    seed: CountOrNone
    data: _Data
    window: Window
    stages: dict[str, Any]
    tokenizer: TokenizerRecipe
    model: dict[str, Any]
    encoder3d: str = ""


def load_recipe(name_or_path: str | Path) -> Recipe:
    """A recipe that trains on phantoms, by the name of one that ships, or from a TOML file.

    Raises `InputError` when there is none, and `RecipeError`, with the line, for a key that is
    unknown, missing or wrong.
    """
    return parse_recipe(read_recipe(name_or_path))


def parse_recipe(file: RecipeFile) -> Recipe:
    """A recipe from what its file says; raises `RecipeError` with the line of what is wrong."""
    with file.naming_lines():
        try:
            return _parse(file.values)
        except RecipeError as error:
            if error.key:
                raise
            raise RecipeError(f"{error} Compare it with {FOLDER / 'demo.toml'}.") from error


def _parse(said: dict[str, Any]) -> Recipe:
    read = build(_Trained, said) if "start" in said else build(_New, said)
    if not read.window.width > 0:
        raise RecipeError(
            f"width = {read.window.width:g} must be more than 0.", ("window", "width")
        )
    stages = {}
    for name, table in read.stages.items():
        if name not in STAGES:
            raise unknown_key(name, STAGES, ("stages",))
        key = ("stages", name)
        stages[name] = build(
            STAGES[name].recipe_class, table, key, name=name, schedule=Schedule()
        )  # fmt: skip
    recipe = Recipe(
        name=read.name,
        seed=read.seed,
        train_seeds=read.data.train_seeds,
        window=read.window,
        tokenizer=read.tokenizer if isinstance(read, _New) else None,
        model=read.model if isinstance(read, _New) else {},
        stages=stages,
        start="" if isinstance(read, _New) else read.start,
        tuning_phantoms=read.data.tuning_phantoms,
        encoder3d=read.encoder3d,
        bodies=read.data.bodies,
    )
    if isinstance(read, _New):
        _check_model(recipe)
    return recipe


def _check_model(recipe: Recipe) -> None:
    """Raises `RecipeError` for a key that the model's config would not read, or a wrong value."""
    table = recipe.model
    text = table.get("text_config")
    if not isinstance(text, Mapping):
        raise RecipeError("[model] lacks “text_config”.", ("model",))
    kind = TEXT_CONFIGS.get(text.get("model_type", ""))
    _check_keys(table, _declared(Med2E3Config), ("model",))
    for name, cls in (("vision3d_config", Vision3DConfig), ("vision2d_config", SiglipVisionConfig)):
        if isinstance(table.get(name), Mapping):
            _check_keys(table[name], _declared(cls), ("model", name))
    if kind is not None:
        _check_keys(text, (*_declared(kind), *UNDECLARED), ("model", "text_config"))
    try:
        recipe.config(recipe.tokenizer.size if recipe.tokenizer else 0)
    except (StrictDataclassError, TypeError, ValueError) as error:
        said = " ".join(str(error).split())
        raise RecipeError(f"[model] makes no model: {said}.", ("model",)) from error


def _check_keys(table: Mapping[str, Any], known: Collection[str], key: Key) -> None:
    for name in table:
        if name not in known:
            raise unknown_key(name, known, key)


def _declared(config: type) -> tuple[str, ...]:
    """The fields that a config's class declares."""
    return tuple(f.name for f in fields(config)) if is_dataclass(config) else ()
