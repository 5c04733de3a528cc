"""Recipes that train the whole Med-2E3 on prepared volumes, as published.

Knows nothing of steps.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from med2e3.errors import RecipeError
from med2e3.fields import (
    Count,
    CountOrNone,
    NotNegative,
    OneOf,
    Positive,
    Share,
    build,
    check_fields,
)
from med2e3.model.prompts import TEMPLATES
from med2e3.training.data.augment import Augmentation
from med2e3.training.data.formats import MASK_FORMATS, SampleFile
from med2e3.training.data.groups import GROUPS
from med2e3.training.distributed import PRECISIONS
from med2e3.training.epochs import check_parts, plan_of, steps_of
from med2e3.training.lora import LoRA
from med2e3.training.recipe_file import FOLDER, RecipeFile
from med2e3.training.stage_recipe import StageRecipe

#: What a recipe's `kind` says; without one it trains on phantoms.
KIND = "med2e3"

#: Parts of the model that a recipe may name in `train`.
PARTS = (
    "vision3d", "vision2d", "connector3d", "connector2d", "positions", "text_encoder",
    "text_projection", "scorer", "language_model",
)  # fmt: skip

#: What `start` names: one whole model, or the three that a Med-2E3 is first put together from.
WHOLE = frozenset({"model"})
PIECES = frozenset({"language_model", "vision2d", "m3d_clip"})


@dataclass(frozen=True)
class ModelChoices:
    """What a model that is put together is to be, by the names of `Med2E3Config`.

    Empty or None keeps the released form. The paper's first version is text_source =
    "llm_embedding", score_temperature = 1; rows of its tables 3 to 5 are `encoders`, `aggregation`
    and `local_features`, with text_source = "none" for scoring without text.
    """

    encoders: str = ""
    aggregation: str = ""
    local_features: str = ""
    text_source: str = ""
    score_norm: str = ""
    score_temperature: float | None = None
    score_dropout: float | None = None

    def changes(self) -> dict[str, Any]:
        """The keys of the config that they set; what follows from a source of text is set too."""
        said = {k: v for k, v in dataclasses.asdict(self).items() if v not in ("", None)}
        if self.encoders == "2d":
            said.setdefault("local_features", "2d")
        if self.text_source == "text_encoder":
            said["text_projection"] = "linear"
        elif self.text_source:
            said |= {"text_projection": "none", "text_encoder_config": None}
        return said


@dataclass(frozen=True)
class ValidationRecipe:
    """What is held out of training, and what it decides.

    `share` of the volumes (or, with group = "folder", of the folders that they lie in, as of one
    patient each) with all their rows, or lists of their own in `data`. Every `every` steps the loss
    on at most `limit` of these samples is measured (0: on all); the model is that of the best step.
    After `patience` measurements in a row that are no better, training stops; 0 goes on to the end.
    """

    share: Share = 0.0
    group: Annotated[str, OneOf(GROUPS)] = GROUPS[0]
    data: tuple[SampleFile, ...] = ()
    every: Count = 50
    patience: CountOrNone = 0
    limit: CountOrNone = 256

    def __post_init__(self) -> None:
        check_fields(self)
        if self.share and self.data:
            raise RecipeError(
                "[validation] has a share of the volumes and lists of its own; give one of them.",
                ("share",),
            )
        if self.share == 1:
            raise RecipeError("share = 1 leaves nothing to train on; give less.", ("share",))
        if self.patience and not self:
            raise RecipeError(
                f"patience = {self.patience} waits for a validation loss, and nothing is held out. "
                "Give a share, or lists in [[validation.data]].",
                ("patience",),
            )

    def __bool__(self) -> bool:
        return bool(self.share or self.data)


@dataclass(frozen=True)
class PublishedRecipe:
    """One stage. A step has `batch` samples in `parts` micro-batches.

    Each process computes its share of these one after the other: more of them need less memory and
    give the same losses.

    `model` are choices of a model that is put together from pieces; `lora` trains adapters of the
    language model in place of its weights. `text_encoder_dropout` keeps the dropout of the frozen
    text encoder active, as in the published training. `pointing` is the weight of the loss that
    makes slice scores lie on the slices that lists state (`data.pointers`). `seed` decides new
    weights, order, augmentation and dropout.

    Three things differ from the published trainer, by intention: the first step of the warm-up
    already has a rate (there it is 0), the last epoch's rest is a step of its own (there the number
    of steps is rounded down by micro-batches), and the loss of a step is the mean over all its
    tokens (there the mean of its micro-batches' means).
    """

    name: str
    seed: CountOrNone
    epochs: Positive
    batch: Count
    parts: Count
    learning_rate: Positive
    template: Annotated[str, OneOf(TEMPLATES)]
    context_length: Count
    train: tuple[str, ...]
    start: dict[str, str]
    data: tuple[SampleFile, ...]
    augment: Augmentation
    model: ModelChoices = field(default_factory=ModelChoices)
    lora: LoRA | None = None
    validation: ValidationRecipe = field(default_factory=ValidationRecipe)
    warmup: Share = 0.03
    weight_decay: NotNegative = 0.0
    mixed_precision: Annotated[str, OneOf(PRECISIONS)] = "bf16"
    gradient_checkpointing: bool = True
    text_encoder_dropout: bool = True
    pointing: NotNegative = 0.0
    checkpoint_minutes: NotNegative = 30.0
    max_steps: CountOrNone = 0

    def __post_init__(self) -> None:
        unknown = [name for name in self.train if name not in PARTS]
        if unknown or not self.train:
            raise RecipeError(
                f"train = {list(self.train)} must name parts of: {', '.join(PARTS)}.", ("train",)
            )
        if set(self.start) not in (WHOLE, PIECES):
            raise RecipeError(
                "start must name either `model`, or "
                f"{', '.join(f'`{piece}`' for piece in sorted(PIECES))}; it names "
                f"{', '.join(self.start) or 'nothing'}.",
                ("start",),
            )
        check_fields(self)
        if self.model.changes() and set(self.start) == WHOLE:
            raise RecipeError(
                "[model] is for a model that is put together from pieces; the one that `start` "
                "names is what it is.",
                ("model",),
            )
        lists = (*self.data, *self.validation.data)
        if drawn := [s.format for s in lists if s.format in MASK_FORMATS]:
            raise RecipeError(
                f"Med-2E3 draws no masks and cannot train on {drawn[0]}; M3D-LaMed can.", ("data",)
            )
        check_parts(self)

    def steps(self, samples: int) -> int:
        """How many steps so many samples make."""
        return steps_of(self, samples)

    def stage(self, samples: int) -> StageRecipe:
        """The loop's view of it."""
        return plan_of(self, samples)

    def with_lora(self, rank: int) -> PublishedRecipe:
        """The same with adapters of that rank in place of the language model's weights."""
        rest = tuple(part for part in self.train if part != "language_model")
        return dataclasses.replace(self, train=rest, lora=LoRA.of_rank(rank))

    def with_validation(
        self, share: float, every: int | None, patience: int | None
    ) -> PublishedRecipe:
        """The same with what a command line says of validation; 0 and None leave the recipe's."""
        held = self.validation
        chosen = dataclasses.replace(
            held,
            share=share or held.share,
            data=() if share else held.data,
            every=held.every if every is None else every,
            patience=held.patience if patience is None else patience,
        )
        return dataclasses.replace(self, validation=chosen)

    def below(self, folder: Path) -> PublishedRecipe:
        """The same with lists whose paths start from `folder`."""
        own = tuple(source.below(folder) for source in self.validation.data)
        return dataclasses.replace(
            self,
            data=tuple(source.below(folder) for source in self.data),
            validation=dataclasses.replace(self.validation, data=own),
        )

    def smoke(self) -> PublishedRecipe:
        """Three steps of two samples."""
        return dataclasses.replace(self, batch=2, parts=2, max_steps=3, checkpoint_minutes=1.0)


def parse_published(file: RecipeFile, folder: Path) -> PublishedRecipe:
    """A recipe from what its file says; data paths start from `folder`.

    Raises `RecipeError` with the line of what is unknown, missing or wrong.
    """
    table = {name: value for name, value in file.values.items() if name != "kind"}
    table.setdefault("augment", {})
    with file.naming_lines():
        try:
            recipe = build(PublishedRecipe, table)
        except RecipeError as error:
            if error.key:
                raise
            raise RecipeError(
                f"It is no recipe of kind “{KIND}”: {error} Compare it with "
                f"{FOLDER / 'pretrain.toml'}."
            ) from error
    return recipe.below(folder)
