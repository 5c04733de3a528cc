"""Figures of fine-tuned 3D encoders: Dice, HD95 and AUC, scratch beside pretrained, with intervals.

Both are measured on the same cases, so that their difference has an interval of its own. Knows
nothing of how the models were trained.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from med2e3.evaluation.figures import Results, Section
from med2e3.evaluation.intervals import (
    RESAMPLES,
    SEED,
    TAIL,
    Estimate,
    estimate_sums,
    ratio_of,
)

#: The starts that are compared.
SCRATCH, PRETRAINED = "scratch", "pretrained"

#: Surface distances are measured up to this percentile: HD95.
PERCENTILE = 95

#: Why a column of HD95 may be missing.
NO_SURFACES = "It needs MONAI, which is not installed (pip install 'med2e3[insight]')."


@dataclass(frozen=True)
class Setting:
    """One fine-tuning: of which task, how, from which start, with which share of the labels."""

    task: str
    mode: str
    start: str
    fraction: float
    seed: int

    @property
    def row(self) -> str:
        """Its row in a table: how, and with which share of the labels."""
        return f"{self.mode}, {100 * self.fraction:g} % of labels"


#: What one fine-tuning gave: for each case, numbers by name (None: the case cannot say).
Cases = Sequence[dict[str, float | None]]


def dice(truth: NDArray[np.bool_], said: NDArray[np.bool_]) -> float | None:
    """2 |A ∩ B| / (|A| + |B|); None where the truth is empty."""
    if not truth.any():
        return None
    return float(2 * (truth & said).sum() / (truth.sum() + said.sum()))


def hausdorff95(
    truth: NDArray[np.bool_], said: NDArray[np.bool_], spacing_mm: Sequence[float]
) -> float | None:
    """HD95 in mm by MONAI: of both ways between the surfaces, the larger 95th percentile.

    None where either mask is empty, which has no surface. Raises ImportError without MONAI.
    """
    import torch
    from monai.metrics import compute_hausdorff_distance

    if not (truth.any() and said.any()):
        return None
    a, b = (torch.from_numpy(mask)[None, None] for mask in (said, truth))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # MONAI calls itself as it deprecates it
        found = compute_hausdorff_distance(
            a, b, include_background=True, percentile=PERCENTILE, spacing=list(spacing_mm)
        )
    return float(found)


def overlap(
    truth: NDArray[np.uint8],
    said: NDArray[np.uint8],
    spacing_mm: Sequence[float],
    classes: Sequence[str],
    *,
    surfaces: bool,
) -> dict[str, float | None]:
    """Dice, and where `surfaces` are wanted HD95, of every class but the first (the background)."""
    found: dict[str, float | None] = {}
    for number, name in enumerate(classes[1:], 1):
        a, b = truth == number, said == number
        found[f"Dice {name}"] = dice(a, b)
        if surfaces:
            found[f"HD95 {name}"] = hausdorff95(a, b, spacing_mm)
    return found


def can_measure_surfaces() -> bool:
    """Whether HD95 can be computed here."""
    import importlib.util

    return importlib.util.find_spec("monai") is not None


def mean_by_case(runs: Sequence[Cases], name: str) -> list[tuple[float, int]]:
    """For each case, the sum over runs of what they say under this name, and how many say it."""
    rows = []
    for case in zip(*runs, strict=True):
        held = [value for one in case if (value := one.get(name)) is not None]
        rows.append((float(sum(held)), len(held)))
    return rows


def mean_estimate(runs: Sequence[Cases], name: str) -> Estimate | None:
    """The mean over cases and runs; cases are resampled."""
    rows = np.array(mean_by_case(runs, name), np.float64).reshape(-1, 2)
    return estimate_sums(rows, ratio_of(0, 1), int(rows[:, 1].sum()))


def difference(first: Sequence[Cases], second: Sequence[Cases], name: str) -> Estimate | None:
    """Mean of the second less mean of the first, over the cases of which both say something."""
    pairs = zip(mean_by_case(first, name), mean_by_case(second, name), strict=True)
    rows = [(b / m - a / n, 1.0) for (a, n), (b, m) in pairs if n and m]
    sums = np.array(rows, np.float64).reshape(-1, 2)
    return estimate_sums(sums, ratio_of(0, 1), len(rows))


def auc_tables(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> list[Any]:
    """For each column with positives and negatives: their rows, and who outranks whom.

    The last is (positives, negatives): 1 where the positive scores higher, ½ at a tie.
    """
    tables = []
    for column in range(truth.shape[1]):
        yes, no = np.flatnonzero(truth[:, column]), np.flatnonzero(~truth[:, column])
        if len(yes) and len(no):
            a, b = scores[yes, column][:, None], scores[no, column][None]
            tables.append((yes, no, (a > b) + 0.5 * (a == b)))
    return tables


def macro_auc(tables: Sequence[Any], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean AUC over columns when cases count `weights` (N, cases) times: (N,).

    A column of which a resampling has no positive or no negative is left out of its mean.
    """
    each = []
    with np.errstate(divide="ignore", invalid="ignore"):
        for yes, no, outranks in tables:
            a, b = weights[:, yes], weights[:, no]
            each.append(((a @ outranks) * b).sum(1) / (a.sum(1) * b.sum(1)))
        found = np.array(each)
        held = np.isfinite(found)
        return np.asarray(np.where(held, found, 0).sum(0) / held.sum(0))


