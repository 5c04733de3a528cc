"""Making a model: recipes, phantoms as training data, stages, checkpoints.

`train` runs a whole recipe; `med2e3.training.running` has its steps one by one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from med2e3.training.loop import Report

__all__ = ["train"]


def train(
    recipe: str | Path,
    out: str | Path,
    *,
    resume: bool = False,
    smoke: bool = False,
    report: Report | None = None,
) -> Path:
    """Trains a recipe ("demo", or a TOML file) in the folder `out`; returns the model's folder.

    `resume` goes on from what is in `out`; without it, `out` must be empty. `smoke` runs the same
    code on a handful of phantoms. `report(step, steps, numbers)` is told of every step; without it
    a progress bar shows them. Raises `InputError` for an unknown recipe or a folder in use.
    """
    from med2e3.errors import InputError
    from med2e3.training.progress import shown
    from med2e3.training.recipe import load_recipe
    from med2e3.training.running import Workshop, run_all

    chosen = load_recipe(recipe)
    folder = Path(out)
    if not resume and folder.is_dir() and any(folder.iterdir()):
        raise InputError(
            f"The folder {folder} is not empty. Resume the run that is in it, or name another one."
        )
    folder.mkdir(parents=True, exist_ok=True)
    shop = Workshop(chosen.smoke() if smoke else chosen, folder)
    with shown(report) as told:
        return run_all(shop, told, workers=1 if smoke else None)
