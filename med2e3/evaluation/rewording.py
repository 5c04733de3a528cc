"""One question in other words: the phantoms' own wordings of the same template.

Knows nothing of answers.
"""

from __future__ import annotations

import re
import string
from functools import cache

from med2e3.phantoms.questions import WORDINGS, Question


def rewordings(question: Question) -> list[str]:
    """The other prompts that ask the same, with the same choices; none for unknown words."""
    for wordings in WORDINGS.values():
        for wording in wordings:
            match = _pattern(wording).fullmatch(question.text)
            if match:
                rest = question.prompt[len(question.text) :]
                others = [w.format(**match.groupdict()) for w in wordings if w != wording]
                return [text + rest for text in others]
    return []


@cache
def _pattern(wording: str) -> re.Pattern[str]:
    """A pattern of a wording, with its placeholders as named groups."""
    parts = []
    for text, name, _, _ in string.Formatter().parse(wording):
        parts.append(re.escape(text))
        if name:
            parts.append(f"(?P<{name}>.+)")
    return re.compile("".join(parts))
