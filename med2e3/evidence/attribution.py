"""Measures of whether weights of slices say what an output depends on. Knows no models.

An output is a function of the slices that are kept: `predict` takes a boolean array (B, S), True
where a slice is kept, and returns (B,) numbers. Names and definitions are the field's; where
Quantus (Hedström et al. 2023) has the same measure, its numbers are recorded beside the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Kept = NDArray[np.bool_]
Predict = Callable[[Kept], Float]

#: Spread of values below this share of their size is rounding; nothing correlates with it.
SMALLEST_SPREAD = 1e-12


def descending(weights: Float) -> NDArray[np.intp]:
    """Slices by weight, largest first; equal ones in their order."""
    return np.argsort(-np.asarray(weights), kind="stable")


def deletion_rows(order: Sequence[int] | NDArray[np.intp]) -> Kept:
    """(S, S): row k keeps all but the first k slices of `order`; one is kept to the end."""
    count = len(order)
    kept = np.ones((count, count), dtype=bool)
    for k in range(1, count):
        kept[k, list(order[:k])] = False
    return kept


def insertion_rows(order: Sequence[int] | NDArray[np.intp]) -> Kept:
    """(S, S): row k keeps the first k + 1 slices of `order` alone."""
    count = len(order)
    kept = np.zeros((count, count), dtype=bool)
    for k in range(count):
        kept[k, list(order[: k + 1])] = True
    return kept


def deletion_curve(predict: Predict, order: Sequence[int] | NDArray[np.intp]) -> Float:
    """The output (S,) while slices are removed in `order`: all of them kept first."""
    return predict(deletion_rows(order))


def insertion_curve(predict: Predict, order: Sequence[int] | NDArray[np.intp]) -> Float:
    """The output (S,) while slices are put in, in `order`: one first, in the end all."""
    return predict(insertion_rows(order))


def aopc(curve: Float) -> float:
    """Area over the perturbation curve: the mean fall since its start (Samek et al. 2017, eq. 12).

    0 where removing slices changes nothing; large where the first ones removed mattered.
    """
    return float(np.mean(curve[0] - curve))


def area(curve: Float) -> float:
    """The mean output over a curve: high for a good insertion, low for a good deletion."""
    return float(np.mean(curve))


def correlation(first: Float, second: Float) -> float:
    """Pearson's r; NaN where one side does not vary."""
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if min(np.ptp(a), np.ptp(b)) <= SMALLEST_SPREAD * max(1.0, np.abs(a).max(), np.abs(b).max()):
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def rank_correlation(first: Float, second: Float) -> float:
    """Spearman's ρ; NaN where one side does not vary."""
    from scipy import stats  # takes longer to import than all else here

    if min(np.ptp(first), np.ptp(second)) == 0:
        return float("nan")
    return float(stats.spearmanr(first, second).statistic)


def falls(predict: Predict, subsets: Kept) -> Float:
    """How far the output falls when the slices that are True in each row (B, S) are removed."""
    whole = np.ones((1, subsets.shape[1]), dtype=bool)
    values = predict(np.concatenate([whole, ~subsets]))
    return np.asarray(values[0] - values[1:], np.float64)


def faithfulness_correlation(weights: Float, predict: Predict, subsets: Kept) -> float:
    """R between the weight that a subset has and the fall without it (Bhatt et al. 2020, def. 1).

    `subsets` (B, S) are of one size, drawn at random.
    """
    sums = (subsets * np.asarray(weights, np.float64)).sum(axis=1)
    return correlation(sums, falls(predict, subsets))


def sensitivity_n(weights: Float, predict: Predict, by_size: Sequence[Kept]) -> list[float]:
    """`faithfulness_correlation` for each size n of subsets (Ancona et al. 2018, eq. 5)."""
    return [faithfulness_correlation(weights, predict, subsets) for subsets in by_size]


def random_subsets(count: int, size: int, draws: int, rng: np.random.Generator) -> Kept:
    """(draws, count): True for `size` slices of each row, drawn without putting back."""
    order = rng.random((draws, count)).argsort(axis=1)
    return np.asarray(order < size)


def pointing_game(weights: Float, held: Kept) -> float:
    """1 where the slice of highest weight is one that holds the object, else 0 (Zhang 2018)."""
    return float(held[int(np.argmax(weights))])


def mass_accuracy(weights: Float, held: Kept) -> float:
    """The share of all weight that lies on the object (Arras et al. 2022)."""
    total = float(np.sum(weights))
    return float(np.sum(np.asarray(weights)[held])) / total if total else float("nan")


def rank_accuracy(weights: Float, held: Kept) -> float:
    """Of as many top slices as hold the object, the share that does (Arras et al. 2022)."""
    return top_k_hits(weights, held, int(held.sum()))


def top_k_hits(weights: Float, held: Kept, k: int) -> float:
    """The share of the k slices of highest weight that hold the object (Theiner et al. 2021)."""
    return float(held[descending(weights)[:k]].mean()) if k else float("nan")


def total_variation(first: Float, second: Float) -> float:
    """Half the sum of differences of two rows that sum to 1: 0 for equal, 1 for disjoint ones."""
    return float(np.abs(np.asarray(first) - np.asarray(second)).sum() / 2)
