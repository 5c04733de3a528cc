"""Which words the slice scores follow in a conversation: a follow-up may name nothing itself.

"How big is it?" points at nothing; together with the question before it, it does. Knows nothing of
models or tokens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

#: Words that name nothing in a scan. A question of these alone leans on the one before it.
_LEANING = frozenset(
    re.findall(
        r"\w+",
        "a about also and are at big bigger can diameter do does exact exactly extent find finding "
        "for found give has have how in is it its large left length lie located location long look "
        "many measure mm much no now of ok on one or other part place please position right see "
        "seen side size so tell that the them then there this to too very was we what whereabouts "
        "where which wide with you",
    )
)


def leans(question: str) -> bool:
    """Whether a question names nothing that it could be about."""
    words = re.findall(r"\w+", question.lower())
    return bool(words) and all(word in _LEANING for word in words)


def guide_of(questions: Sequence[str]) -> str:
    """The text that the scores follow, of a conversation's questions in their order.

    It is the last question; where that leans, the last one before it that does not, and it.
    """
    last = questions[-1]
    if not leans(last):
        return last
    named = next((q for q in reversed(questions[:-1]) if not leans(q)), "")
    return f"{named} {last}".strip()
