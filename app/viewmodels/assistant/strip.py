"""The strip of slice scores beside a view: where each band lies and what it weighs. No widgets.

Positions are fractions 0..1 of the strip, from the first to the last slice of the plane in display
order, outer edges included; the strip stands beside the view, so top is superior, anterior or
right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.imaging import numbers
from app.viewmodels.assistant.answers import Seen, Turn

if TYPE_CHECKING:
    from med2e3.engine import Scores


@dataclass(frozen=True)
class BandCell:
    """One model slice on the strip. `times_uniform` None: the scores are not known (yet)."""

    model_slice: int
    top: float
    bottom: float
    weight: float | None
    times_uniform: float | None
    slices: tuple[int, int]
    mm: tuple[float, float]
    axis: str

    @property
    def tip(self) -> str:
        """What the band is, in words."""
        where = (
            f"{self.axis} {numbers.mm_range(*self.mm)} · {numbers.slice_range(*self.slices)} "
            f"· model slice {self.model_slice + 1}"
        )
        if self.weight is None or self.times_uniform is None:
            return where
        share = f"{numbers.times(self.times_uniform)} uniform · weight {self.weight:.4f}"
        return f"{share}\n{where}"


@dataclass(frozen=True)
class Strip:
    """All bands of a turn, and which slices no model slice reads."""

    cells: tuple[BandCell, ...]
    unread: tuple[float, ...]
    slice_count: int

    def at(self, fraction: float) -> BandCell | None:
        """The band at a place of the strip; None where the model was given nothing."""
        return next((c for c in self.cells if c.top <= fraction <= c.bottom), None)

    def fraction_of(self, slice_index: float) -> float:
        """Where the middle of a slice (display order) lies on the strip."""
        return (slice_index + 0.5) / self.slice_count


def peaks_of(scores: Scores) -> list[int]:
    """The model slices with more than an equal share and no less than their neighbours have."""
    times = scores.times_uniform
    around = [*times[:1] * 0, *times, *times[:1] * 0]
    return [
        k
        for k, value in enumerate(times)
        if value > 1 and value >= around[k] and value >= around[k + 2]
    ]


def strip_of(turn: Turn | None) -> Strip | None:
    """The strip of a turn; None until it is known what the model was given."""
    if turn is None or turn.seen is None:
        return None
    seen = turn.seen
    count = seen.slice_count
    unread = tuple((k + 0.5) / count for k in seen.unread_view_slices)
    return Strip(tuple(_cell(turn, seen, k) for k in range(len(seen.bands))), unread, count)


def _cell(turn: Turn, seen: Seen, model_slice: int) -> BandCell:
    band, scores = seen.bands[model_slice], turn.scores
    low, high = seen.edges[model_slice : model_slice + 2]
    return BandCell(
        model_slice=model_slice,
        top=float(low + 0.5) / seen.slice_count,
        bottom=float(high + 0.5) / seen.slice_count,
        weight=None if scores is None else float(scores.values[model_slice]),
        times_uniform=None if scores is None else float(scores.times_uniform[model_slice]),
        slices=band.view_slices,
        mm=(band.from_mm, band.to_mm),
        axis=numbers.axis_of(seen.plane),
    )
