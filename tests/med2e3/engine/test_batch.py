"""Many questions at once give what one after the other gives."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import med2e3
from med2e3.engine import Session, batch
from med2e3.errors import QuestionError
from med2e3.volume import Volume

QUESTIONS = [
    "What plane is this?",
    "Is there a nodule in the left lung or a liver effusion? A. yes B. no C. left D. right",
    "organ",
    "Where is the nodule?",
]


def assert_as_asked_singly(session: Session, questions: Sequence[str], tokens: int) -> None:
    replies = session.ask_many(questions, max_new_tokens=tokens)
    assert [r.question for r in replies] == list(questions)
    for question, reply in zip(questions, replies, strict=True):
        answer = session.ask(question, max_new_tokens=tokens)
        assert answer.complete() == reply.text
        assert list(reply.token_ids) == answer.token_ids
        assert reply.finish_reason == answer.finish_reason
        np.testing.assert_allclose(reply.token_probabilities, answer.token_probabilities, atol=1e-5)
        single = [] if answer.scores is None else list(answer.scores.values)
        np.testing.assert_array_equal(reply.scores, single)


def test_a_batch_of_any_lengths_is_answered_token_for_token_as_singly(
    tiny: med2e3.Model, ct: Volume
) -> None:
    session = tiny.read(ct)
    assert_as_asked_singly(session, QUESTIONS, 12)
    assert_as_asked_singly(session, QUESTIONS[::-1], 12)


def test_scores_follow_the_text_that_is_stated_for_them_and_the_words_the_question(
    tiny: med2e3.Model, ct: Volume
) -> None:
    session = tiny.read(ct)
    asked, guide = QUESTIONS[0], QUESTIONS[3]
    plain, led = session.ask(guide), session.ask(asked, scored_by=f"<image3d>\n{guide}")
    assert plain.scores is not None
    assert led.scores is not None
    np.testing.assert_array_equal(led.scores.values, plain.scores.values)
    own = session.ask(asked)
    assert own.scores is not None
    assert not np.array_equal(own.scores.values, led.scores.values)
    led.complete()
    assert led.record["prompt_ids"] == own.record["prompt_ids"]
    assert (led.record["question"], led.record["scored_by"]) == (asked, guide)
    together = session.ask_many([asked, asked], max_new_tokens=3, scored_by=["", guide])
    np.testing.assert_array_equal(together[0].scores, own.scores.values)
    np.testing.assert_array_equal(together[1].scores, led.scores.values)


def test_questions_that_do_not_fit_into_memory_together_go_in_parts(
    tiny: med2e3.Model, ct: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "BATCH_BYTES", 1)
    assert_as_asked_singly(tiny.read(ct), QUESTIONS, 4)


def test_the_released_layout_answers_in_a_batch_too(
    released: med2e3.Model, golden_volumes: Any, golden_items: list[dict[str, Any]]
) -> None:
    session = released.read(next(iter(golden_volumes.values())))
    assert_as_asked_singly(session, [item["question"] for item in golden_items], 8)


def test_a_model_without_scores_answers_in_a_batch_too(fixtures: Path) -> None:
    model = med2e3.load(fixtures / "m3d_lamed" / "checkpoint", device="cpu")
    questions = json.loads((fixtures / "m3d_lamed" / "texts.json").read_text())["questions"]
    grid = np.random.default_rng(0).random(model.info.grid_shape, dtype=np.float32)
    assert_as_asked_singly(model.read(grid), questions[:3], 6)


def test_the_probability_is_the_models_own_whatever_the_temperature(
    tiny: med2e3.Model, ct: Volume
) -> None:
    session = tiny.read(ct)
    greedy = session.ask(QUESTIONS[0], max_new_tokens=1)
    greedy.complete()
    drawn = [
        session.ask(QUESTIONS[0], max_new_tokens=1, temperature=5.0, seed=seed) for seed in range(8)
    ]
    shares = {}
    for answer in drawn:
        answer.complete()
        shares.update(zip(answer.token_ids, answer.token_probabilities, strict=True))
    assert len(shares) > 1
    assert max(shares.values()) <= greedy.token_probabilities[0] + 1e-6
    assert sum(shares.values()) <= 1


def test_an_empty_question_is_refused_in_a_batch(tiny: med2e3.Model, ct: Volume) -> None:
    with pytest.raises(QuestionError, match="empty"):
        tiny.read(ct).ask_many(["What?", " "])
    assert tiny.read(ct).ask_many([]) == []
