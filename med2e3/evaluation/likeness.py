"""Measures what phantoms are like in a model's features: `likeness.json` beside its weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from med2e3.engine import Model
from med2e3.engine.likeness import Likeness, fit, vector_of
from med2e3.errors import InputError
from med2e3.evaluation.examiner import phantom_seeds
from med2e3.phantoms import Wish, make_phantom

#: The share of the phantoms that mean and spread are taken from; the rest sets the limit.
FITTED = 2 / 3

#: Fewer phantoms say too little of the spread.
LEAST = 6


@dataclass(frozen=True)
class LikenessResults:
    """What was measured, and the distances of the phantoms that were kept apart."""

    likeness: Likeness
    distances: tuple[float, ...]

    def table(self) -> str:
        """One line."""
        low, high = min(self.distances), max(self.distances)
        return (
            f"{self.likeness.what}: {len(self.distances)} kept apart lie at {low:.2f} to "
            f"{high:.2f} of the spread; from {self.likeness.limit:.2f} on a volume is no phantom."
        )

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "what": self.likeness.what,
            "weights_sha256": self.likeness.weights_sha256,
            "limit": self.likeness.limit,
            "distances": list(self.distances),
        }


def measure(
    model: Model, count: int, seed: int, progress: Callable[[float, str], None] | None = None
) -> LikenessResults:
    """Reads so many phantoms of a seed.

    Raises `InputError` for too few of them, or a model without such features.
    """
    if count < LEAST:
        raise InputError(f"{count} phantoms say too little of their spread; take {LEAST} or more.")
    vectors = []
    for number, one in enumerate(phantom_seeds(count, seed), start=1):
        phantom = make_phantom(one, Wish(shape=model.info.grid_shape))
        session = model.read(phantom.volume, plane=phantom.plane)
        vector = vector_of(session.computed().features)
        if vector is None:
            raise InputError(f"The model {model.info.name} has no features to measure likeness in.")
        vectors.append(vector)
        if progress:
            progress(number / count, f"phantom {number} of {count}")
    rows, first = np.array(vectors), round(FITTED * count)
    found = fit(rows[:first], rows[first:], (model.info.weights_sha256, _what(count, seed)))
    return LikenessResults(found, tuple(found.distance(row) for row in rows[first:]))


def _what(count: int, seed: int) -> str:
    return f"{count} phantoms, seed {seed}"
