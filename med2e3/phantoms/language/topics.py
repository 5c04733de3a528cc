"""Every topic by its name: those with fixed wordings, and those in people's own words.

A question of training is never one that is kept for the evaluation.
"""

from __future__ import annotations

from med2e3.phantoms.facts import Facts
from med2e3.phantoms.language import findings, scans, talk
from med2e3.phantoms.language.findings import Maker
from med2e3.phantoms.language.voice import Rng, Voice, is_reserved, training_voice
from med2e3.phantoms.questions import ALL_TOPICS, Question, draw_question

#: Makers of the topics in people's own words.
MAKERS: dict[str, Maker] = {
    "wording": findings.wording,
    "place": findings.place,
    "size": findings.size,
    "count": findings.count,
    "normal": scans.normal,
    "scan": scans.scan,
    "listing": scans.listing,
    "unknown": findings.unknown,
    "offtopic": scans.offtopic,
    "followup": talk.followup,
}

LANGUAGE_TOPICS = tuple(MAKERS)
EVERY_TOPIC = (*ALL_TOPICS, *LANGUAGE_TOPICS)


def ask(facts: Facts, topic: str, *, closed: bool, rng: Rng) -> Question:
    """A question of any topic for training; only those of M3D-VQA may be closed."""
    if topic not in MAKERS:
        return draw_question(facts, topic, closed=closed, rng=rng)
    return ask_freely(facts, topic, training_voice(rng))


def ask_freely(facts: Facts, topic: str, voice: Voice) -> Question:
    """A question of a topic in people's own words, said by this voice."""
    while True:
        question = MAKERS[topic](facts, voice)
        texts = [text for text, _ in question.turns]
        if not (voice.is_training and any(map(is_reserved, texts))):
            return question
