"""How a recipe is run on this computer: what the command line's options say.

Knows nothing of what a recipe says.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

#: Options that recipes of kind "med2e3" alone read.
OF_MED2E3 = ("validation", "validate_every", "patience")


@dataclass(frozen=True)
class Options:
    """How a recipe is run here.

    `mixed_precision` None is the recipe's own. The rest is for recipes that train on prepared
    volumes: `data` is the folder that their paths start from, `start` a model to start from in
    place of the recipe's, `hub` a folder of models in `owner/name` folders, `workers` how many
    processes read ahead; `skip_damaged` counts and lists what cannot be used, in place of stopping;
    `prompts` is a file of requests for reports, in place of the recipe's; `lora` is the rank of
    adapters to train in place of the language model's weights, 0 as the recipe says. `validation`
    is the share of volumes to hold out, 0 as the recipe says; `validate_every` and `patience` are
    in place of the recipe's where they are not None. `keep_sides` neither flips nor turns volumes
    whose texts say left or right. `stages` are those of a recipe on phantoms to run alone; none is
    all.
    """

    mixed_precision: str | None = None
    cpu: bool = False
    tensorboard: bool = False
    data: Path = Path()
    start: str = ""
    hub: Path | None = None
    workers: int = 0
    skip_damaged: bool = False
    prompts: Path | None = None
    lora: int = 0
    validation: float = 0.0
    validate_every: int | None = None
    patience: int | None = None
    keep_sides: bool = False
    stages: tuple[str, ...] = ()

    def unread_of_phantoms(self) -> str:
        """What was chosen that recipes on phantoms do not read: "start, hub"; empty: nothing."""
        names = (
            "data", "start", "hub", "workers", "skip_damaged", "prompts", "lora", "keep_sides",
            *OF_MED2E3,
        )  # fmt: skip
        return self.changed(names)

    def changed(self, names: tuple[str, ...]) -> str:
        """Those of the options that were chosen: "start, hub"; empty: none."""
        return ", ".join(name for name in names if getattr(self, name) != getattr(Options(), name))
