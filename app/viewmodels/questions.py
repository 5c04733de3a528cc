"""The ready-made questions on buttons: the model's own, in the words it was trained with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from med2e3.engine import ModelInfo

#: The label of the question whose answer goes into the report.
REPORT_LABEL = "Draft report"


@dataclass(frozen=True)
class ReadyQuestion:
    """A question on a button; the answer of a report goes into the report tab."""

    label: str
    text: str
    is_report: bool = False


def ready_questions(model: ModelInfo | None) -> tuple[ReadyQuestion, ...]:
    """The questions that a model brings; none while no model is loaded."""
    known = model.questions if model is not None else ()
    return tuple(ReadyQuestion(q.label, q.text, q.label == REPORT_LABEL) for q in known)
