"""A picture of part of a plane, or of all of it, and where it lies. Knows no screen."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from app.imaging.slice_reader import Image
from app.imaging.viewport import Viewport

#: Computes the exact picture anywhere; it is told by whom to ask whether nobody waits any more,
#: and then raises `Cancelled`.
Work = Callable[[Callable[[], bool]], Image]

#: How much coarser samples become at a time until there are few enough of them.
COARSER = 1.1


@dataclass(frozen=True, eq=False)
class Patch:
    """`values` (rows, columns), evenly spread between two corners of a plane.

    Corners are (row, column) of the plane's grid, at the outer edges of the outermost samples.
    """

    values: Image
    top_left: tuple[float, float]
    bottom_right: tuple[float, float]

    @staticmethod
    def whole(values: Image) -> Patch:
        """A value for each pixel of the grid."""
        rows, columns = values.shape
        return Patch(values, (-0.5, -0.5), (rows - 0.5, columns - 0.5))

    def rect(self, viewport: Viewport) -> tuple[float, float, float, float]:
        """(x, y, width, height) on the screen."""
        x0, y0 = viewport.to_screen(*self.top_left)
        x1, y1 = viewport.to_screen(*self.bottom_right)
        return x0, y0, x1 - x0, y1 - y0


@dataclass(frozen=True)
class Sampling:
    """Where to read: from which corner, how far apart (in pixels of the grid), how many of each."""

    corner: tuple[float, float]
    step: float
    shape: tuple[int, int]
    layers: int

    @property
    def first(self) -> tuple[float, float]:
        """(row, column) of the first sample."""
        return self.corner[0] + self.step / 2, self.corner[1] + self.step / 2

    def patch(self, values: Image) -> Patch:
        """The values that were read here."""
        top, left = self.corner
        rows, columns = self.shape
        return Patch(values, self.corner, (top + rows * self.step, left + columns * self.step))


def visible(viewport: Viewport, layers: int, most: int) -> Sampling | None:
    """Samples for what a view shows, no finer than its pixels, at most `most` in all layers.

    Layers grow fewer with the samples of each. None where the view shows nothing of the plane.
    """
    top, left = viewport.to_index(0.0, 0.0)
    bottom, right = viewport.to_index(*viewport.size)
    rows, columns = viewport.shape
    top, left = max(_edge(top, math.floor), -0.5), max(_edge(left, math.floor), -0.5)
    bottom, right = (
        min(_edge(bottom, math.ceil), rows - 0.5),
        min(_edge(right, math.ceil), columns - 0.5),
    )
    high, wide = bottom - top, right - left
    if high <= 0 or wide <= 0:
        return None
    step = max(1.0, 1.0 / (viewport.pixels_per_mm * min(viewport.spacing_mm)))
    kept = layers
    while step < max(high, wide):
        shape = (math.ceil(high / step), math.ceil(wide / step))
        kept = max(1, math.ceil(layers / step))
        if shape[0] * shape[1] * kept <= most:
            break
        step *= COARSER
    shape = (math.ceil(high / step), math.ceil(wide / step))
    return Sampling((top, left), step, shape, kept)


def _edge(at: float, round_: Callable[[float], int]) -> float:
    """The border between two pixels on that side of a point."""
    return round_(at + 0.5) - 0.5
