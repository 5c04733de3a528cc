"""Measuring a model: on phantoms with known truth, and on files of M3D-Bench."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from med2e3.engine import Model
    from med2e3.evaluation.examiner import Progress
    from med2e3.evaluation.figures import Results

__all__ = ["evaluate_phantoms"]


def evaluate_phantoms(
    model: str | Model,
    n: int,
    seed: int,
    *,
    progress: Progress | None = None,
    predictions: str | Path | None = None,
    workers: int = 1,
) -> Results:
    """Shows `n` phantoms that no training saw to a model (or the name of one) and counts.

    The same seed gives the same phantoms and questions. `progress(fraction, what)` is told after
    every phantom. `predictions` names a file that gets every answer as a line of JSON; `workers`
    processes share the work of a model given by name. Raises `CheckpointError`, `InputError`.
    """
    from med2e3.evaluation.parallel import ModelChoice
    from med2e3.evaluation.phantom_benchmark import PhantomTask, run

    chosen = ModelChoice(model) if isinstance(model, str) else model
    where = None if predictions is None else Path(predictions)
    return run(chosen, PhantomTask(n, seed, workers, where), progress)
