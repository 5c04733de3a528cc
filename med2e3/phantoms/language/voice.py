"""How one question is said: which words are drawn for it, and how they are typed.

Knows nothing of facts or answers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np

from med2e3.phantoms.findings import KINDS
from med2e3.phantoms.language.lexicon import (
    Lexicon,
    Term,
    free_questions,
    held_out,
    trained,
    without_article,
)

Rng = np.random.Generator
T = TypeVar("T")

#: How often a finding is called by its own name; else by another of its terms.
OWN_NAME = 0.35

#: How often each liberty is taken with a finished question.
FRAMED, LOWER, UNMARKED, SHOUTED, MISTYPED = 0.12, 0.35, 0.3, 0.015, 0.12

#: Words of fewer letters are not mistyped: too little would be left of them.
MISTYPED_FROM = 5

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Voice:
    """Draws words: templates from `wording`, terms of findings from `words`, names of what is not
    known from `strange`. `typed` says whether liberties are taken: case, marks, typos.
    """

    rng: Rng
    wording: Lexicon
    words: Lexicon
    strange: Lexicon
    typed: bool = True

    @property
    def is_training(self) -> bool:
        """Whether nothing held out may be said."""
        return all(part is trained() for part in (self.wording, self.words, self.strange))

    def chance(self, share: float) -> bool:
        """True as often as `share` says."""
        return bool(self.rng.random() < share)

    def pick(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[int(self.rng.integers(len(items)))]

    def say(self, template: str, **slots: str) -> str:
        """A template of this name, filled in."""
        return self.pick(self.wording.templates[template]).format(**slots)

    def term(self, name: str) -> Term:
        """A noun for the finding of this name."""
        if self.words is trained() and self.chance(OWN_NAME):
            return own_term(name)
        return self.pick(self.words.terms[name])

    def sided_term(self, name: str) -> Term:
        """A noun for it that is enough where the place is said."""
        short = trained().sided.get(name)
        return self.pick(short) if short and self.chance(0.4) else self.term(name)

    def organ(self, organ: str) -> tuple[str, str]:
        """(verb, phrase) of an organ: "are", "the lungs"."""
        return self.pick(trained().organs[organ])

    def type(self, text: str, *, keep: str = "", frame: bool = True) -> str:
        """The question as somebody types it; what is in `keep` keeps its letters.

        The first letter is large but for templates that begin with a small one.
        """
        text = text[:1].upper() + text[1:]
        if not self.typed:
            return text
        if frame and self.chance(FRAMED):
            text = self._frame(text)
        if self.chance(MISTYPED):
            text = self._mistype(text, keep)
        if self.chance(UNMARKED):
            text = text.rstrip("?.")
        if not keep and self.chance(SHOUTED):
            return text.upper()
        return lower(text, keep) if self.chance(LOWER) else text

    def _frame(self, text: str) -> str:
        frames = self.wording.tables["frames"]
        if self.chance(0.5):
            return f"{self.pick(frames['before'])}{text[:1].lower()}{text[1:]}"
        body, mark = (text[:-1], text[-1]) if text[-1:] in "?." else (text, "")
        return f"{body}{self.pick(frames['after'])}{mark}"

    def _mistype(self, text: str, keep: str) -> str:
        words = text.split(" ")
        kept = set(keep.split())
        fit = [
            k
            for k, w in enumerate(words)
            if len(w) >= MISTYPED_FROM and w.isalpha() and w not in kept
        ]
        if fit:
            at = self.pick(fit)
            words[at] = self._mistyped(words[at])
        return " ".join(words)

    def _mistyped(self, word: str) -> str:
        """Two letters swapped, one left out, doubled, or another; the first one stays."""
        k = int(self.rng.integers(1, len(word) - 1))
        kind = int(self.rng.integers(4))
        if kind == 0:
            return word[:k] + word[k + 1] + word[k] + word[k + 2 :]
        if kind == 1:
            return word[:k] + word[k + 1 :]
        if kind == 2:
            return word[:k] + word[k] + word[k:]
        return word[:k] + self.pick(_LETTERS) + word[k + 1 :]


def lower(text: str, keep: str = "") -> str:
    """In small letters, but for what is in `keep`."""
    if keep and keep in text:
        before, _, after = text.partition(keep)
        return before.lower() + keep + after.lower()
    return text.lower()


def training_voice(rng: Rng) -> Voice:
    """The voice of training."""
    return Voice(rng, trained(), trained(), trained())


@lru_cache(maxsize=32)
def own_term(name: str) -> Term:
    """The finding's own name as a term."""
    said = KINDS[name].with_article()
    if said == name:
        return Term(name, name, name)
    return Term(said, name, _plural(name))


def _plural(name: str) -> str:
    if name.endswith("thorax"):
        return name.removesuffix("x") + "ces"
    return f"{name}es" if name.endswith("ss") else f"{name}s"


def normalised(text: str) -> str:
    """A text's words alone: small letters, no marks."""
    return " ".join(re.findall(r"\w+", text.lower()))


@dataclass(frozen=True)
class _Reserved:
    """Whole texts that training never says, and by first word the names that no text may hold."""

    texts: frozenset[str]
    names: dict[str, tuple[str, ...]]


@lru_cache(maxsize=1)
def _reserved() -> _Reserved:
    held = held_out().tables
    texts = [row["ask"] for row in free_questions()]
    texts += [*held["smalltalk"]["about"], *held["smalltalk"]["foreign"]]
    texts += held["unknown"]["beyond"]
    names = [without_article(n) for n in (*held["unknown"]["findings"], *held["unknown"]["organs"])]
    names += held["smalltalk"]["things"]
    names += [n for terms in held_out().terms.values() for t in terms for n in (t.bare, t.plural)]
    by_first: dict[str, tuple[str, ...]] = {}
    for name in map(normalised, names):
        first = name.split()[0]
        by_first[first] = (*by_first.get(first, ()), f" {name} ")
    return _Reserved(frozenset(map(normalised, texts)), by_first)


def is_reserved(text: str) -> bool:
    """Whether the text is kept for the evaluation: a free question, or something held out."""
    kept, said = _reserved(), normalised(text)
    if said in kept.texts:
        return True
    whole = f" {said} "
    return any(name in whole for word in said.split() for name in kept.names.get(word, ()))
