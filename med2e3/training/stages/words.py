"""What a language model has learned of people's own words, from a report in words alone.

Knows nothing of images.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from med2e3.model.placing import device_of
from med2e3.model.prompts import IGNORE
from med2e3.phantoms.facts import draw_facts, report
from med2e3.phantoms.language import LANGUAGE_TOPICS, ask_freely
from med2e3.phantoms.language.lexicon import held_out, trained
from med2e3.phantoms.language.voice import Voice
from med2e3.phantoms.questions import Question
from med2e3.training.precision import half_precision
from med2e3.training.stages.answers import AnswerCollator, Conversation, answer_loss, first_of

#: Beside the stage's checkpoint: the share of right answers of each topic, by what is held out.
WORDS_FILE = "text-words.json"

#: What is held out: nothing, templates, and with them the names of findings.
HELD_OUT = ("nothing", "wordings", "wordings and names")


def about_report(said: str, question: Question) -> Conversation:
    """The question's conversation with the report where the volume would stand: a line before it.

    The first question's first word has the same token then as after the volume.
    """
    (first, answer), *rest = question.turns
    return ((f"{said}\n{first}", answer), *rest)


def words_right(
    language_model: Any, collator: AnswerCollator, questions: int = 64
) -> dict[str, dict[str, float]]:
    """By what is held out, and by topic: the share of answers whose every token is the likeliest,
    always of the same questions.
    """
    was_training = language_model.training
    language_model.eval()
    found = {
        name: {
            topic: _share(language_model, collator, topic, name, questions)
            for topic in LANGUAGE_TOPICS
        }
        for name in HELD_OUT
    }
    language_model.train(was_training)
    return found


@torch.inference_mode()
def _share(model: Any, collator: AnswerCollator, topic: str, held: str, questions: int) -> float:
    voice = _voice(held)
    rows = []
    for _ in range(questions):
        facts = draw_facts(voice.rng)
        rows.append(about_report(report(facts, brief=True), ask_freely(facts, topic, voice)))
    device = device_of(model)
    batch = collator.batch(rows, device, image=False)
    batch["labels"] = last_answers(batch["labels"])
    with half_precision(device):
        embedded = model.get_input_embeddings()(batch["input_ids"])
        right = answer_loss(model, embedded, batch)[1]
    return round(float(right.mean()), 3)


def last_answers(labels: torch.Tensor) -> torch.Tensor:
    """Labels (B, T) of each row's last answer alone."""
    begun = first_of(labels != IGNORE).cumsum(dim=1)
    return labels.where(begun == begun[:, -1:], IGNORE)


def _voice(held: str) -> Voice:
    wording = trained() if held == "nothing" else held_out()
    names = held_out() if held == HELD_OUT[-1] else trained()
    return Voice(np.random.default_rng(0), wording, names, names, typed=held == "nothing")
