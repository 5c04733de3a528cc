"""Slice scores, each with the band of the volume that it weighs. Knows nothing of models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from med2e3.preprocessing import Band


@dataclass(frozen=True)
class ScoredBand:
    """A band, its weight, and that weight as a multiple of the uniform one."""

    band: Band
    weight: float
    times_uniform: float


@dataclass(frozen=True, eq=False)
class Scores:
    """The weights (S,) float32 with which the slices' 2D features are mixed; they sum to 1.

    `logits` (S,) are what the softmax made them of, also of slices that were left out.
    """

    values: NDArray[np.float32]
    bands: tuple[Band, ...]
    logits: NDArray[np.float32] | None = None

    @property
    def times_uniform(self) -> NDArray[np.float32]:
        """(S,) each weight as a multiple of 1/S."""
        return self.values * np.float32(len(self.values))

    @cached_property
    def effective_slices(self) -> float:
        """How many slices share the weight: the exponential of the entropy, 1 to S."""
        shares = self.values[self.values > 0].astype(np.float64)
        return float(np.exp(-(shares * np.log(shares)).sum()))

    def top(self, count: int) -> list[ScoredBand]:
        """The `count` bands of largest weight, largest first."""
        order = np.argsort(-self.values, kind="stable")[:count]
        return [self._scored(int(k)) for k in order]

    def _scored(self, k: int) -> ScoredBand:
        return ScoredBand(self.bands[k], float(self.values[k]), float(self.times_uniform[k]))


def scores_of(
    values: NDArray[np.float32],
    bands: Sequence[Band],
    logits: NDArray[np.float32] | None = None,
) -> Scores:
    """Scores of weights (S,) and their logits (S,), copied into read-only arrays."""
    return Scores(_fixed(values), tuple(bands), None if logits is None else _fixed(logits))


def _fixed(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """A read-only float32 copy."""
    fixed = np.array(values, dtype=np.float32)
    fixed.setflags(write=False)
    return fixed
