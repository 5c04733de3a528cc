"""Where the bands of highest weight lie in planes other than the model's, and in 3D. No widgets.

A band is the slab of one model slice. A plane across it shows the slab between two lines, which end
at two opposite borders of the image.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.viewmodels.assistant.answers import Turn
from app.viewmodels.assistant.strip import strip_of

#: A plane that climbs by less than this share of a band over its whole image lies along the bands.
ALONG = 1.0


@dataclass(frozen=True)
class Level:
    """A band above an equal share in an image: rank from 1, weight, ends at two opposite borders.

    `ends` has for each border the two points (row, column) between which the band lies there.
    `across` says that the borders are the left and the right one, else top and bottom.
    """

    rank: int
    model_slice: int
    times_uniform: float
    across: bool
    ends: tuple[tuple[tuple[float, float], tuple[float, float]], ...]


@dataclass(frozen=True, eq=False)
class Slab3D:
    """A band above an equal share in the patient: rank from 1, weight, and its eight corners.

    `corners_mm` (8, 3) LPS count in binary along slice, row and column axis. The slab is as large
    as what the model was given of its slices.
    """

    rank: int
    times_uniform: float
    corners_mm: NDArray[np.float64]


def slabs_of(turn: Turn | None) -> tuple[Slab3D, ...]:
    """The bands of highest weight, the highest first; none where the weights are nearly equal."""
    strip = strip_of(turn)
    if turn is None or turn.seen is None or strip is None or strip.flat:
        return ()
    _, rows, columns = turn.seen.geometry.shape
    found = []
    for rank, cell in enumerate(strip.ranked, start=1):
        slices = (cell.model_slice - 0.5, cell.model_slice + 0.5)
        ends = (slices, (-0.5, rows - 0.5), (-0.5, columns - 0.5))
        corners = turn.seen.geometry.to_patient_mm(np.array(list(itertools.product(*ends))))
        found.append(Slab3D(rank, cell.times_uniform or 0.0, corners))
    return tuple(found)


def levels_of(
    turn: Turn | None,
    mm_at: Callable[[float, float], NDArray[np.floating]],
    shape: tuple[int, int],
) -> tuple[Level, ...]:
    """The levels in an image of `shape` (rows, columns) with pixels at `mm_at`; highest first.

    None for an image along the bands, as one of the model's own plane is.
    """
    strip = strip_of(turn)
    if turn is None or turn.seen is None or strip is None:
        return ()
    inverse = np.linalg.inv(turn.seen.geometry.affine_lps)

    def slice_at(row: float, column: float) -> float:
        return float((inverse @ np.append(mm_at(row, column), 1.0))[0])

    first = slice_at(0, 0)
    down, right = slice_at(1, 0) - first, slice_at(0, 1) - first
    rows, columns = shape
    if max(abs(down) * rows, abs(right) * columns) < ALONG:
        return ()
    across = abs(down) >= abs(right)
    borders = (-0.5, (columns if across else rows) - 0.5)

    def place(level: float, border: float) -> tuple[float, float]:
        if across:
            return (level - first - right * border) / down, border
        return border, (level - first - down * border) / right

    return tuple(
        Level(
            rank,
            cell.model_slice,
            cell.times_uniform or 0.0,
            across,
            tuple(
                (place(cell.model_slice - 0.5, border), place(cell.model_slice + 0.5, border))
                for border in borders
            ),
        )
        for rank, cell in enumerate(strip.ranked, start=1)
    )
