"""Numbers from answers and scores: each one small, defined once, and without a model.

Closed answers are judged by two rules: the published one (M3D-Bench), and a strict one that a
careless answer cannot pass.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
