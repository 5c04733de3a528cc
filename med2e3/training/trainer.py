"""The training loop: steps, schedule, checkpoints, log and progress of one stage.

A step's global batch is made of micro-batches, the `parts` of a recipe. What a micro-batch holds,
and what is random in it, follows from seed, step and its index alone. The loss of a step is the
mean over all that its micro-batches count. So neither the number of processes, nor gradient
accumulation, nor a stop and resume change it. Knows nothing of what is trained.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from med2e3.errors import Terminated
from med2e3.training.checkpointing import (
    restore,
    restore_sharded,
    save,
    save_sharded,
    save_weights,
)
from med2e3.training.distributed import Distributed
from med2e3.training.logs import Log
from med2e3.training.micro_batch import MicroBatch
from med2e3.training.optimizers import OPTIMIZERS, Schedule
from med2e3.training.stage_recipe import StageRecipe
from med2e3.training.stopping import Termination
from med2e3.training.validating import BEST, LOSSES, Losses, Validation

#: How often a checkpoint is written. Writing takes a tenth of a second.
CHECKPOINT_SECONDS = 60.0

Report = Callable[[int, int, dict[str, float]], None]
Numbers = dict[str, float]


class Stage(Protocol):
    """Something that learns: a module, and the loss of a step."""

    @property
    def name(self) -> str:
        """Names checkpoint and log."""
        ...

    @property
    def module(self) -> nn.Module:
        """What is trained."""
        ...

    def loss(self, content: Any) -> tuple[Tensor, Numbers]:
        """The mean loss over what a micro-batch counts, and numbers for the log.

        Where a stage has no `steps` of its own, `content` is a `numpy.random.Generator` with which
        it draws a batch.
        """
        ...


@runtime_checkable
class DatasetStage(Protocol):
    """A stage whose batches come from a data set, and whose every loss uses all its parameters."""

    def steps(self, first: int, last: int, indices: Sequence[int]) -> Iterator[list[MicroBatch]]:
        """For every step from `first` up to `last`, its micro-batches of these indices."""
        ...


@dataclass(frozen=True)
class Run:
    """Where and how a stage runs; without `distributed`, in this process alone.

    `checkpoint_seconds` None is `CHECKPOINT_SECONDS`. With `validation` the best step's weights are
    kept beside the checkpoint, in `NAME.best.pt`.
    """

    folder: Path
    seed: int
    resume: bool = True
    report: Report | None = None
    distributed: Distributed | None = None
    tensorboard: bool = False
    checkpoint_seconds: float | None = None
    validation: Validation | None = None


def rate(step: int, steps: int, schedule: Schedule | None = None) -> float:
    """Linear warm-up, then a cosine down to the floor; a share of the peak learning rate."""
    shape = schedule or Schedule()
    warm = max(1, round(shape.warmup * steps))
    if step < warm:
        return (step + 1) / warm
    done = (step - warm) / max(1, steps - warm)
    return shape.floor + (1 - shape.floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def run_stage(stage: Stage, recipe: StageRecipe, run: Run) -> list[float]:
    """Trains until `recipe.steps`, or until validation ends it; returns the losses of the steps
    taken now.

    Raises `Terminated` after a SIGTERM, once the step is finished and its checkpoint written.
    """
    run.folder.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(stage, recipe, run)
    try:
        return trainer.train()
    finally:
        trainer.distributed.free_memory()


class _StageModule(nn.Module):
    """A stage as one module: what wraps modules (DDP, FSDP) sees its whole forward pass."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.module = stage.module
        self._loss = stage.loss

    def forward(self, content: Any) -> tuple[Tensor, Numbers]:
        return self._loss(content)


