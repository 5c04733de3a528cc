"""Many questions at once have histories of their own, and get the answers that they get alone."""

from __future__ import annotations

import med2e3
from med2e3.volume import Volume


def test_a_batch_answers_each_question_after_its_own_turns(tiny: med2e3.Model, ct: Volume) -> None:
    session = tiny.read(ct)
    before = [("Is there a nodule?", "Yes.")]
    questions, histories = ["Where is it?", "Where is it?"], [before, []]
    replies = session.ask_many(questions, max_new_tokens=6, histories=histories)
    for question, history, reply in zip(questions, histories, replies, strict=True):
        answer = session.ask(question, history=history, max_new_tokens=6)
        answer.complete()
        assert reply.token_ids == tuple(answer.token_ids)
    assert replies[0].token_ids != replies[1].token_ids
