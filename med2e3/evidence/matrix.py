"""The slice scores of several questions about one volume: rows × model slices, sorted, compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np
from scipy.spatial.distance import jensenshannon

from med2e3.engine import Answer
from med2e3.errors import InputError
from med2e3.evidence.attribution import correlation
from med2e3.evidence.values import from_json, plain, to_json

#: How rows can be ordered: as asked, or like beside like.
ORDERS = ("time", "similarity")


@dataclass(frozen=True)
class Row:
    """A question with its answer, the tokens of its prompt, and its scores (S,)."""

    question: str
    answer: str
    prompt_ids: tuple[int, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True)
class Pair:
    """Two rows compared: Pearson's r, divergence of Jensen and Shannon in bits, differences (S,).

    The divergence is 0 for equal and 1 for disjoint scores. r is NaN where those of one do not
    vary. Differences are the second row's scores less the first one's.
    """

    first: str
    second: str
    correlation: float
    divergence_bits: float
    difference: tuple[float, ...]

    @property
    def sentence(self) -> str:
        """Both figures with both questions, in one line."""
        r = "–" if self.correlation != self.correlation else f"{self.correlation:+.3f}"
        return f"{r}  {self.divergence_bits:.3f}  “{self.first}”  “{self.second}”"


@dataclass(frozen=True)
class Matrix:
    """Rows in the order that `order` gives them: numbers of questions as they were asked."""

    rows: tuple[Row, ...]
    order: tuple[int, ...] = field(default=())

    def ordered(self, by: str) -> Matrix:
        """The same rows as asked ("time"), or like beside like ("similarity").

        Raises `InputError` for another order.
        """
        if by not in ORDERS:
            raise InputError(f"Rows cannot be sorted by {by!r}; choose {' or '.join(ORDERS)}.")
        asked = [self.rows[k] for k in np.argsort(self.order)]
        order = range(len(asked)) if by == "time" else _alike(asked)
        return replace(self, rows=tuple(asked[k] for k in order), order=tuple(order))

    def compare(self, first: int, second: int) -> Pair:
        """Two rows by their places."""
        return compare(self.rows[first], self.rows[second])

    def pairs(self) -> list[Pair]:
        """Every two rows."""
        return [compare(a, b) for a, b in combinations(self.rows, 2)]

    def as_dict(self) -> dict[str, Any]:
        """Rows and pairs as plain values, for JSON."""
        pairs = [plain(pair) for pair in self.pairs()]
        return {"rows": plain(self.rows), "order": list(self.order), "pairs": pairs}

    def to_json(self) -> str:
        """As one JSON object."""
        return to_json(self)

    @classmethod
    def from_json(cls, text: str) -> Matrix:
        """Back from JSON. Raises `InputError`."""
        return from_json(cls, text)


def matrix_of(answers: Sequence[Answer]) -> Matrix:
    """The matrix of answers of one session, in the order in which they were asked.

    Raises `InputError` where there is no answer, one has no scores, or they are of other slices.
    """
    if not answers:
        raise InputError("A matrix needs at least one answer; ask a question first.")
    rows = []
    for answer in answers:
        if answer.scores is None:
            raise InputError(
                f"The answer to “{answer.prompt.question}” has no slice scores, so it is no row of "
                "a matrix. Ask a model that has them."
            )
        if answer.scores.bands != answers[0].scores.bands:  # type: ignore[union-attr]
            raise InputError(
                f"“{answer.prompt.question}” was asked of other slices than "
                f"“{answers[0].prompt.question}”. Compare questions about one volume and plane."
            )
        scores = tuple(float(v) for v in answer.scores.values)
        rows.append(Row(answer.prompt.question, answer.text, tuple(answer.prompt.ids), scores))
    return Matrix(tuple(rows), tuple(range(len(rows))))


def compare(first: Row, second: Row) -> Pair:
    """Two rows of scores."""
    a, b = np.array(first.scores), np.array(second.scores)
    distance = float(np.nan_to_num(jensenshannon(a, b, base=2)))
    return Pair(
        first.question, second.question, correlation(a, b), distance**2, tuple((b - a).tolist())
    )


def _alike(rows: Sequence[Row]) -> list[int]:
    """Begin with the first row, then always the one whose scores diverge least from the last."""
    left = list(range(1, len(rows)))
    order = [0]
    while left:
        last = rows[order[-1]]
        nearest = min(left, key=lambda k: compare(last, rows[k]).divergence_bits)
        left.remove(nearest)
        order.append(nearest)
    return order
