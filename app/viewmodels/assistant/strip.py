"""The strip of slice scores beside a view: where each band lies and what it weighs. No widgets.

Positions are fractions 0..1 of the strip, from the first to the last slice of the plane in display
order, outer edges included; the strip stands beside the view, so top is superior, anterior or
right.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.imaging import numbers
from app.viewmodels.assistant.answers import Seen, Turn

#: Bands that have their rank beside them.
RANKED = 3

#: Share of all slices, as an effective number, from which on weights count as nearly equal.
NEARLY_ALL = 0.9


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

    @property
    def ranked(self) -> tuple[BandCell, ...]:
        """The bands of highest weight above an equal share, the highest first."""
        known = [cell for cell in self.cells if (cell.times_uniform or 0.0) > 1.0]
        return tuple(sorted(known, key=lambda cell: -(cell.weight or 0.0))[:RANKED])

    @property
    def peaks(self) -> tuple[BandCell, ...]:
        """Bands above an equal share that weigh more than their neighbours, in display order."""
        times = [-1.0, *(cell.times_uniform or 0.0 for cell in self.cells), -1.0]
        return tuple(
            cell
            for k, cell in enumerate(self.cells, start=1)
            if times[k] > 1.0 and times[k] > times[k - 1] and times[k] >= times[k + 1]
        )

    @property
    def flat(self) -> str:
        """What to say where the weights are nearly equal; "" where they are not."""
        weights = [cell.weight for cell in self.cells if cell.weight is not None]
        if not weights:
            return ""
        effective = 1 / sum(weight**2 for weight in weights)
        if effective < NEARLY_ALL * len(weights):
            return ""
        return f"nearly flat: {effective:.0f} of {len(weights)} slices weigh alike"

    def peak_from(self, slice_index: float, step: int) -> BandCell | None:
        """The next peak (`step` 1) or the one before (−1), seen from a slice in display order."""
        here = self.fraction_of(slice_index)
        middles = [(cell, (cell.top + cell.bottom) / 2) for cell in self.peaks]
        beyond = [
            cell
            for cell, middle in middles
            if (middle - here) * step > 0 and not cell.top <= here <= cell.bottom
        ]
        if not beyond:
            return None
        return beyond[0] if step > 0 else beyond[-1]

    def at(self, fraction: float) -> BandCell | None:
        """The band at a place of the strip; None where the model was given nothing."""
        return next((c for c in self.cells if c.top <= fraction <= c.bottom), None)

    def fraction_of(self, slice_index: float) -> float:
        """Where the middle of a slice (display order) lies on the strip."""
        return (slice_index + 0.5) / self.slice_count


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
