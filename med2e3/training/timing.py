"""Times of training on this machine, each beside an alternative in the same run.

A step of a recipe of M3D beside the same step in plain PyTorch, and questions an hour by a local
language model. CPU seconds are taken where others may use the machine, too.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from med2e3.checkpoints.building import quietly
from med2e3.engine.writer import LocalWriter
from med2e3.errors import InputError
from med2e3.phantoms.facts import draw_facts, report
from med2e3.training import open_recipe
from med2e3.training.data.questions import TYPES, Report, make_questions
from med2e3.training.m3d_recipe import M3DRecipe
from med2e3.training.micro_batch import MicroBatch
from med2e3.training.options import Options
from med2e3.training.stages.m3d import open_stage
from med2e3.training.trainer import Run, run_stage

#: Steps and calls whose median counts; the first of each is a warm-up beside them.
STEPS, CALLS = 8, 3

#: Batches of texts that a model writes, and tokens of each text at most.
BATCHES, NEW_TOKENS = (1, 8), 256


@dataclass(frozen=True)
class Timed:
    """One figure: seconds of ours and of the alternative, None where it is not installed."""

    what: str
    ours: float
    other: float | None
    against: str

    def line(self) -> str:
        """A row of a Markdown table."""
        other = "" if self.other is None else f"{1000 * self.other:.4g}"
        ratio = "" if not self.other else f"{self.ours / self.other:.3f}"
        return f"| {self.what} | {1000 * self.ours:.4g} | {other} | {ratio} | {self.against} |"


@dataclass(frozen=True)
class Times:
    """All figures; `rates` are items an hour of what is written, by batch."""

    timed: tuple[Timed, ...]
    rates: dict[int, float]
    written: str = "captions"

    def table(self) -> str:
        """Markdown."""
        lines = ["| what | ms | alternative, ms | ratio | alternative |", "|---|---|---|---|---|"]
        lines += [one.line() for one in self.timed]
        lines += [
            f"| {self.written} an hour, batch {batch}: {rate:,.0f} | | | | |"
            for batch, rate in self.rates.items()
        ]
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "timed": [asdict(one) for one in self.timed], f"{self.written}_an_hour": self.rates
        }  # fmt: skip


def median_seconds(call: Callable[[], Any]) -> float:
    """CPU seconds of a call: the median of `CALLS` after a first one."""
    found = []
    for _ in range(CALLS + 1):
        began = time.process_time()
        call()
        found.append(time.process_time() - began)
    return statistics.median(found[1:])


class Turns:
    """CPU seconds of steps of ours and of a plain loop's, taken in turns.

    What else the machine does falls on both.
    """

    def __init__(self, plain: Callable[[int], None]) -> None:
        self.plain = plain
        self.ours: list[float] = []
        self.others: list[float] = []
        self._clock = time.process_time()

    def start(self) -> None:
        """The clock of our first step."""
        self._clock = time.process_time()

    def __call__(self, step: int, steps: int, numbers: dict[str, float]) -> None:
        """Told of a step of ours, takes one of the other's."""
        self.ours.append(time.process_time() - self._clock)
        self.start()
        self.plain(step)
        self.others.append(time.process_time() - self._clock)
        self.start()

    def timed(self, what: str) -> Timed:
        """The medians after the first step."""
        ours, others = (statistics.median(part[1:]) for part in (self.ours, self.others))
        return Timed(what, ours, others, "plain PyTorch loop")


def time_recipe(recipe: str | Path, options: Options) -> Timed:
    """CPU seconds of a step of a recipe of M3D by the training loop, and in plain PyTorch.

    Both start from the same weights and read the same samples. Raises `InputError` for a recipe of
    another kind.
    """
    opened = open_recipe(recipe, options)
    if not isinstance(opened, M3DRecipe):
        raise InputError(
            f"{recipe} is no recipe of M3D-CLIP or M3D-LaMed, whose steps are timed. Name one, as "
            "m3d-clip or lamed-instruct; Med3DInsight is timed by the folder of its run."
        )
    kept = replace(opened, max_steps=STEPS + 1)
    with quietly():
        ours, other = (open_stage(kept, options)[0] for _ in range(2))
    plan = kept.plan(len(ours.dataset))
    turns = Turns(_plain_step(other, kept))
    with tempfile.TemporaryDirectory() as place, quietly():
        turns.start()
        run_stage(ours, plan, Run(Path(place), kept.seed, report=turns))
    return turns.timed(f"training step of {kept.name}, {kept.batch} samples in {kept.parts} parts")


def _plain_step(stage: Any, recipe: M3DRecipe) -> Callable[[int], None]:
    """The same samples and losses without the training loop: what a short script would hold."""
    parameters = [p for p in stage.module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, recipe.learning_rate)
    batches = stage.steps(0, STEPS + 1, range(recipe.parts))
    stage.module.train()

    def step(number: int) -> None:
        micro: Sequence[MicroBatch] = next(batches)
        whole = sum(one.count for one in micro)
        optimizer.zero_grad(set_to_none=True)
        for one in micro:
            loss, _ = stage.loss(one.content)
            (loss * (one.count / whole)).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()

    return step


def time_questions(folder: Path) -> dict[int, float]:
    """Questions an hour of computing that `data questions` asks a model for, by batch.

    They count as wanted, whether kept or rejected: what is rejected was written, too.
    """
    rng = np.random.default_rng(0)
    reports = [Report(f"{k}.npy", report(draw_facts(rng))) for k in range(max(BATCHES))]
    rates = {}
    for batch in BATCHES:
        writer = LocalWriter(folder, max_new_tokens=NEW_TOKENS, batch=batch, device="cpu")
        took = median_seconds(partial(_ask_about, reports[:batch], writer))
        rates[batch] = 3600 * batch * len(TYPES) / took
    return rates


def _ask_about(reports: Sequence[Report], writer: LocalWriter) -> None:
    with tempfile.TemporaryDirectory() as place:
        make_questions(reports, writer, Path(place) / "q.csv", batch=len(reports))
