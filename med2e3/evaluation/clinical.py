"""What a report claims against what is there: 18 labels of chest CT, CRG, and reports all alike.

Labels of a report come from a classifier (`report_labels`); without one nothing here is computed.
Knows nothing of models that write reports.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from med2e3.evaluation.intervals import Estimate, Float, estimate_sums

#: CT-RATE's labels, in the order of its files and of the published classifier.
LABELS = (
    "Medical material", "Arterial wall calcification", "Cardiomegaly", "Pericardial effusion",
    "Coronary artery wall calcification", "Hiatal hernia", "Lymphadenopathy", "Emphysema",
    "Atelectasis", "Lung nodule", "Lung opacity", "Pulmonary fibrotic sequela",
    "Pleural effusion", "Mosaic attenuation pattern", "Peribronchial thickening",
    "Consolidation", "Bronchiectasis", "Interlobular septal thickening",
)  # fmt: skip

#: A label that fewer reports have is a rare one: what a fluent normal report leaves out.
RARE_SHARE = 0.1

Marks = NDArray[np.bool_]
Figures = dict[str, Estimate | None]


def label_figures(truth: Marks, said: Marks, clusters: Sequence[str]) -> Figures:
    """F1 (macro, micro, weighted), recall of rare labels, and CRG of reports (N, L) against truth.

    F1 is scikit-learn's with `zero_division=0`: a label that neither side has counts as 0 in the
    macro mean. Chance is each report held against the next case's labels.
    """
    other = np.roll(truth, -1, axis=0)
    sums, mixed = _by_cluster(truth, said, clusters), _counts(other, said).sum(0, keepdims=True)
    rows = int(truth.shape[0])
    figures: Figures = {}
    for name, statistic in _statistics(truth).items():
        with np.errstate(divide="ignore", invalid="ignore"):
            chance = float(statistic(mixed)[0])
        known = chance if np.isfinite(chance) and rows > 1 else None
        figures[name] = estimate_sums(sums, statistic, rows, known, share=True)
    return figures


def label_table(truth: Marks, said: Marks, clusters: Sequence[str]) -> Figures:
    """F1 and recall of every label that is there; the count is how often it is."""
    figures: Figures = {}
    for k, name in enumerate(LABELS):
        there = int(truth[:, k].sum())
        sums = _by_cluster(truth[:, [k]], said[:, [k]], clusters)
        figures[f"label {name}, F1"] = estimate_sums(sums, micro_f1, there, share=True)
        figures[f"label {name}, recall"] = estimate_sums(sums, _recall, there, share=True)
    return figures


def crg(truth: Marks, said: Marks) -> float:
    """CRG of reports (N, L) against truth, 0.2..1; NaN where nothing, or everything, is there.

    s = TP·w − FN·w − FP, w = (T − A) / (2A), CRG = A·w / (2·A·w − s), of T labels in all and A that
    are there (arXiv 2505.17167). True negatives do not count.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(_crg(_counts(truth, said).sum(0, keepdims=True))[0])


def collapse_figures(reports: Sequence[str]) -> Figures:
    """Share of distinct reports, and of the commonest one; spaces and case aside."""
    plain = Counter(" ".join(report.lower().split()) for report in reports)
    count = len(reports)
    if not count:
        return {}
    distinct, commonest = len(plain) / count, max(plain.values()) / count
    return {
        "reports, distinct": Estimate(distinct, distinct, distinct, count),
        "reports, commonest one": Estimate(commonest, commonest, commonest, count, 1 / count),
    }


def macro_f1(sums: Float) -> Float:
    """(N, 4·L) → the mean of the labels' F1."""
    hit, above, below, _ = _parts(sums)
    f1: Float = np.where(2 * hit + above + below > 0, 2 * hit / (2 * hit + above + below), 0.0)
    return np.asarray(f1.mean(1))


def micro_f1(sums: Float) -> Float:
    """(N, 4·L) → the F1 of all labels together; 0 where neither side has one."""
    hit, above, below, _ = (part.sum(1) for part in _parts(sums))
    whole = 2 * hit + above + below
    return np.asarray(np.where(whole > 0, 2 * hit / whole, 0.0))


def weighted_f1(sums: Float) -> Float:
    """(N, 4·L) → the labels' F1, weighed by how often each is there."""
    hit, above, below, _ = _parts(sums)
    whole = 2 * hit + above + below
    f1 = np.where(whole > 0, 2 * hit / whole, 0.0)
    there = hit + below
    return np.asarray((f1 * there).sum(1) / there.sum(1))


def _statistics(truth: Marks) -> dict[str, Callable[[Float], Float]]:
    share = truth.mean(0)
    rare = [k for k in range(truth.shape[1]) if 0 < share[k] < RARE_SHARE]
    found: dict[str, Callable[[Float], Float]] = {
        "labels, macro F1": macro_f1,
        "labels, micro F1": micro_f1,
        "labels, weighted F1": weighted_f1,
        "CRG": _crg,
    }
    if rare:
        columns = [4 * k + part for k in rare for part in range(4)]
        found["rare labels, recall"] = lambda sums: _recall(sums[:, columns])
    return found


def _crg(sums: Float) -> Float:
    hit, above, below, rows = (part.sum(1) for part in _parts(sums))
    there = hit + below
    weight = (rows - there) / (2 * there)
    best = there * weight
    score = hit * weight - below * weight - above
    return np.asarray(best / (2 * best - score))


def _recall(sums: Float) -> Float:
    hit, _, below, _ = (part.sum(1) for part in _parts(sums))
    return np.asarray(hit / (hit + below))


def _parts(sums: Float) -> tuple[Float, Float, Float, Float]:
    """Found rightly, claimed wrongly, missed, asked; (N, L) each."""
    return sums[:, 0::4], sums[:, 1::4], sums[:, 2::4], sums[:, 3::4]


def _counts(truth: Marks, said: Marks) -> Float:
    """(N, 4·L): the four of every label side by side."""
    parts = [truth & said, ~truth & said, truth & ~said, np.ones_like(truth)]
    return np.stack(parts, axis=-1).reshape(len(truth), -1).astype(np.float64)


def _by_cluster(truth: Marks, said: Marks, clusters: Sequence[str]) -> Float:
    counts = _counts(truth, said)
    place = {name: k for k, name in enumerate(dict.fromkeys(clusters))}
    sums = np.zeros((len(place), counts.shape[1]))
    np.add.at(sums, [place[name] for name in clusters], counts)
    return sums
