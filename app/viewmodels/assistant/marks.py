"""Whether the slice scores point at the slices that the reader has marked. Knows no widgets.

A mark is a key image in the plane that the model was given, so marks are undone, saved and brought
back with the series as all drawings are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from app.viewmodels.assistant.answers import Seen, Turn
from med2e3.geometry import Plane
from med2e3.measures import SlicePlane


class Marks(Protocol):
    """The reader's marks on the open series."""

    @property
    def planes(self) -> Sequence[SlicePlane]:
        """The planes of the marked slices."""
        ...

    def toggle(self, plane: Plane) -> None:
        """Mark the slice that a plane of the volume is at, or take its mark away."""
        ...


@dataclass(frozen=True)
class MarkedSlices:
    """Marks in the plane of the model.

    `held` are the model slices (from 0) whose bands they lie in, ascending; `outside` counts marks
    in slices that the model was not given, `elsewhere` marks in other planes.
    """

    held: tuple[int, ...] = ()
    outside: int = 0
    elsewhere: int = 0


@dataclass(frozen=True)
class HitRates:
    """How the weights lie on the marked slices, by the field's measures, each 0 to 1.

    `top_k` is the share of the `k` slices of highest weight that are marked; `mass` the share of
    all weight on marked slices; `rank` that of as many top slices as are marked. `by_chance` is the
    share of slices that are marked: what weights without any sense would give on average.
    """

    k: int
    top_k: float
    mass: float
    rank: float
    by_chance: float


def marked_slices(seen: Seen, planes: Sequence[SlicePlane]) -> MarkedSlices:
    """Where marks lie among the slices that the model was given.

    A mark is of that plane where it is parallel to the model's slices.
    """
    held: set[int] = set()
    outside = elsewhere = 0
    own = SlicePlane.of_slice(seen.geometry, 0)
    for plane in planes:
        if not plane.is_parallel(own):
            elsewhere += 1
            continue
        place = float(seen.geometry.to_index(plane.origin_mm)[0])
        number = int(np.floor(place + 0.5))
        if 0 <= number < len(seen.bands):
            held.add(number)
        else:
            outside += 1
    return MarkedSlices(tuple(sorted(held)), outside, elsewhere)


def hit_rates(turn: Turn, marks: MarkedSlices, k: int) -> HitRates | None:
    """The hit rates of an answer's slice scores; None without scores or marks."""
    if turn.scores is None or not marks.held:
        return None
    from med2e3.evidence import attribution

    weights = turn.scores.values.astype(np.float64)
    held = np.zeros(len(weights), dtype=np.bool_)
    held[list(marks.held)] = True
    return HitRates(
        k=min(k, len(weights)),
        top_k=attribution.top_k_hits(weights, held, k),
        mass=attribution.mass_accuracy(weights, held),
        rank=attribution.rank_accuracy(weights, held),
        by_chance=float(held.mean()),
    )


def marks_line(marks: MarkedSlices, rates: HitRates | None) -> str:
    """Marks and hit rates in words."""
    others = [
        f"{count} {words}"
        for count, words in (
            (marks.outside, "cropped away from the model"),
            (marks.elsewhere, "in other planes"),
        )
        if count
    ]
    if not marks.held:
        nothing = "No slice of the model's plane is marked"
        return f"{nothing} ({', '.join(others)})." if others else f"{nothing}."
    numbers = ", ".join(str(number + 1) for number in marks.held)
    told = f"Marked: model slices {numbers}" + (f" ({', '.join(others)})" if others else "")
    if rates is None:
        return f"{told}."
    return (
        f"{told}. Of the top {rates.k} {100 * rates.top_k:.0f} % are marked, of as many top ones "
        f"as marks {100 * rates.rank:.0f} %; {100 * rates.mass:.0f} % of the weight lies on them. "
        f"By chance each would be {100 * rates.by_chance:.0f} %."
    )
