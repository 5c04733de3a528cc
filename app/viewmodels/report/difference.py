"""Which words one text has and another one has not, for a reader who is to choose between them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import Enum

#: A word with the space behind it; space at the start of a text is one of its own.
WORD = re.compile(r"\S+\s*|^\s+")

#: Words of both texts together that are compared one by one: in some 10 ms, or 0.4 s where all of
#: them are one word. Longer texts, which no report has, are shown as removed and added whole.
MOST_WORDS = 4000


class Kind(Enum):
    """What happened to some words."""

    SAME = "same"
    REMOVED = "removed"
    ADDED = "added"


@dataclass(frozen=True)
class Change:
    """Neighbouring words with one fate, as they stand in their text."""

    kind: Kind
    text: str


def difference(before: str, after: str) -> tuple[Change, ...]:
    """The words of both texts in their order; space alone makes no difference."""
    old, new = WORD.findall(before), WORD.findall(after)
    if len(old) + len(new) > MOST_WORDS:
        return _kept((Change(Kind.REMOVED, before), Change(Kind.ADDED, after)))
    matcher = SequenceMatcher(
        None, [word.strip() for word in old], [word.strip() for word in new], autojunk=False
    )
    changes: list[Change] = []
    for kind, i, j, k, m in matcher.get_opcodes():
        if kind == "equal":
            changes.append(Change(Kind.SAME, "".join(new[k:m])))
        else:
            removed, added = "".join(old[i:j]), "".join(new[k:m])
            changes += Change(Kind.REMOVED, removed), Change(Kind.ADDED, added)
    return _kept(changes)


def _kept(changes: tuple[Change, ...] | list[Change]) -> tuple[Change, ...]:
    return tuple(change for change in changes if change.text)
