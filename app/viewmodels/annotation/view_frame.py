"""How a view shows a slice: screen to patient mm and back, and which annotations lie on it.

Any slice of a regular grid will do, oblique ones too: the grid is the one that the view shows.
Knows no widgets.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from app.imaging.viewport import Viewport
from app.viewmodels.annotation.model import Annotation
from med2e3.geometry import Float, Geometry
from med2e3.measures import Point, SlicePlane, point

#: An annotation is drawn in full up to half a slice away, and faintly up to this many slices: the
#: reader sees that something was measured next door, and cannot take it for something here.
FAINT_SLICES = 1.5

#: Rounding of coordinates from a file, in slices.
ROUNDING_SLICES = 1e-3

FULL, FAINT, HIDDEN = 1.0, 0.35, 0.0


class ShownSlice(Protocol):
    """The slice of a view, on a grid whose columns run right and rows down."""

    @property
    def geometry(self) -> Geometry:
        """The grid of the slices that the view can show."""
        ...

    @property
    def slice_index(self) -> int:
        """The slice that the view shows (0-based)."""
        ...


@dataclass(frozen=True, eq=False)
class ViewFrame:
    """The slice that a view shows, with its place on the screen."""

    geometry: Geometry
    slice_index: int
    viewport: Viewport

    @classmethod
    def of(cls, shown: ShownSlice, viewport: Viewport) -> ViewFrame:
        """The frame of a view's state."""
        return cls(shown.geometry, shown.slice_index, viewport)

    @cached_property
    def plane(self) -> SlicePlane:
        """The plane of the slice."""
        return SlicePlane.of_slice(self.geometry, self.slice_index)

    @property
    def mm_per_pixel(self) -> float:
        """Length of a screen pixel in the patient."""
        return 1 / self.viewport.pixels_per_mm

    def to_mm(self, x: float, y: float) -> Point:
        """The point (LPS mm) under a screen point, kept inside the outer edges of the slice."""
        row, column = self.viewport.to_index(x, y)
        _, rows, columns = self.geometry.shape
        inside = (min(max(row, -0.5), rows - 0.5), min(max(column, -0.5), columns - 0.5))
        return point(self.geometry.to_patient_mm((float(self.slice_index), *inside)))

    def holds(self, x: float, y: float) -> bool:
        """Whether a screen point lies on the image."""
        left, top, width, height = self.viewport.image_rect()
        return left <= x <= left + width and top <= y <= top + height

    def to_screen(self, points_mm: Float | tuple[Point, ...]) -> Float:
        """(..., 3) LPS mm → (..., 2) screen (x, y), seen along the normal."""
        index = self.geometry.to_index(np.asarray(points_mm, dtype=np.float64))
        zero = np.asarray(self.viewport.to_screen(0, 0))
        per_row = np.asarray(self.viewport.to_screen(1, 0)) - zero
        per_column = np.asarray(self.viewport.to_screen(0, 1)) - zero
        rows, columns = index[..., 1, None], index[..., 2, None]
        return np.asarray(zero + rows * per_row + columns * per_column)

    def strength(self, annotation: Annotation) -> float:
        """`FULL` on the annotation's own slices, `FAINT` next to them, else `HIDDEN`."""
        return self.strength_of(annotation.plane, annotation.points_mm)

    def strength_of(self, plane: SlicePlane, points_mm: tuple[Point, ...] = ()) -> float:
        """The strength of points on a plane; without points, of the plane's origin."""
        if not self.plane.is_parallel(plane):
            return HIDDEN
        away_mm = np.abs(self.plane.distance_mm(points_mm or (plane.origin_mm,))).max()
        slices = float(away_mm) / self.plane.thickness_mm
        if slices <= 0.5 + ROUNDING_SLICES:
            return FULL
        return FAINT if slices <= FAINT_SLICES + ROUNDING_SLICES else HIDDEN
