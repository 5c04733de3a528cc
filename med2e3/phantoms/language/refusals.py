"""Answers that refuse: what is said of what the model does not know, and of what is no question.

Knows nothing of facts.
"""

from __future__ import annotations

NOT_TRAINED = "I was not trained on {}."
SCAN_ONLY = "I only answer questions about this scan."
ENGLISH = "Please ask in English."

_BEGINNINGS = tuple(
    text.partition("{")[0].strip().lower() for text in (NOT_TRAINED, SCAN_ONLY, ENGLISH)
)


def refusal(name: str = "") -> str:
    """What is said of what the model was not trained on."""
    return NOT_TRAINED.format(name or "that")


def is_refusal(answer: str) -> bool:
    """Whether the answer refuses."""
    return answer.strip().lower().startswith(_BEGINNINGS)
