"""Whether a question is like those that a model was trained on. Knows no models, only texts.

Likeness is the share of words in common (Jaccard index) with the nearest known question. Words that
no known question has are named: they are what the model cannot have learned.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from med2e3.engine import ModelInfo
from med2e3.evidence.rewording import CHOICES, known_questions
from med2e3.evidence.values import from_json, to_json
from med2e3.geometry import Plane
from med2e3.phantoms import KINDS, ORGANS, PHASES
from med2e3.phantoms.language.samples import finding_words, trained_questions, trained_words
from med2e3.phantoms.questions import NONE, NOT_SEEN, VISIBLE

#: Below this share of words in common a question counts as unlike any. Of the 257 questions that
#: phantoms ask, 95 % share at least 0.4 with another one; questions about other matters ("What
#: should be done next?", "Is the appendix inflamed?") share 0.1 to 0.4.
LEAST_ALIKE = 0.4


#: Words of names that are words of questions, too.
ARTICLES = ("a", "an", "the", "in", "of", "on", "around")


@dataclass(frozen=True)
class Familiarity:
    """The nearest known question, its likeness 0 to 1, and the words that no known question has."""

    nearest: str
    likeness: float
    unknown_words: tuple[str, ...]

    @property
    def is_outside(self) -> bool:
        """Whether the question is unlike any known one, or has words that none has."""
        return self.likeness < LEAST_ALIKE or bool(self.unknown_words)

    @property
    def sentence(self) -> str:
        """What to tell the reader; empty for a question like those of the training."""
        if not self.is_outside:
            return ""
        words = ", ".join(f"“{word}”" for word in self.unknown_words)
        which = f" {'It' if words else ''}".rstrip()
        start = "This question is outside what the model was trained on"
        if words:
            noun = "the word" if len(self.unknown_words) == 1 else "the words"
            return f"{start}: {noun} {words} never occurred. The nearest is “{self.nearest}”."
        return f"{start}{which}; the nearest is “{self.nearest}”."

    def to_json(self) -> str:
        """As one JSON object."""
        return to_json(self)

    @classmethod
    def from_json(cls, text: str) -> Familiarity:
        """Back from JSON. Raises `InputError`."""
        return from_json(cls, text)


def familiarity(question: str, info: ModelInfo) -> Familiarity | None:
    """How near a question is to a model's training; None where its questions are not known.

    They are known of models that were trained on phantoms. Published ones were trained on questions
    that are not listed with them.
    """
    if not info.is_demo:
        return None
    terms = _words(" ".join(_terms()))
    if not info.history_turns:
        return compare(question, known_questions(), terms)
    # Models that were trained on conversations were trained on people's own words, too.
    known = (*known_questions(), *trained_questions())
    names = _words(" ".join(finding_words())) - _words(" ".join(ARTICLES))
    return compare(question, known, terms | _words(trained_words()), names)


def compare(
    question: str,
    known: Sequence[str],
    terms: frozenset[str] = frozenset(),
    names: frozenset[str] = frozenset(),
) -> Familiarity:
    """How near a question is to known ones; `terms` are further words that are known.

    Words in `names` do not count for likeness: any of them may stand in a question's place.
    """
    asked, _, choices = question.partition(CHOICES)
    words = _words(asked) - names
    rows = [(_likeness(words, _words(text) - names), text) for text in known]
    likeness, nearest = max(rows, key=lambda row: row[0], default=(0.0, ""))
    vocabulary = terms.union(*(_words(text) for text in known))
    letters = frozenset("abcd")  # of choices
    unknown = _words(f"{asked} {choices}") - vocabulary - letters
    order = [w for w in re.findall(r"[\w-]+", question.lower()) if w in unknown]
    return Familiarity(nearest, likeness, tuple(dict.fromkeys(order)))


def _likeness(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other) if one or other else 1.0


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[\w-]+", text.lower()))


def _terms() -> list[str]:
    """What choices of phantoms' questions name: findings, places, organs, phases, planes."""
    places = [place for kind in KINDS.values() for place in kind.all_places]
    organs = [*(kind.organ for kind in KINDS.values()), *ORGANS]
    seen = [organ for region in VISIBLE.values() for organ in region]
    phases = [phase.value for phase in PHASES]
    return [*KINDS, *places, *organs, *seen, *phases, *Plane, "oblique", NOT_SEEN, NONE]
