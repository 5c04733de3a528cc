"""Whether a model is as sure as it is right: reliability table and expected calibration error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from med2e3.evaluation.intervals import Estimate, Float, estimate_sums

#: Bins of equal width over 0..1, as is usual.
BINS = 10

#: One answer: how probable the model found it, and whether it was right.
Said = tuple[float, bool]


@dataclass(frozen=True)
class Bin:
    """Answers whose probability lies in low..high: how sure, and how often right."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float

    def as_dict(self) -> dict[str, float]:
        """For JSON."""
        return {k: round(v, 4) for k, v in asdict(self).items()}


def calibration_error(groups: Sequence[Sequence[Said]]) -> Estimate | None:
    """Expected calibration error: mean |confidence − accuracy| over bins, weighed by their size."""
    sums = np.array([_sums(group) for group in groups if group]).reshape(-1, 3 * BINS)
    return estimate_sums(sums, _error, int(sums[:, 2 * BINS :].sum()))


def reliability(groups: Sequence[Sequence[Said]]) -> tuple[Bin, ...]:
    """The bins that hold an answer, from unsure to sure."""
    total = np.sum([_sums(group) for group in groups], axis=0) if groups else np.zeros(3 * BINS)
    rows = zip(*np.split(total, 3), strict=True)
    return tuple(
        Bin(k / BINS, (k + 1) / BINS, int(n), float(sure / n), float(right / n))
        for k, (sure, right, n) in enumerate(rows)
        if n
    )


def _sums(group: Sequence[Said]) -> Float:
    """By bin: confidences, right answers, answers; one after the other (3 × BINS)."""
    sums = np.zeros((3, BINS))
    for sure, right in group:
        place = min(BINS - 1, int(sure * BINS))
        sums[:, place] += (sure, right, 1)
    return sums.reshape(-1)


def _error(sums: Float) -> Float:
    sure, right, count = np.split(sums, 3, axis=1)
    return np.asarray(np.abs(sure - right).sum(axis=1) / count.sum(axis=1))
