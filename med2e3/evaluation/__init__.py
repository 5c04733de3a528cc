"""Measuring a model: answers, pointing and text dependence on phantoms with known truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from med2e3.engine import Model
    from med2e3.evaluation.examining import Progress
    from med2e3.evaluation.figures import Results

__all__ = ["evaluate_phantoms"]


def evaluate_phantoms(
    model: str | Model, n: int, seed: int, *, progress: Progress | None = None
) -> Results:
    """Shows `n` phantoms that no training saw to a model (or the name of one) and counts.

    The same seed gives the same phantoms and questions. `progress(fraction, what)` is told after
    every batch. Raises `CheckpointError` for a model without slices and questions (M3D-CLIP, …).
    """
    from med2e3.evaluation.examining import examine
    from med2e3.evaluation.figures import count
    from med2e3.evaluation.subjects import subject_of

    subject = subject_of(model)
    return count(subject.name, seed, examine(subject, n, seed, progress))
