"""The ready-made questions on buttons. A model may bring its own; these fit any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from med2e3.engine import ModelInfo


@dataclass(frozen=True)
class ReadyQuestion:
    """A question on a button; the answer of a report goes into the report tab."""

    label: str
    text: str
    is_report: bool = False


#: Labels follow the question kinds of M3D-VQA.
READY = (
    ReadyQuestion("Draft report", "Please write a report of this image.", is_report=True),
    ReadyQuestion("Plane", "Which plane is this image in?"),
    ReadyQuestion("Phase", "Which contrast phase is shown?"),
    ReadyQuestion("Organ", "Which organ is shown?"),
    ReadyQuestion("Abnormality", "What abnormality is there?"),
    ReadyQuestion("Location", "Where is the abnormality?"),
)


def ready_questions(model: ModelInfo | None) -> tuple[ReadyQuestion, ...]:
    """The questions for a model: its own where it names some."""
    return READY
