"""What the tests let several processes do; imported by them by its name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from med2e3.errors import InputError
from med2e3.training.distributed import Distributed
from med2e3.training.stage_recipe import StageRecipe
from med2e3.training.trainer import Run, run_stage

PARTS, STEPS = 4, 12


class Sometimes:
    """Two layers; about half of a step's parts leave the second one out, as text alone does."""

    name = "sometimes"

    def __init__(self) -> None:
        torch.manual_seed(3)
        self.module: nn.Module = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
        self.used: list[bool] = []

    def loss(self, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        first, second = self.module.children()
        values = first(torch.from_numpy(rng.standard_normal((5, 4))).float())
        self.used.append(bool(rng.random() < 0.5))
        if self.used[-1]:
            values = second(values.tanh())
        dropped = nn.functional.dropout(values, 0.2)
        return dropped.square().mean(), {"second": 1.0 if self.used[-1] else float("nan")}


def train_sometimes(folder: Path) -> tuple[list[float], list[float]]:
    """Losses of every step, and the second layer's weights at the end."""
    stage = Sometimes()
    plan = StageRecipe(stage.name, STEPS, 1e-2, parts=PARTS)
    losses = run_stage(stage, plan, Run(folder, seed=1, distributed=Distributed()))
    return losses, [float(w) for p in stage.module.parameters() for w in p.detach().flatten()]


def fail_in_the_second() -> None:
    """The first waits for the second, which never comes."""
    distributed = Distributed()
    if distributed.rank == 1:
        raise InputError("There is no second helping. Take a first one.")
    distributed.accelerator.wait_for_everyone()