def auc_estimates(
    first: Sequence[Cases], second: Sequence[Cases], truth: NDArray[np.bool_]
) -> tuple[Estimate | None, Estimate | None, Estimate | None]:
    """Macro AUC of both, and the difference second − first, with cases resampled alike.

    `truth` (cases, findings); each case of a run has a score by the finding's number as its name.
    None where no finding has both kinds of case.
    """
    count = len(truth)
    tables = [[auc_tables(_scores(run), truth) for run in runs] for runs in (first, second)]
    if not any(tables[0]) or not any(tables[1]):
        return None, None, None
    rng = np.random.default_rng(SEED)
    drawn = rng.multinomial(count, np.full(count, 1 / count), RESAMPLES).astype(np.float64)
    weights = np.concatenate([np.ones((1, count)), drawn])
    a, b = (np.mean([macro_auc(t, weights) for t in group], axis=0) for group in tables)
    return _interval(a, count, 0.5), _interval(b, count, 0.5), _interval(b - a, count, None)


def _scores(run: Cases) -> NDArray[np.float64]:
    return np.array([[case[str(k)] for k in range(len(case))] for case in run], np.float64)


def _interval(values: NDArray[np.float64], count: int, chance: float | None) -> Estimate:
    """From the figure itself, and then its resamplings."""
    found = values[1:][np.isfinite(values[1:])]
    low, high = (float(p) for p in np.percentile(found, [100 * TAIL, 100 * (1 - TAIL)]))
    return Estimate(float(values[0]), low, high, count, chance)


def transfer_results(
    model: str,
    what: str,
    settings: dict[str, Any],
    runs: dict[Setting, Cases],
    truth: NDArray[np.bool_] | None,
) -> Results:
    """All fine-tunings as tables: a row a share of labels, scratch beside pretrained."""
    figures: dict[str, Estimate] = {}
    sections: list[Section] = []
    missing = {}
    if any(s.task == "segmentation" for s in runs) and not can_measure_surfaces():
        missing["HD95"] = NO_SURFACES
    for task in dict.fromkeys(setting.task for setting in runs):
        own = {s: cases for s, cases in runs.items() if s.task == task}
        rows = tuple(dict.fromkeys(s.row for s in own))
        for name in _names(task, own):
            title = "Finding present, macro AUC" if task == "classification" else name
            sections.append(_section(title, rows))
            for row in rows:
                figures.update(_row(title, row, name, own, truth))
            empty = [row for row in rows if f"{title}, {row}, difference" not in figures]
            if empty:
                missing[f"{title} ({'; '.join(empty)})"] = (
                    "No measured case holds it, or nothing was found where one holds it."
                )
    return Results(model, what, settings, figures, tuple(sections), missing)


def _names(task: str, runs: dict[Setting, Cases]) -> list[str]:
    if task == "classification":
        return ["AUC"]
    return list(dict.fromkeys(name for cases in runs.values() for case in cases for name in case))


def _section(title: str, rows: tuple[str, ...]) -> Section:
    columns = tuple((c, f"{title}, {{row}}, {c}") for c in (SCRATCH, PRETRAINED, "difference"))
    return Section(title, rows, columns)


def _row(
    title: str,
    row: str,
    name: str,
    runs: dict[Setting, Cases],
    truth: NDArray[np.bool_] | None,
) -> dict[str, Estimate]:
    """The figures of one row, those that can be computed."""
    first, second = (
        [cases for s, cases in runs.items() if s.row == row and s.start == start]
        for start in (SCRATCH, PRETRAINED)
    )
    if truth is not None and name == "AUC":
        found = auc_estimates(first, second, truth)
    else:
        found = (
            mean_estimate(first, name), mean_estimate(second, name),
            difference(first, second, name),
        )  # fmt: skip
    names = (SCRATCH, PRETRAINED, "difference")
    return {
        f"{title}, {row}, {column}": figure
        for column, figure in zip(names, found, strict=True)
        if figure is not None
    }
