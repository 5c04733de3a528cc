"""A session whose questions leave some bands out: the test of an answer by what it is not given."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from med2e3.engine.answer import Answer
from med2e3.engine.scores import ScoredBand
from med2e3.preprocessing import Band, ModelInput
from med2e3.volume import Volume


class Asked(Protocol):
    """What is read of a `Session`."""

    volume: Volume
    input: ModelInput

    @property
    def ask(self) -> Callable[..., Answer]: ...  # noqa: D102


@dataclass(frozen=True, eq=False)
class Without:
    """Made by `Session.without`; asks the session's own cache.

    `left_out` are the model slices whose 2D features have no weight.
    """

    session: Asked
    left_out: frozenset[int]

    @property
    def volume(self) -> Volume:
        """The session's volume."""
        return self.session.volume

    @property
    def input(self) -> ModelInput:
        """What the model was given of the volume."""
        return self.session.input

    def ask(self, question: str, *, leave_out: Iterable[int] = (), **options: Any) -> Answer:
        """As `Session.ask`, which says what the options are; `leave_out` are further slices."""
        both = sorted(self.left_out.union(int(k) for k in leave_out))
        return self.session.ask(question, leave_out=both, **options)

    def without(self, bands: Iterable[int | Band | ScoredBand]) -> Without:
        """The same with further bands left out."""
        return Without(self.session, self.left_out.union(map(model_slice, bands)))


def model_slice(band: int | Band | ScoredBand) -> int:
    """The number of the model slice that a band, a scored band or a number names."""
    if isinstance(band, ScoredBand):
        return band.band.model_slice
    return band.model_slice if isinstance(band, Band) else int(band)
