"""Numbers from answers and scores: each one small, defined once, and without a model.

Closed answers are judged by two rules: the published one (M3D-Bench), and a strict one that a
careless answer cannot pass.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from med2e3.evaluation.texts import bleu1 as bleu1  # one place to get a metric from


def closed_right_published(answer: str, letter: str) -> bool:
    """M3D-Bench's rule: the letter and a full stop stand anywhere in the answer."""
    return f"{letter}." in answer


#: A choice named: a letter that opens the answer (alone, with a stop, or before "or"; that
#: of "A mass" is the article), one with a stop or bracket, or one after "or".
NAMED = re.compile(
    r"^\(?([A-D])(?=[.):,]|\s*$|\s+(?:or|and)\b)|[\s(]([A-D])(?=[.):])|(?:\bor|\band|(?<=\b[A-D]),)\s+([A-D])\b"
)


def closed_right_strict(answer: str, letter: str, truth: str = "") -> bool:
    """The answer opens with the right letter, as a choice, and names no other choice.

    Or it is the wanted one (`truth`, with its letter) word for word: "D. hepatitis B.".
    """
    said = answer.strip()
    if truth and said and same_words(said, truth):
        return True
    named = [next(filter(None, match.groups())) for match in NAMED.finditer(said)]
    return bool(named) and set(named) == {letter} and said.lstrip("(")[:1] == letter


@dataclass(frozen=True)
class ClosedRule:
    """When a closed answer is right: `right(answer, letter, truth)`.

    `suffix` ends the names of the rule's figures: "closed plane (published rule)".
    """

    right: Callable[[str, str, str], bool]
    suffix: str


#: Rules for closed answers by their headings; a new one is a function and a row.
CLOSED_RULES: dict[str, ClosedRule] = {
    "strict rule": ClosedRule(closed_right_strict, ""),
    "published rule": ClosedRule(
        lambda answer, letter, _: closed_right_published(answer, letter), " (published rule)"
    ),
}


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


def soft_dice(probabilities: NDArray[Any], target: NDArray[Any]) -> float:
    """M3D-Bench's Dice, 0..1: 2Σpt / (Σp + Σt + 1) of probabilities, without a threshold.

    Two empty masks score 0, and a mask that is right but small cannot reach 1. Source: the
    published M3D evaluation (63e7200).
    """
    p, t = probabilities.astype(np.float64), target.astype(np.float64)
    return float(2 * (p * t).sum() / (p.sum() + t.sum() + 1))


def dice(mask: NDArray[np.bool_], target: NDArray[np.bool_]) -> float:
    """Twice the common voxels by the voxels of both, 0..1; 1 where both are empty."""
    both = int(mask.sum()) + int(target.sum())
    return 2 * int((mask & target).sum()) / both if both else 1.0


def box_iou(
    first: Sequence[float], second: Sequence[float], grid: Sequence[int] | None = None
) -> float:
    """Intersection over union of two boxes (d0, h0, w0, d1, h1, w1), 0..1.

    Ends are inclusive indices divided by the size of `grid`, as M3D writes them: a box of one voxel
    has a volume. Without a grid the numbers are edges. A box whose ends are swapped is empty.
    """
    inner, one, other = 1.0, 1.0, 1.0
    for axis in range(3):
        more = 1 / grid[axis] if grid else 0.0
        a0, a1 = first[axis], first[axis + 3] + more
        b0, b1 = second[axis], second[axis + 3] + more
        inner *= max(0.0, min(a1, b1) - max(a0, b0))
        one, other = one * max(0.0, a1 - a0), other * max(0.0, b1 - b0)
    union = one + other - inner
    return inner / union if union > 0 else 0.0


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
