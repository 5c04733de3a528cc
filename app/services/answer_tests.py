"""Tests complete answers on the model's thread: how sure, and what changes when something does.

`med2e3.evidence`, and torch with it, is imported by the first answer. Knows no widgets.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from app.services.jobs import Context
from app.viewmodels.assistant.answers import Asked, Request
from app.viewmodels.assistant.attention import AttentionRequest
from app.viewmodels.assistant.evidence import Found, TestRequest
from med2e3.errors import QuestionError
from med2e3.volume import Volume

if TYPE_CHECKING:
    from med2e3.engine import Answer, Session
    from med2e3.evidence.attention import Attention
    from med2e3.evidence.certainty import Certainty

#: Reasons of an answer that came to an end, and not to a stop.
ENDS = ("end", "length")


class AnswerTests:
    """The answers of the sessions that are still there, and tests of them."""

    def __init__(self) -> None:
        self._tickets = itertools.count(1)
        self._answers: dict[int, tuple[Session, Answer]] = {}

    def remember(self, session: Session, answer: Answer, request: Request) -> Asked | None:
        """What a complete answer can be tested by later; None for one that was stopped."""
        if answer.finish_reason not in ENDS or not getattr(answer, "token_ids", ()):
            return None
        ticket = next(self._tickets)
        self._answers[ticket] = session, answer
        weights = session.model.info.weights_sha256
        return Asked(ticket, answer.record, request.plane, request.window, weights)

    def let_go(self, is_there: Callable[[Session], bool]) -> None:
        """Forget the answers of sessions that are not there any more."""
        kept = self._answers.items()
        self._answers = {ticket: pair for ticket, pair in kept if is_there(pair[0])}

    def run(
        self,
        request: TestRequest,
        session_of: Callable[[Request, Context], Session],
        context: Context,
    ) -> None:
        """Run tests one after another; each emits `Found`. Raises what they raise, `Cancelled`."""
        from med2e3.evidence.interventions import Choices, run_tests

        session, answer = self._again(request.asked, request.volume, session_of, context)
        chosen = request.choice
        choices = Choices(
            bands=chosen.bands, top_k=chosen.top_k, rewordings=chosen.rewordings,
            other=request.other,
        )  # fmt: skip
        for number, name in enumerate(request.names):

            def progress(fraction: float, doing: str, before: int = number) -> None:
                context.progress((before + fraction) / len(request.names), doing)

            found = run_tests(session, answer, [name], choices, progress, context.cancelled)
            context.emit(Found(found))

    def attend(
        self,
        request: AttentionRequest,
        session_of: Callable[[Request, Context], Session],
        context: Context,
    ) -> Attention:
        """The attention of an answer's words. Raises `QuestionError`, `Cancelled`."""
        from med2e3.evidence.attention import attention_of

        session, answer = self._again(request.asked, request.volume, session_of, context)
        return attention_of(session, answer, context.cancelled)

    def _again(
        self,
        asked: Asked,
        volume: Volume,
        session_of: Callable[[Request, Context], Session],
        context: Context,
    ) -> tuple[Session, Answer]:
        """The session and its answer, asked again where they were let go.

        Raises `QuestionError` where the answer is another one now.
        """
        held = self._answers.get(asked.ticket)
        if held is not None:
            return held
        session = session_of(
            Request(volume, asked.record["question"], asked.plane, asked.window), context
        )
        if session.model.info.weights_sha256 != asked.weights:
            raise QuestionError(
                "The answer is of another model than the one that is loaded. Load its model, or "
                "ask again."
            )
        answer = _asked_again(session, asked.record)
        if list(answer.token_ids) != list(asked.record["token_ids"]):
            raise QuestionError(
                f"Asked again, the model says “{answer.text}” in place of "
                f"“{asked.record['answer']}”, so that answer cannot be tested. Ask the question "
                "again."
            )
        self._answers[asked.ticket] = session, answer
        return session, answer


def certainty_of(session: Session, answer: Answer) -> Certainty | None:
    """How sure the model is of a complete answer; None for one that cannot be tested."""
    from med2e3.engine import Session as Real

    if answer.finish_reason not in ENDS or not isinstance(session, Real) or not answer.token_ids:
        return None
    from med2e3.evidence.certainty import how_sure

    return how_sure(session, answer)


def _asked_again(session: Session, record: dict[str, Any]) -> Answer:
    """The answer of a record, with the same decoding."""
    decoding = record["decoding"]
    answer = session.ask(
        record["question"],
        history=[(question, text) for question, text in record["history"]],
        max_new_tokens=decoding["max_new_tokens"],
        temperature=decoding["temperature"],
        top_p=decoding["top_p"],
        seed=decoding["seed"],
        leave_out=record["left_out"],
    )
    answer.complete()
    return answer
