"""Figures with their 95 % intervals: bootstrap over clusters, which are cases.

Questions about one case, be it a phantom or several series with one text, stand or fall together,
so cases are what is drawn again. Every figure here is a function of sums over clusters, so that all
resamplings are one matrix product. Knows nothing of what was counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

#: Values by cluster: one inner sequence a case.
Groups = Sequence[Sequence[float]]

#: How many resamplings an interval rests on, and the seed that makes it repeatable.
RESAMPLES, SEED = 2000, 0

#: What lies outside a 95 % interval at either end.
TAIL = 0.025


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval, the number of values behind it, and what chance gives."""

    value: float
    low: float
    high: float
    count: int
    chance: float | None = None

    def as_dict(self) -> dict[str, float | int | None]:
        """For JSON, to four decimals."""
        rounded = {k: round(getattr(self, k), 4) for k in ("value", "low", "high")}
        chance = None if self.chance is None else round(self.chance, 4)
        return {**rounded, "count": self.count, "chance": chance}


def estimate_sums(
    sums: Float,
    statistic: Callable[[Float], Float],
    count: int,
    chance: float | None = None,
    *,
    share: bool = False,
) -> Estimate | None:
    """A statistic of column sums: `sums` (clusters, K); `statistic` maps (N, K) to (N,).

    Resamplings where it is not finite (no "yes" was drawn, say) are left out. None where there is
    nothing to count or the statistic itself is not finite. For a `share` that is 1 or 0 in every
    resampling, these cannot say how sure that is: the open end is then the exact
    (Clopper–Pearson) bound for as many clusters.
    """
    if not len(sums) or not count:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(statistic(sums.sum(axis=0, keepdims=True))[0])
        if not np.isfinite(value):
            return None
        rng = np.random.default_rng(SEED)
        alike = np.full(len(sums), 1 / len(sums))
        drawn = rng.multinomial(len(sums), alike, RESAMPLES).astype(np.float64) @ sums
        found = statistic(drawn)
    found = found[np.isfinite(found)]
    low, high = (float(p) for p in np.percentile(found, [100 * TAIL, 100 * (1 - TAIL)]))
    if share and low == high == value and value in (0.0, 1.0):
        bound = TAIL ** (1 / len(sums))
        low, high = (bound, 1.0) if value else (0.0, 1 - bound)
    return Estimate(value, low, high, count, chance)


def estimate(groups: Groups, chance: float | None = None) -> Estimate | None:
    """The mean of all values, which is taken for a share (see `estimate_sums`) at 0 and 1."""
    held = [np.asarray(group, np.float64) for group in groups if len(group)]
    if not held:
        return None
    sums = np.array([[group.sum(), len(group)] for group in held])
    return estimate_sums(sums, ratio_of(0, 1), int(sums[:, 1].sum()), chance, share=True)


def estimate_ratio(
    above: Groups, below: Groups, chance: float | None = None
) -> Estimate | None:  # fmt: skip
    """The sum of all values above by the sum of all below; clusters in the same order."""
    pairs = [(sum(a), sum(b), len(a)) for a, b in zip(above, below, strict=True) if len(a)]
    sums = np.array(pairs, np.float64).reshape(-1, 3)
    return estimate_sums(sums, ratio_of(0, 1), int(sums[:, 2].sum()), chance)


def estimate_by_topic(
    topics: Mapping[str, Groups], chances: Mapping[str, Sequence[float]] | None = None
) -> dict[str, Estimate]:
    """The mean of every topic, and over all: "macro" is the mean of the topics' means, "micro" that
    of all values. `topics` have the same clusters in the same order; `chances` hold every value's.
    """
    kept = {name: groups for name, groups in topics.items() if any(len(g) for g in groups)}
    chance = {name: mean((chances or {}).get(name, ())) for name in kept}
    found = {name: estimate(groups, chance[name]) for name, groups in kept.items()}
    if len(kept) > 1:
        columns = [[[sum(g), len(g)] for g in groups] for groups in kept.values()]
        sums = np.concatenate([np.array(c, np.float64) for c in columns], axis=1)
        count = int(sums[:, 1::2].sum())
        every = [c for name in kept for c in (chances or {}).get(name, ())]
        known = [c for c in chance.values() if c is not None]
        found["macro"] = estimate_sums(sums, _mean_of_ratios, count, mean(known), share=True)
        found["micro"] = estimate_sums(sums, _ratio_of_all, count, mean(every), share=True)
    return {name: figure for name, figure in found.items() if figure is not None}


def balanced_accuracy(
    truth: Sequence[Sequence[bool]], right: Sequence[Sequence[bool]]
) -> Estimate | None:
    """Mean of the accuracies on yes and on no; one inner sequence a cluster."""
    rows = []
    for said, ok in zip(truth, right, strict=True):
        yes = [r for t, r in zip(said, ok, strict=True) if t]
        no = [r for t, r in zip(said, ok, strict=True) if not t]
        rows.append([sum(yes), len(yes), sum(no), len(no)])
    sums = np.array(rows, np.float64).reshape(-1, 4)
    return estimate_sums(sums, _mean_of_ratios, int(sums[:, 1::2].sum()), 0.5, share=True)


def ratio_of(above: int, below: int) -> Callable[[Float], Float]:
    """The statistic of one column's sum by another's."""
    return lambda sums: sums[:, above] / sums[:, below]


def _mean_of_ratios(sums: Float) -> Float:
    """Columns are pairs (above, below); pairs with nothing below are left out of the mean."""
    ratios: Float = sums[:, 0::2] / sums[:, 1::2]
    kept = np.isfinite(ratios)
    return np.asarray(np.where(kept, ratios, 0).sum(1) / kept.sum(1))


def _ratio_of_all(sums: Float) -> Float:
    return np.asarray(sums[:, 0::2].sum(1) / sums[:, 1::2].sum(1))


def mean(values: Sequence[float]) -> float | None:
    """None of nothing."""
    return float(np.mean(values)) if len(values) else None
