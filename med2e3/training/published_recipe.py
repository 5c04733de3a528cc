"""Recipes that train the whole Med-2E3 on prepared volumes, as published.

Knows nothing of steps.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from med2e3.errors import InputError
from med2e3.model.prompts import TEMPLATES
from med2e3.training.data.augment import Augmentation
from med2e3.training.data.formats import SampleFile
from med2e3.training.distributed import PRECISIONS
from med2e3.training.optimizers import Schedule
from med2e3.training.recipe import StageRecipe

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
class PublishedRecipe:
    """One stage. A step has `batch` samples in `parts` parts; each process takes its share of them
    one after the other, so more parts need less memory and give the same losses.

    `text_encoder_dropout` keeps the dropout of the frozen text encoder active, as in the published
    training. `seed` decides new weights, order, augmentation and dropout.
    """

    name: str
    seed: int
    epochs: float
    batch: int
    parts: int
    learning_rate: float
    template: str
    context_length: int
    train: tuple[str, ...]
    start: Mapping[str, str]
    data: tuple[SampleFile, ...]
    augment: Augmentation
    warmup: float = 0.03
    weight_decay: float = 0.0
    mixed_precision: str = "bf16"
    gradient_checkpointing: bool = True
    text_encoder_dropout: bool = True
    checkpoint_minutes: float = 30.0
    max_steps: int = 0

    def __post_init__(self) -> None:
        unknown = [name for name in self.train if name not in PARTS]
        if unknown or not self.train:
            raise InputError(f"train = {list(self.train)} must name parts of: {', '.join(PARTS)}.")
        if self.template not in TEMPLATES:
            raise InputError(f"template = “{self.template}” is not one of: {', '.join(TEMPLATES)}.")
        if self.mixed_precision not in PRECISIONS:
            raise InputError(
                f"mixed_precision = “{self.mixed_precision}” is not one of: "
                f"{', '.join(PRECISIONS)}."
            )
        if set(self.start) not in (WHOLE, PIECES):
            raise InputError(
                "start must name either `model`, or "
                f"{', '.join(f'`{piece}`' for piece in sorted(PIECES))}; it names "
                f"{', '.join(self.start) or 'nothing'}."
            )
        if self.batch < 1 or self.parts < 1 or self.batch % self.parts:
            raise InputError(
                f"batch = {self.batch} samples cannot be cut into parts = {self.parts} equal parts."
            )

    def steps(self, samples: int) -> int:
        """How many steps so many samples make."""
        whole = math.ceil(self.epochs * samples / self.batch)
        return min(whole, self.max_steps) if self.max_steps else whole

    def stage(self, samples: int) -> StageRecipe:
        """The loop's view of it. AdamW's other numbers are those of transformers' Trainer."""
        schedule = Schedule(
            warmup=self.warmup, floor=0.0, weight_decay=self.weight_decay, betas=(0.9, 0.999)
        )
        return StageRecipe(
            self.name, self.steps(samples), self.learning_rate, {}, self.parts, schedule
        )

    def smoke(self) -> PublishedRecipe:
        """Three steps of two samples."""
        return dataclasses.replace(self, batch=2, parts=2, max_steps=3, checkpoint_minutes=1.0)


def parse_published(said: Mapping[str, Any], path: Path, folder: Path) -> PublishedRecipe:
    """A recipe from what its file says; data paths start from `folder`.

    Raises `InputError` naming what is missing or unknown.
    """
    fields = {k: v for k, v in said.items() if k != "kind"}
    try:
        fields["data"] = tuple(_source(entry, folder) for entry in fields["data"])
        fields["augment"] = Augmentation(**fields.get("augment", {}))
        fields["train"] = tuple(fields["train"])
        return PublishedRecipe(**fields)
    except (KeyError, TypeError) as error:
        said_so = str(error).replace("PublishedRecipe.__init__() ", "")
        raise InputError(
            f"{path} is no recipe of kind “{KIND}”: {said_so}. Compare it with "
            f"{Path(__file__).parent / 'recipes' / 'pretrain.toml'}."
        ) from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _source(entry: Mapping[str, Any], folder: Path) -> SampleFile:
    rest = {k: v for k, v in entry.items() if k not in ("file", "images")}
    images = folder / entry.get("images", ".")
    return SampleFile(file=folder / entry["file"], images=images, **rest)
