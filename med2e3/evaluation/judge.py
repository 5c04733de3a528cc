"""A local language model as judge of texts: how much of what should be said was said, 0..1.

Off unless a model is named. The published judge is a model of 72 billion parameters, so that
figures of different judges cannot be compared. Knows nothing of how the judge is loaded.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

#: The name of its figures.
JUDGE = "LLM judge"

#: In our own words; what is asked is M3D-Bench's: which share of the aspects is there.
PROMPT = (
    "You compare two radiological texts. List for yourself the statements of the reference, and "
    "find the share of them that the answer states too, wholly or in part. The text may be short.\n"
    "Reference: {truth}\n"
    "Answer: {answer}\n"
    "Write one line and nothing else: Score: NUMBER (0 to 100)."
)

#: The published rule takes a number with decimals alone and drops "Score: 85"; both are taken here.
_SCORE = re.compile(r"score\s*:?\s*(\d+(?:\.\d+)?)", re.IGNORECASE)


class Judge:
    """Scores pairs through `write`; what it cannot be read from is NaN, and counted."""

    def __init__(self, write: Callable[[Sequence[str]], list[str]]) -> None:
        self.write = write
        self.unread = 0

    def __call__(self, answers: Sequence[str], wanted: Sequence[str]) -> list[float]:
        """One score a pair."""
        pairs = zip(answers, wanted, strict=True)
        said = self.write([PROMPT.format(truth=truth, answer=answer) for answer, truth in pairs])
        scores = [score_in(text) for text in said]
        self.unread += sum(math.isnan(score) for score in scores)
        return scores


def score_in(text: str) -> float:
    """The judge's number as a share; NaN where there is none, or it is above 100."""
    found = _SCORE.search(text)
    score = float(found[1]) / 100 if found else math.nan
    return score if score <= 1 else math.nan
