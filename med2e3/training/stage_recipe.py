"""What a recipe says of one stage: the keys that every stage has. Each stage adds its own.

Knows nothing of the steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Self

from med2e3.errors import RecipeError
from med2e3.fields import Between, Count, NotNegative, OneOf, check_fields
from med2e3.phantoms.language import EVERY_TOPIC
from med2e3.training.optimizers import OPTIMIZERS, Schedule

#: How often each topic is asked, in proportion.
Mix = dict[Annotated[str, OneOf(EVERY_TOPIC)], NotNegative]

#: Steps of a stage in a run that only shows that everything works.
SMOKE_STEPS = 3


@dataclass(frozen=True)
class StageRecipe:
    """One stage. `learning_rate` is the peak; `optimizer` is a name in `OPTIMIZERS`.

    The batch of a step is made of `parts` micro-batches. The processes of a run share them; each
    process computes its own one after the other.
    """

    name: str
    steps: Count
    learning_rate: Annotated[float, Between(0, above=True)]
    parts: Count = field(default=1, kw_only=True)
    optimizer: str = field(default="adamw", kw_only=True)
    schedule: Schedule = field(default_factory=Schedule, kw_only=True)

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise RecipeError(
                f"The stage “{self.name}” names the optimizer “{self.optimizer}”, which there is "
                f"not. Name one of: {', '.join(OPTIMIZERS)}.",
                ("optimizer",),
            )
        check_fields(self)

    def smoke(self) -> Self:
        """The same stage in a few steps."""
        return replace(self, steps=SMOKE_STEPS)

    def micro_batch(self) -> str:
        """What one micro-batch holds, in words: "32 texts"."""
        return "samples"

    def batch(self) -> str:
        """What one step holds, in words: "2 parts of 32 texts"."""
        each = self.micro_batch()
        return each if self.parts == 1 else f"{self.parts} parts of {each}"


def check_mix(mix: Mapping[str, float]) -> None:
    """Raises `RecipeError` for a mix that asks nothing."""
    if not sum(mix.values()) > 0:
        raise RecipeError("mix must give at least one topic a share above 0.", ("mix",))
