"""Validation while a stage trains: the loss on samples held out, the best step, and an early stop.

Knows nothing of what is trained, or of what the samples are.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from med2e3.files import write_whole
from med2e3.training.micro_batch import MicroBatch

#: What the files of a stage's validation are called, behind its name.
LOSSES, BEST = ".validation.csv", ".best.pt"


class HeldOut(Protocol):
    """Samples that no step trains on."""

    def batches(self, rank: int, processes: int) -> Iterator[MicroBatch]:
        """The share of the process `rank` of so many, the same each time."""
        ...


@dataclass(frozen=True)
class Validation:
    """The loss on `held_out` every so many steps, and after the last one.

    After `patience` measurements in a row that are no better than the best one, training stops; 0
    never stops it.
    """

    held_out: HeldOut
    every: int
    patience: int = 0


@dataclass
class Losses:
    """The validation losses of a stage so far, by step, in `NAME.validation.csv` of its folder.

    Those of steps after `first`, which an earlier run left, are dropped: it goes on from there.
    """

    path: Path
    plan: Validation
    first: int = 0
    of_step: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.of_step = {k: v for k, v in read_losses(self.path).items() if k <= self.first}

    @property
    def best(self) -> float:
        """The smallest loss so far; infinite before the first one."""
        return min(self.of_step.values(), default=math.inf)

    @property
    def over(self) -> bool:
        """Whether the last `patience` measurements brought nothing better."""
        losses = list(self.of_step.values())
        best = losses.index(min(losses)) if losses else 0
        return 0 < self.plan.patience <= len(losses) - 1 - best

    def due(self, step: int, steps: int) -> bool:
        """Whether the loss is measured after so many steps of all."""
        return step % self.plan.every == 0 or step == steps

    def note(self, step: int, loss: float, *, write: bool) -> bool:
        """Adds a loss; returns whether it is the best so far. One process writes the file."""
        better = loss < self.best
        self.of_step[step] = loss
        if write:
            lines = [f"{k},{v:.9g}" for k, v in self.of_step.items()]
            write_whole(self.path, "\n".join(["step,loss", *lines, ""]))
        return better


def read_losses(path: Path) -> dict[int, float]:
    """What a file of validation losses holds; nothing where there is none."""
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if (row.get("step") or "").isdigit()]
    return {int(row["step"]): float(row["loss"]) for row in rows}
