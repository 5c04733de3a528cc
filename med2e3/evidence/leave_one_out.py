"""How much an answer rests on the weight of each slice: without one slice after the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from med2e3.engine import Answer, Session
from med2e3.engine.interruption import StopCheck
from med2e3.evidence.probing import Probe
from med2e3.evidence.values import from_json, to_json


@dataclass(frozen=True)
class LeaveOneOut:
    """The first answer's probability without each slice's weight (S,), and whether it would change.

    `weights` (S,) are the slice scores that the answer had. A slice that the question itself left
    out has the probability of the answer as it is.
    """

    question: str
    answer: str
    probability: float
    without: tuple[float, ...]
    changed: tuple[bool, ...]
    weights: tuple[float, ...]

    @property
    def drops(self) -> tuple[float, ...]:
        """How far the probability falls without each slice; negative where it rises."""
        return tuple(self.probability - one for one in self.without)

    def to_json(self) -> str:
        """As one JSON object."""
        return to_json(self)

    @classmethod
    def from_json(cls, text: str) -> LeaveOneOut:
        """Back from JSON. Raises `InputError`."""
        return from_json(cls, text)


def leave_one_out(
    session: Session, answer: Answer, cancelled: StopCheck | None = None
) -> LeaveOneOut:
    """Leave each slice out by itself; all variants share the volume's prefix and run in batches.

    Raises `QuestionError` for a model without slice scores or of one slice, and `Cancelled`.
    """
    probe = Probe(session, answer)
    rows = np.stack([probe.without([k]) for k in range(len(probe.weights))])
    found = probe.under_weights(rows, cancelled)
    return LeaveOneOut(
        question=answer.prompt.question,
        answer=answer.text,
        probability=probe.first.probability,
        without=tuple(one.probability for one in found),
        changed=tuple(not one.same for one in found),
        weights=tuple(float(w) for w in probe.weights),
    )
