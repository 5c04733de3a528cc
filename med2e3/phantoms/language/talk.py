"""Follow-ups: questions that need what was said before, and questions that do not.

Knows nothing of models.
"""

from __future__ import annotations

from dataclasses import replace

from med2e3.phantoms.facts import Facts, report
from med2e3.phantoms.findings import KINDS
from med2e3.phantoms.language import findings, scans
from med2e3.phantoms.language.voice import Voice
from med2e3.phantoms.questions import TOPICS, Question, draw_question

#: Most turns before a question. The model is asked with as many.
HISTORY_TURNS = 2


def followup(facts: Facts, voice: Voice) -> Question:
    """A question after one or two others."""
    draw = voice.rng.random()
    if draw < 0.62:
        return _about_finding(facts, voice)
    if draw < 0.76:
        first = scans.of_organ(facts, voice, scans.choose_organ(facts, voice), "normal")
        return _then_describe(facts, voice, first)
    return _about_something_else(facts, voice)


def _about_finding(facts: Facts, voice: Voice) -> Question:
    """One that names no finding: it is about the one before."""
    name = findings.choose(facts, voice, there=0.75)
    start = findings.presence(facts, voice, name)
    if voice.chance(0.25):
        start = findings.size(facts, voice, name)
    history = start.turns
    if voice.chance(0.25) and start.topic == "wording":
        middle = _where(facts, voice, name)
        history = (*history, *middle.turns)
    places = KINDS[name].places.get(facts.region, ())
    able = [s for s in ("left", "right") if findings.on_side(places, s)]
    draw = voice.rng.random()
    if draw < 0.3:
        asked = _where(facts, voice, name)
    elif draw < 0.62:
        text = voice.type(voice.say("then_size"), frame=False)
        asked = Question("followup", text, findings.size_answer(facts.named(name)))
    elif draw < 0.82 and able:
        asked = _on_side(facts, voice, name, voice.pick(able))
    else:
        return replace(_then_presence(facts, voice, name), history=history)
    kinds, there = findings.about(facts, name)
    return replace(asked, topic="followup", history=history, asked=kinds, about=there)


def _where(facts: Facts, voice: Voice, name: str) -> Question:
    text = voice.type(voice.say("then_where"), frame=False)
    return Question("followup", text, findings.place_answer(facts.named(name)))


def _on_side(facts: Facts, voice: Voice, name: str, side: str) -> Question:
    text = voice.type(voice.say("then_side", s=side), frame=False)
    places = findings.on_side(KINDS[name].places[facts.region], side)
    return Question("followup", text, findings.at_answer(facts.named(name), places))


def _then_presence(facts: Facts, voice: Voice, before: str) -> Question:
    name = findings.choose(facts, voice)
    while name == before:
        name = findings.choose(facts, voice, there=0.3)
    said = voice.term(name)
    text = voice.say("then_presence", a=said.with_article, n=said.bare, p=said.plural)
    answer = findings.yes_no(facts.named(name))
    return Question(
        "followup", voice.type(text, frame=False), answer, (), *findings.about(facts, name)
    )  # fmt: skip


def _then_describe(facts: Facts, voice: Voice, first: Question) -> Question:
    asked = scans.of_organ(facts, voice, scans.choose_organ(facts, voice), "then_describe")
    return replace(asked, topic="followup", history=first.turns)


def _about_something_else(facts: Facts, voice: Voice) -> Question:
    """A whole question of its own, after others that do not matter to it."""
    history: tuple[tuple[str, str], ...] = ()
    for _ in range(int(voice.rng.integers(1, HISTORY_TURNS + 1))):
        maker = voice.pick(
            (findings.wording, findings.size, scans.normal, scans.scan, findings.unknown,
             scans.offtopic, findings.place)
        )  # fmt: skip
        history = (*history, *maker(facts, voice).turns)
    if voice.chance(0.08):
        history = (("Write a report of this scan.", report(facts)),)
    draw = voice.rng.random()
    if draw < 0.3:
        asked = draw_question(facts, voice.pick(TOPICS), closed=False, rng=voice.rng)
        answer = asked.answer
    else:
        maker = voice.pick((findings.wording, findings.unknown, scans.offtopic, scans.normal))
        asked = maker(facts, voice)
        answer = asked.answer
    return replace(asked, topic="followup", answer_text=answer, history=history)
