"""What a phantom is asked in words that no training has, and in windows that no training had.

Knows no figures.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from med2e3.engine import Reply, Session
from med2e3.evaluation.free_judge import OFFTOPIC, UNKNOWN
from med2e3.evaluation.records import FREE, WINDOW, Prediction
from med2e3.evidence.answer_words import joint
from med2e3.phantoms import Phantom
from med2e3.phantoms.facts import Facts
from med2e3.phantoms.language import ask_freely
from med2e3.phantoms.language.findings import choose, presence
from med2e3.phantoms.language.lexicon import Lexicon, held_out, trained
from med2e3.phantoms.language.voice import Rng, Voice
from med2e3.phantoms.questions import Question

#: Rows of the tables: what is held out in each. Templates are, in all of them.
SYNONYM, HELD_SYNONYM, FOLLOWUP = "synonyms", "synonyms held out", "followup"

#: Topics of the table of wordings; of listing, reports are judged elsewhere.
WORDED = ("wording", "place", "size", "count", "normal", "scan", "listing")

#: Windows of which every second phantom gets one, by its seed, beside the one of the training.
OTHER_WINDOWS = ("soft tissue", "lung", "bone")

#: Longest free answer, in tokens.
TOKENS = 48

#: Keeps these draws apart from the phantom's own, at its seed.
_STREAM = 4


def free_questions_of(facts: Facts, seed: int) -> Iterator[tuple[str, Question]]:
    """For each row of the tables, a question that no training has drawn."""
    rng = np.random.default_rng([seed, _STREAM])
    for topic in WORDED:
        yield topic, _short(facts, topic, _voice(rng, trained()))
    for row, words in ((SYNONYM, trained()), (HELD_SYNONYM, held_out())):
        for there in (1.0, 0.0):
            voice = _voice(rng, words)
            yield row, presence(facts, voice, choose(facts, voice, there=there))
    strange = replace(_voice(rng, trained()), strange=held_out())
    yield from ((UNKNOWN, ask_freely(facts, "unknown", strange)) for _ in range(2))
    yield OFFTOPIC, ask_freely(facts, "offtopic", strange)
    yield from ((FOLLOWUP, ask_freely(facts, "followup", _voice(rng, trained()))) for _ in range(2))


def ask_free(session: Session, phantom: Phantom) -> list[Prediction]:
    """The answers to them; follow-ups are asked after their own history."""
    rows = list(free_questions_of(phantom.facts, phantom.seed))
    takes = session.model.info.history_turns
    replies = session.ask_many(
        [question.prompt for _, question in rows],
        max_new_tokens=TOKENS,
        histories=[question.history if takes else () for _, question in rows],
    )
    return [
        replace(
            _prediction(row, question, reply, FREE),
            repeats=" / ".join(text for text, _ in question.history),
        )
        for (row, question), reply in zip(rows, replies, strict=True)
    ]


def in_window(name: str, questions: list[Question], replies: list[Reply]) -> list[Prediction]:
    """Answers about a phantom that was read in another window, as predictions."""
    return [_prediction(name, q, r, WINDOW) for q, r in zip(questions, replies, strict=True)]


def _prediction(row: str, question: Question, reply: Reply, use: str) -> Prediction:
    return Prediction(
        row, question.prompt, question.answer, question.letter, reply.text, use,
        len(question.choices),
        confidence=joint(reply.token_probabilities),
        probabilities=tuple(round(p, 6) for p in reply.token_probabilities),
        scores=tuple(round(s, 7) for s in reply.scores),
    )  # fmt: skip


def other_window(seed: int) -> str:
    """The other window in which this phantom is read; "" for every second one, to save time."""
    return "" if seed % 2 else OTHER_WINDOWS[seed // 2 % len(OTHER_WINDOWS)]


def _voice(rng: Rng, words: Lexicon) -> Voice:
    return Voice(rng, held_out(), words, trained(), typed=False)


def _short(facts: Facts, topic: str, voice: Voice) -> Question:
    """A question of the topic whose answer is no report."""
    while True:
        question = ask_freely(facts, topic, voice)
        if "CT, " not in question.answer:
            return question
