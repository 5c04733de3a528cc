"""What a test of an answer found, as plain values with one plain sentence. Knows no models."""

from __future__ import annotations

from dataclasses import dataclass

from med2e3.evidence.answer_words import Part
from med2e3.evidence.values import from_json, to_json


@dataclass(frozen=True)
class WordChange:
    """A word of the first answer, and its probability before and after."""

    text: str
    before: float
    after: float


@dataclass(frozen=True)
class Outcome:
    """What one test found.

    `setting` says what was changed. `before` and `after` are the answers, `parts` both as one
    marked text. The probabilities are those of the first answer, of all its tokens together, and in
    `words` by word. `left_out` are 0-based model slices. A control has the probability of every
    draw in `draws`, their mean as `probability_after`, and in `changed` how many gave another
    answer; `after` is then the first of these. `expected` is the answer with right and left
    exchanged, for a mirrored volume.
    """

    test: str
    setting: str
    question: str
    before: str
    after: str
    parts: tuple[Part, ...]
    probability_before: float
    probability_after: float
    words: tuple[WordChange, ...]
    left_out: tuple[int, ...] = ()
    seed: int | None = None
    draws: tuple[float, ...] = ()
    changed: int = 0
    expected: str = ""

    @property
    def same(self) -> bool:
        """Whether the answer stayed, word for word."""
        return self.before == self.after

    @property
    def sentence(self) -> str:
        """What was found, in one plain sentence."""
        start = self.setting[:1].upper() + self.setting[1:]
        before, after = _number(self.probability_before), _number(self.probability_after)
        if self.draws:
            low, high = _number(min(self.draws)), _number(max(self.draws))
            return (
                f"{start} the answer changed {self.changed} of {len(self.draws)} times; its "
                f"probability was {after} on average ({low} to {high}), {before} before."
            )
        sides = self._sides()
        if self.same:
            return (
                f"{start} the answer stays “{self.before}”{sides}; its probability goes from "
                f"{before} to {after}."
            )
        return (
            f"{start} the answer becomes “{self.after}” in place of “{self.before}”{sides}; the "
            f"probability of the first answer goes from {before} to {after}."
        )

    def _sides(self) -> str:
        """Whether the answer follows the sides of a mirrored volume."""
        if not self.expected:
            return ""
        if self.expected == self.before:
            return ", which names no side"
        if self.after == self.expected:
            return ", with the sides exchanged as they should be"
        return f", where “{self.expected}” was to be expected"

    def to_json(self) -> str:
        """As one JSON object."""
        return to_json(self)

    @classmethod
    def from_json(cls, text: str) -> Outcome:
        """Back from JSON. Raises `InputError`."""
        return from_json(cls, text)


def _number(probability: float) -> str:
    """Three decimals, or one digit of what is smaller."""
    return f"{probability:.3f}" if probability >= 0.0005 else f"{probability:.0e}"
