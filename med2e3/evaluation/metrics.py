"""Numbers from answers and scores: each one small, defined once, and without a model.

Closed answers are judged by two rules: the published one (M3D-Bench), and a strict one that a
careless answer cannot pass.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

#: How many resamplings a confidence interval rests on.
RESAMPLES = 2000


def closed_right_published(answer: str, letter: str) -> bool:
    """M3D-Bench's rule: the letter and a full stop stand anywhere in the answer."""
    return f"{letter}." in answer


def closed_right_strict(answer: str, letter: str) -> bool:
    """The answer opens with the right letter, as a choice, and names no other choice."""
    named = re.findall(r"(?:^|\s|\()([A-D])(?=[.):]|\s|$)", answer.strip())
    return bool(named) and set(named) == {letter} and answer.strip().lstrip("(")[:1] == letter


def same_words(answer: str, truth: str) -> bool:
    """Whether two short answers are the same but for case, spaces and final stops."""
    return _plain(answer) == _plain(truth)


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[^\w\s-]", " ", text.lower()).split())


def says_yes(answer: str) -> bool | None:
    """True for yes, False for no, None for neither, by the first word."""
    words = _plain(answer).split()
    return {"yes": True, "no": False}.get(words[0]) if words else None


def entropy_bits(scores: Sequence[float]) -> float:
    """Shannon entropy in bits."""
    return -sum(p * math.log2(p) for p in scores if p > 0)


def jensen_shannon_bits(first: Sequence[float], second: Sequence[float]) -> float:
    """Jensen–Shannon divergence of two score rows: 0 for equal ones, 1 for disjoint ones."""
    middle = [(a + b) / 2 for a, b in zip(first, second, strict=True)]
    return max(0.0, entropy_bits(middle) - (entropy_bits(first) + entropy_bits(second)) / 2)


def bleu1(answer: str, truth: str) -> float:
    """Clipped unigram precision times brevity penalty, by sacrebleu's 13a words; 0..1.

    M3D-Bench's BLEU with one n-gram order and no smoothing; an empty answer scores 0.
    """
    from sacrebleu.metrics import BLEU

    if not answer.strip():
        return 0.0
    metric = BLEU(max_ngram_order=1, tokenize="13a", smooth_method="none", effective_order=False)
    return float(metric.corpus_score([answer], [[truth]]).score) / 100


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % bootstrap interval, its count, and what chance gives."""

    value: float
    low: float
    high: float
    count: int
    chance: float | None = None

    def as_dict(self) -> dict[str, float | int | None]:
        """For JSON."""
        rounded = {k: round(getattr(self, k), 4) for k in ("value", "low", "high")}
        return {**rounded, "count": self.count, "chance": self.chance and round(self.chance, 4)}


def estimate(
    groups: Sequence[Sequence[float]],
    statistic: Callable[[Float], float] | None = None,
    chance: float | None = None,
) -> Estimate | None:
    """A statistic (the mean) over values in groups, resampling groups: one group a phantom.

    Questions about one phantom stand or fall together, so phantoms are what is drawn again. None
    where there is no value.
    """
    held = [np.asarray(group, np.float64) for group in groups if len(group)]
    if not held:
        return None
    take = statistic or (lambda values: float(values.mean()))
    rng = np.random.default_rng(0)
    if statistic is None:
        sums = np.array([g.sum() for g in held])
        counts = np.array([len(g) for g in held], np.float64)
        draws = rng.integers(0, len(held), (RESAMPLES, len(held)))
        means = sums[draws].sum(1) / counts[draws].sum(1)
    else:
        means = np.array(
            [
                take(np.concatenate([held[k] for k in rng.integers(0, len(held), len(held))]))
                for _ in range(RESAMPLES // 10)
            ]
        )
    low, high = np.nanpercentile(means, [2.5, 97.5])
    every = np.concatenate(held)
    return Estimate(take(every), float(low), float(high), len(every), chance)


def balanced_accuracy(rows: Float) -> float:
    """Mean of the accuracies on yes and on no; rows are 2·truth + right (0..3)."""
    truth, right = rows >= 2, rows % 2 == 1
    parts = [right[truth == side].mean() for side in (True, False) if (truth == side).any()]
    return float(np.mean(parts))


#: Added to the enclosing volume by the published evaluation.
BOX_EPSILON = 1e-6


def enclosing_overlap(first: Sequence[float], second: Sequence[float]) -> float:
    """Overlap of two boxes (d0, h0, w0, d1, h1, w1) as M3D-Bench counts it, 0..1.

    Intersection over the volume of the smallest box around both, not over their union: never more
    than the usual IoU. Source: the published M3D evaluation (63e7200).
    """
    inner = outer = 1.0
    for axis in range(3):
        a0, a1, b0, b1 = first[axis], first[axis + 3], second[axis], second[axis + 3]
        inner *= max(0.0, min(a1, b1) - max(a0, b0))
        outer *= max(a1, b1) - min(a0, b0)
    return inner / (outer + BOX_EPSILON)
