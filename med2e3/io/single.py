"""What is seen by itself and belongs to no volume: one image, or the table of a report.

Knows nothing of file formats.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from med2e3.volume import SeriesInfo, Window


@dataclass(frozen=True, eq=False)
class ImagePlane:
    """Where an image lies in the patient.

    `corner_mm` (3,) is the centre of its first pixel in LPS mm, `row_mm` and `column_mm` (3,) are
    the steps in mm from a row to the next one and from a column to the next one.
    """

    corner_mm: NDArray[np.float64]
    row_mm: NDArray[np.float64]
    column_mm: NDArray[np.float64]

    def to_index(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 2) fractional (row, column) of points (n, 3) in LPS mm, seen at a right angle."""
        from_corner = np.asarray(points_mm, np.float64) - self.corner_mm
        steps = (self.row_mm, self.column_mm)
        return np.stack([from_corner @ step / (step @ step) for step in steps], axis=-1)


@dataclass(frozen=True, eq=False)
class SingleImage:
    """One image that belongs to no volume.

    `values` are (row, column) numbers in `unit` (empty: unknown), or (row, column, 3) colours of 8
    bits. `spacing_mm` is (from row to row, from column to column), of the patient or of what
    `spacing_of` names; None where the file states none. `is_inverted` says that low numbers are
    bright. `place` is None where the file gives no position in the patient.
    """

    values: NDArray[Any]
    kind: str
    info: SeriesInfo
    unit: str = ""
    windows: tuple[Window, ...] = ()
    is_inverted: bool = False
    spacing_mm: tuple[float, float] | None = None
    spacing_of: str = ""
    place: ImagePlane | None = None

    @property
    def is_colour(self) -> bool:
        """Whether the values are colours."""
        return self.values.ndim == 3


class TableRow(NamedTuple):
    """A row of a report: how deep it lies, its name, and its value with its unit."""

    level: int
    name: str
    value: str


@dataclass(frozen=True)
class SingleTable:
    """The content of a structured report as rows."""

    kind: str
    title: str
    info: SeriesInfo
    rows: tuple[TableRow, ...]


Single = SingleImage | SingleTable


@dataclass(frozen=True)
class Singles:
    """The images or reports of a series that are seen one by one: how many, and how to read one.

    `read` takes a number from 0 on and raises `ImageReadError` or `ResourceError`.
    """

    kind: str
    count: int
    read: Callable[[int], Single]
