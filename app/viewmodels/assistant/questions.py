"""The ready-made questions on buttons: the model's own, in the words it was trained with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from med2e3.engine import ModelInfo

#: The order of the buttons, by label; others follow in the model's own order.
ORDER = ("Draft report", "Plane", "Phase", "Organ", "Abnormality", "Location")

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
    known = sorted(
        model.questions if model is not None else (),
        key=lambda q: ORDER.index(q.label) if q.label in ORDER else len(ORDER),
    )
    return tuple(ReadyQuestion(q.label, q.text, q.label == REPORT_LABEL) for q in known)
