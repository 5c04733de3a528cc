"""What every stage on phantoms states about itself, so that recipes, dry runs and runs follow.

Knows nothing of a particular stage, nor of folders.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import ClassVar, Generic, Protocol, Self, TypeVar

import numpy as np
from torch import Tensor, nn

from med2e3.model import Med2E3ForConditionalGeneration, Med2E3Processor
from med2e3.training.data.features import Features
from med2e3.training.data.pool import Example
from med2e3.training.stage_recipe import StageRecipe

R = TypeVar("R", bound=StageRecipe)


class Reads(Enum):
    """What a stage trains on, which decides when it runs.

    Stages on texts and on phantoms start from the recipe's own model and run side by side; each
    stage on features goes on from all stages before it.
    """

    TEXTS = "texts"
    PHANTOMS = "phantoms"
    FEATURES = "features"


class StageData(Protocol):
    """What a stage may be built from; each is made when it is asked for."""

    def model(self) -> Med2E3ForConditionalGeneration:
        """The model as the stages before this one left it."""
        ...

    def processor(self) -> Med2E3Processor:
        """The tokenizer and prompt settings."""
        ...

    def phantoms(self) -> list[Example]:
        """The phantoms that the stage sees; without their grids for a stage on features."""
        ...

    def features(self) -> Features:
        """What the frozen encoders make of the same phantoms."""
        ...


class PhantomStage(ABC, Generic[R]):
    """A stage that trains on phantoms; a row of `STAGES` gives it its name in recipes.

    `recipe_class` are the keys of its table in a recipe. `modules` are the parts of the model that
    it holds: name in `module`, and so in its checkpoint, → attribute of the model; the name "" is
    `module` itself.
    """

    recipe_class: ClassVar[type[StageRecipe]]
    reads: ClassVar[Reads]
    modules: ClassVar[Mapping[str, str]]

    name: str
    module: nn.Module

    @classmethod
    def frozen(cls, recipe: R) -> tuple[str, ...]:
        """Attributes of the model that the stage uses as they are; none, unless it says so."""
        return ()

    @classmethod
    def trained(cls, recipe: R) -> tuple[str, ...]:
        """Attributes of the model that the stage trains."""
        frozen = cls.frozen(recipe)
        return tuple(part for part in cls.modules.values() if part not in frozen)

    @classmethod
    @abstractmethod
    def build(cls, recipe: R, data: StageData) -> Self:
        """The stage with its data and its parts of the model."""

    @abstractmethod
    def loss(self, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """The mean loss of a micro-batch drawn with `rng`, and numbers for the log."""

    def finish(self, folder: Path) -> None:
        """What the stage measures and writes after its last step; nothing, unless it says so."""