class Trainer:
    """One stage with everything that its steps need."""

    def __init__(self, stage: Stage, recipe: StageRecipe, run: Run) -> None:
        self.stage, self.recipe, self.run = stage, recipe, run
        self.distributed = run.distributed or Distributed()
        self.indices = self.distributed.share(recipe.parts, stage.name)
        self.uses_all_parameters = isinstance(stage, DatasetStage)
        self.path = run.folder / f"{stage.name}.pt"
        make = OPTIMIZERS[recipe.optimizer]
        optimizer = make(stage.module, recipe.learning_rate, recipe.schedule)
        alone = run.resume and not self.distributed.sharded
        self.first = restore(self.path, stage.module, optimizer) if alone else 0
        self.distributed.accelerator.step = 0
        # Known to the whole process: a stage that failed within a step leaves it off, and no
        # optimizer of a later stage would move anything.
        self.distributed.accelerator.gradient_state._set_sync_gradients(True)
        self.distributed.accelerator.gradient_accumulation_steps = (
            len(self.indices) if self.uses_all_parameters else 1
        )
        self.model, self.optimizer = self.distributed.prepare(
            _StageModule(stage), optimizer, uses_all_parameters=self.uses_all_parameters
        )
        if run.resume and self.distributed.sharded:
            self.first = restore_sharded(self.path, self.distributed)
        self.losses: Losses | None = None
        if run.validation is not None:
            file = run.folder / f"{stage.name}{LOSSES}"
            self.losses = Losses(file, run.validation, self.first)
        self.termination = Termination()
        self.seconds = run.checkpoint_seconds
        self.saved_at = time.monotonic()

    def train(self) -> list[float]:
        """Takes all steps that are left; returns their losses."""
        losses: list[float] = []
        if self.losses and self.losses.over:
            return losses
        steps, done = self.recipe.steps, self.first
        self.model.train()
        with self._log() as log, self.termination:
            for step, micro_batches in enumerate(self._micro_batches(), self.first):
                self._set_rate(step)
                numbers, save_now = self._step(step, micro_batches)
                done = step + 1
                losses.append(numbers["loss"])
                if log:
                    log.write(step, numbers)
                if self.run.report and self.distributed.is_main_process:
                    self.run.report(done, steps, numbers)
                if self._validated(done):
                    break
                if save_now:
                    self._save(done)
                    self._end_if_asked(done)
        self._save(done)
        return losses

    def _end_if_asked(self, step: int) -> None:
        """Ends the run where SIGTERM asked any process to; its checkpoint is written."""
        if self.distributed.total([float(self.termination.asked)])[0]:
            raise Terminated(
                f"Stopped by SIGTERM after step {step} of {self.recipe.steps} of "
                f"{self.stage.name}; a checkpoint is written. Go on with --resume."
            )

    def _validated(self, step: int) -> bool:
        """Measures the validation loss where it is due; returns whether training is over by it."""
        if self.losses is None or not self.losses.due(step, self.recipe.steps):
            return False
        loss = self._validation_loss(self.losses.plan)
        if self.losses.note(step, loss, write=self.distributed.is_main_process):
            save_weights(
                self.run.folder / f"{self.stage.name}{BEST}", self.distributed, self.model,
                self.stage.module, step,
            )  # fmt: skip
        return self.losses.over

    @torch.no_grad()
    def _validation_loss(self, plan: Validation) -> float:
        """The mean loss over what the held-out samples count, without dropout.

        Each process computes its share; where none holds the whole model, all compute everything.
        """
        sharded = self.distributed.sharded
        rank, processes = (0, 1) if sharded else (self.distributed.rank, self.distributed.processes)
        torch.manual_seed(self.run.seed)
        total = count = 0.0
        self.model.eval()
        for batch in plan.held_out.batches(rank, processes):
            with self.distributed.accelerator.autocast():
                loss, _ = (self.model if sharded else self.stage.loss)(batch.content)
            total, count = total + float(loss) * batch.count, count + batch.count
        self.model.train()
        if not sharded:
            total, count = self.distributed.total([total, count])
        return total / count if count else math.nan

    def _log(self) -> AbstractContextManager[Log | None]:
        if not self.distributed.is_main_process:
            return nullcontext()
        run = self.run
        return Log(run.folder, self.stage.name, self.first, tensorboard=run.tensorboard)

    def _micro_batches(self) -> Iterator[list[MicroBatch]]:
        """For every step that is left, this process's micro-batches."""
        first, last = self.first, self.recipe.steps
        if isinstance(self.stage, DatasetStage):
            yield from self.stage.steps(first, last, self.indices)
            return
        seed = self.run.seed
        for step in range(first, last):
            yield [MicroBatch(np.random.default_rng([seed, step, k])) for k in self.indices]

    def _set_rate(self, step: int) -> None:
        """Sets the learning rate of a step."""
        share = rate(step, self.recipe.steps, self.recipe.schedule)
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * share

    def _checkpoint_is_due(self) -> bool:
        """Whether this process finds that a checkpoint should be written."""
        if self.termination.asked:
            return True
        wait = CHECKPOINT_SECONDS if self.seconds is None else self.seconds
        return self.distributed.is_main_process and time.monotonic() - self.saved_at > wait

    def _step(self, step: int, micro_batches: list[MicroBatch]) -> tuple[Numbers, bool]:
        """Takes one step; returns its numbers, and whether a checkpoint is due in any process."""
        own = sum(micro_batch.count for micro_batch in micro_batches)
        count, save_now = self.distributed.total([own, float(self._checkpoint_is_due())])
        self.optimizer.zero_grad(set_to_none=True)
        means = _WeightedMeans()
        for k, micro_batch in zip(self.indices, micro_batches, strict=True):
            torch.manual_seed(self.run.seed * 1_000_003 + step + k * 500_000_003)
            share = micro_batch.count / count
            with self._accumulating():
                loss, numbers = self.model(micro_batch.content)
                self.distributed.accelerator.backward(loss * (share * self._undo_averaging()))
            means.add(share, {"loss": float(loss.detach()), **numbers})
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self.distributed.accelerator.clip_grad_norm_(trained, self.recipe.schedule.clip_norm)
        self.optimizer.step()
        return means.reduce(self.distributed), save_now > 0

    def _accumulating(self) -> AbstractContextManager[Any]:
        """Has processes exchange gradients after a step's last micro-batch, where that is safe.

        Where a parameter may sit out a micro-batch, its gradient of an earlier one would never be
        exchanged: then the processes exchange after every micro-batch.
        """
        if not self.uses_all_parameters:
            return nullcontext()
        return self.distributed.accelerator.accumulate(self.model)  # type: ignore[no-any-return]

    def _undo_averaging(self) -> float:
        """Gradients are to be summed; wrapped modules and accelerate average them."""
        return float(
            self.distributed.processes * self.distributed.accelerator.gradient_accumulation_steps
        )

    def _save(self, step: int) -> None:
        if self.distributed.sharded:
            save_sharded(self.path, self.distributed, self.model, step)
        elif self.distributed.is_main_process:
            save(self.path, self.stage.module, self.optimizer, step)
        self.saved_at = time.monotonic()


class _WeightedMeans:
    """A step's numbers as weighted means over its micro-batches; NaN counts for nothing."""

    def __init__(self) -> None:
        self.sums: dict[str, list[float]] = {}

    def add(self, weight: float, numbers: Numbers) -> None:
        """Adds the numbers of one micro-batch."""
        for name, value in numbers.items():
            pair = self.sums.setdefault(name, [0.0, 0.0])
            if not math.isnan(value) or name == "loss":
                pair[0] += weight * value
                pair[1] += weight

    def reduce(self, distributed: Distributed) -> Numbers:
        """The means over all processes; all of them have the same names."""
        flat = distributed.total([value for pair in self.sums.values() for value in pair])
        pairs = zip(self.sums, flat[::2], flat[1::2], strict=True)
        return {name: total / weight if weight else math.nan for name, total, weight in pairs}
