"""One question in other words: the phantoms' own wordings of the same template.

Knows nothing of answers.
"""

from __future__ import annotations

import string
from functools import cache

from med2e3.phantoms import KINDS
from med2e3.phantoms.questions import GROUPS, ORGAN_NAMES, WORDINGS, Question

#: What phantoms put in place of a template's word. Only these: any text at all in its place would
#: make "Where is the {name}?" of "Where is the lung nodule located?" too.
VALUES: dict[str, tuple[str, ...]] = {
    "group": tuple(GROUPS),
    "organ": ORGAN_NAMES,
    "name": tuple(KINDS),
    "a_name": tuple(kind.with_article() for kind in KINDS.values()),
}

#: Stands between a closed question and its choices.
CHOICES = " Choices: "


def rewordings(question: Question) -> list[str]:
    """The other prompts that ask the same, with the same choices; none for unknown words."""
    return rewordings_of(question.prompt)


def rewordings_of(prompt: str) -> list[str]:
    """`rewordings` of a question's whole text, with its choices where it has some."""
    asked, mark, choices = prompt.partition(CHOICES)
    same = _same_question().get(asked, ())
    return [text + mark + choices for text in same if text != asked]


def known_questions() -> tuple[str, ...]:
    """Every text that phantoms ask, without choices: what a model of phantoms was trained on."""
    return tuple(_same_question())


@cache
def _same_question() -> dict[str, tuple[str, ...]]:
    """Every text that phantoms ask, with all texts of the same template and value."""
    found = {}
    for wordings in WORDINGS.values():
        for values in _values(wordings[0]):
            texts = tuple(wording.format(**values) for wording in wordings)
            found.update(dict.fromkeys(texts, texts))
    return found


def _values(wording: str) -> list[dict[str, str]]:
    """What may stand in a wording's place, which is one at most."""
    for _, name, _, _ in string.Formatter().parse(wording):
        if name:
            return [{name: value} for value in VALUES[name]]
    return [{}]
