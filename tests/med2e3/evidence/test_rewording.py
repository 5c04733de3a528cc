"""The other wordings of a question: those of its own template, and no others."""

from __future__ import annotations

import string

import pytest

from med2e3.evidence.rewording import rewordings
from med2e3.phantoms import KINDS, make_phantom
from med2e3.phantoms.facts import SECTIONS
from med2e3.phantoms.questions import GROUPS, WORDINGS, Question


def values_of(template: str) -> list[dict[str, str]]:
    """What each kind of finding may put into a template, written out apart from the code."""
    wording = WORDINGS[template][0]
    names = {name for _, name, _, _ in string.Formatter().parse(wording) if name}
    if not names:
        return [{}]
    (name,) = names
    organs = {organ for sections in SECTIONS.values() for organ in sections.values()}
    sorts = {
        "group": set(GROUPS),
        "organ": organs | {kind.organ for kind in KINDS.values()},
        "name": set(KINDS),
        "a_name": {kind.with_article() for kind in KINDS.values()},
    }
    return [{name: value} for value in sorted(sorts[name])]


def test_every_wording_of_every_template_and_value_leads_to_its_siblings_alone() -> None:
    seen: set[str] = set()
    for template, wordings in WORDINGS.items():
        for values in values_of(template):
            texts = [wording.format(**values) for wording in wordings]
            assert not seen & set(texts)  # no text may ask two things
            seen.update(texts)
            for text in texts:
                again = rewordings(Question(template, text, "x"))
                assert len(again) == len(texts) - 1
                assert set(again) == set(texts) - {text}


@pytest.mark.parametrize("seed", range(6))
def test_a_rewording_reworded_leads_back_with_its_choices(seed: int) -> None:
    for question in make_phantom(seed).questions():
        rest = question.prompt.removeprefix(question.text)
        every = {question.prompt, *rewordings(question)}
        assert len(every) > 1
        for prompt in every:
            assert prompt.endswith(rest)
            text = prompt.removesuffix(rest)
            other = Question(question.topic, text, question.answer_text, question.choices)
            assert {prompt, *rewordings(other)} == every


def test_unknown_words_and_unknown_values_have_no_rewordings() -> None:
    for text in ("Where are my keys?", "Where is the left shoe?", "Where is the {name}?"):
        assert rewordings(Question("location", text, "x")) == []
