"""The training loop: steps, schedule, checkpoints, log and progress of one stage.

What a step sees depends on seed and step number alone, so a run that resumes goes on as if it had
never stopped. Knows nothing of what is trained.
"""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from med2e3.training.recipe import StageRecipe

#: Steps that the learning rate takes to rise, as a share of all.
WARMUP = 0.04
#: Where the cosine ends, as a share of the peak.
FLOOR = 0.02
WEIGHT_DECAY = 0.03
CLIP_NORM = 1.0
#: How often a checkpoint is written. Writing takes a tenth of a second.
CHECKPOINT_SECONDS = 60.0

Report = Callable[[int, int, dict[str, float]], None]


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

    def loss(self, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """The loss of one batch drawn with `rng`, and numbers for the log."""
        ...


@dataclass(frozen=True)
class Run:
    """Where and how a stage runs."""

    folder: Path
    seed: int
    resume: bool = True
    report: Report | None = None


def rate(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine down to `FLOOR`; a share of the peak learning rate."""
    warm = max(1, round(WARMUP * steps))
    if step < warm:
        return (step + 1) / warm
    done = (step - warm) / max(1, steps - warm)
    return FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def run_stage(stage: Stage, recipe: StageRecipe, run: Run) -> list[float]:
    """Trains until `recipe.steps`; returns the losses of the steps taken now."""
    run.folder.mkdir(parents=True, exist_ok=True)
    trained = [p for p in stage.module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(_groups(stage.module), lr=recipe.learning_rate, betas=(0.9, 0.98))
    path = run.folder / f"{stage.name}.pt"
    first = _resume(path, stage.module, optimizer) if run.resume else 0
    losses, saved = [], time.monotonic()
    stage.module.train()
    with _Log(run.folder / f"{stage.name}.csv", keep=first > 0) as log:
        for step in range(first, recipe.steps):
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * rate(step, recipe.steps)
            torch.manual_seed(run.seed * 1_000_003 + step)
            loss, numbers = stage.loss(np.random.default_rng([run.seed, step]))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(trained, CLIP_NORM)
            optimizer.step()
            losses.append(float(loss.detach()))
            log.write({"step": step, "loss": losses[-1], **numbers})
            if run.report:
                run.report(step + 1, recipe.steps, {"loss": losses[-1], **numbers})
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                save(path, stage.module, optimizer, step + 1)
                saved = time.monotonic()
    save(path, stage.module, optimizer, max(first, recipe.steps))
    return losses


def _groups(module: nn.Module) -> list[dict[str, Any]]:
    """Matrices decay; norms, biases and positions do not."""
    trained = [p for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": WEIGHT_DECAY},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]


def save(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
    """A checkpoint, complete or not at all."""
    unfinished = path.with_suffix(".part")
    state = {"module": module.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
    torch.save(state, unfinished)
    unfinished.rename(path)


def _resume(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    if not path.is_file():
        return 0
    state = torch.load(path, weights_only=True)
    module.load_state_dict(state["module"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


class _Log:
    """A CSV file with a row a step; its columns are those of the first row."""

    def __init__(self, path: Path, *, keep: bool) -> None:
        self._fresh = not (keep and path.is_file())
        self._stream = path.open("w" if self._fresh else "a", newline="", encoding="utf-8")
        self._writer: csv.DictWriter[str] | None = None

    def __enter__(self) -> _Log:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def write(self, row: dict[str, float]) -> None:
        """One row."""
        if self._writer is None:
            self._writer = csv.DictWriter(self._stream, list(row), extrasaction="ignore")
            if self._fresh:
                self._writer.writeheader()
        self._writer.writerow({k: round(v, 5) for k, v in row.items()})
        self._stream.flush()
