"""The words of an answer: how probable each is, and which of them another answer has changed.

Knows no models and no volumes.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

#: What happened to a word from one answer to the other.
SAME, REMOVED, ADDED = "same", "removed", "added"

Decode = Callable[[Sequence[int]], str]


@dataclass(frozen=True)
class Word:
    """A word of an answer with its stops, and the probability of its tokens together, 0 to 1."""

    text: str
    probability: float


@dataclass(frozen=True)
class Part:
    """Words that two answers share, or that only one has; `change` is SAME, REMOVED or ADDED."""

    text: str
    change: str


def word_spans(token_ids: Sequence[int], decode: Decode) -> list[tuple[str, tuple[int, ...]]]:
    """Each word of the decoded tokens with the places of its tokens, in order.

    A token belongs to the word that holds its last letter; tokens without a letter, such as a
    lone space, belong to the word after them.
    """
    whole = decode(list(token_ids))
    ends = _ends([decode(list(token_ids[:k])) for k in range(len(token_ids) + 1)])
    words = list(re.finditer(r"\S+", whole))
    spans: list[tuple[str, tuple[int, ...]]] = []
    first = 0
    for number, word in enumerate(words):
        is_last = number == len(words) - 1
        last = first
        while last < len(ends) and (is_last or ends[last] <= word.end()):
            last += 1
        spans.append((word.group(), tuple(range(first, last))))
        first = last
    return spans


def _ends(texts: Sequence[str]) -> list[int]:
    """Where the last letter of each token lies, or its end where it has none but spaces.

    `texts` are the decoded tokens so far, none of them first.
    """
    bare = [text.rstrip() for text in texts]
    return [len(bare[k]) if bare[k] != bare[k - 1] else len(texts[k]) for k in range(1, len(texts))]


def words_of(
    token_ids: Sequence[int], probabilities: Sequence[float], decode: Decode
) -> tuple[Word, ...]:
    """The words of an answer; the product of all probabilities is that of the tokens."""
    return tuple(
        Word(text, float(np.prod([probabilities[k] for k in places])))
        for text, places in word_spans(token_ids, decode)
    )


def sentences_of(words: Sequence[Word]) -> tuple[Word, ...]:
    """The sentences of an answer, each with the probability of its words together."""
    found: list[list[Word]] = [[]]
    for word in words:
        found[-1].append(word)
        if word.text.endswith((".", "!", "?")):
            found.append([])
    return tuple(
        Word(" ".join(w.text for w in one), joint([w.probability for w in one]))
        for one in found
        if one
    )


def joint(probabilities: Sequence[float]) -> float:
    """The probability of all tokens together; 1 for none."""
    return float(np.prod(np.asarray(probabilities, dtype=np.float64)))


def confidence(
    token_ids: Sequence[int],
    probabilities: Sequence[float],
    decode: Decode,
    *,
    whole: bool,
) -> float:
    """How probable the model found its answer: of the `whole` text, or of its first word alone.

    The first word (the letter of a choice, yes or no) is complete with the token after which
    something else than a letter follows. 0 for an answer without any token.
    """
    if not token_ids:
        return 0.0
    last = len(token_ids)
    if not whole:
        done = (
            k
            for k in range(1, last + 1)
            if re.match(r"\W*\w+\W", decode(token_ids[:k]) + ("." if k == last else ""))
        )
        last = next(done, last)
    return float(np.prod(probabilities[:last]))


def marked(before: str, after: str) -> tuple[Part, ...]:
    """Both answers as one text: words that stayed, words taken out, words put in, in order."""
    old, new = before.split(), after.split()
    parts: list[Part] = []
    matcher = difflib.SequenceMatcher(a=old, b=new, autojunk=False)
    for what, a0, a1, b0, b1 in matcher.get_opcodes():
        if what == "equal":
            parts.append(Part(" ".join(old[a0:a1]), SAME))
            continue
        if a1 > a0:
            parts.append(Part(" ".join(old[a0:a1]), REMOVED))
        if b1 > b0:
            parts.append(Part(" ".join(new[b0:b1]), ADDED))
    return tuple(parts)


def marked_text(parts: Sequence[Part]) -> str:
    """Parts as a line of plain text: [-taken out-] and {+put in+}, as word diffs are written."""
    frames = {SAME: "{}", REMOVED: "[-{}-]", ADDED: "{{+{}+}}"}
    return " ".join(frames[part.change].format(part.text) for part in parts)


def mirrored_words(text: str) -> str:
    """The text with right and left exchanged, as whole words, each with its capital."""
    other = {"left": "right", "right": "left"}

    def swap(match: re.Match[str]) -> str:
        found = other[match.group().lower()]
        return found.capitalize() if match.group()[0].isupper() else found

    return re.sub(r"\b(left|right)\b", swap, text, flags=re.IGNORECASE)
