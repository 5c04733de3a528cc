"""Pictures of all or part of a plane, and the grid of samples that a view needs of it.

Positions are (row, column) in the grid of the plane, with whole numbers at pixel centres.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from app.imaging.slice_reader import Image
from app.imaging.viewport import Viewport

#: Computes an exact picture on any thread. Its argument says whether nobody waits for the picture
#: any more; the function then raises `Cancelled`.
Work = Callable[[Callable[[], bool]], Image]

#: Factor by which the distance of samples grows until there are few enough of them.
COARSER = 1.1


@dataclass(frozen=True, eq=False)
class Patch:
    """`values` (rows, columns), evenly spaced between two corners of a plane.

    The corners lie at the outer edges of the outermost samples.
    """

    values: Image
    top_left: tuple[float, float]
    bottom_right: tuple[float, float]

    @staticmethod
    def whole(values: Image) -> Patch:
        """The patch that has one value for each pixel of the plane."""
        rows, columns = values.shape
        return Patch(values, (-0.5, -0.5), (rows - 0.5, columns - 0.5))

    def rect(self, viewport: Viewport) -> tuple[float, float, float, float]:
        """(x, y, width, height) of the patch in the view, in logical pixels."""
        x0, y0 = viewport.to_screen(*self.top_left)
        x1, y1 = viewport.to_screen(*self.bottom_right)
        return x0, y0, x1 - x0, y1 - y0


@dataclass(frozen=True)
class PatchGrid:
    """The samples of a patch: `layers` layers of `shape` (rows, columns).

    `top_left` is the outer edge of the first sample; `step` is the distance of samples, both along
    rows and columns, in pixels of the plane.
    """

    top_left: tuple[float, float]
    step: float
    shape: tuple[int, int]
    layers: int

    @property
    def first_sample(self) -> tuple[float, float]:
        """(row, column) of the centre of the first sample."""
        return self.top_left[0] + self.step / 2, self.top_left[1] + self.step / 2

    def patch(self, values: Image) -> Patch:
        """The patch of values (rows, columns) read at these samples."""
        top, left = self.top_left
        rows, columns = self.shape
        return Patch(values, self.top_left, (top + rows * self.step, left + columns * self.step))


def visible_grid(viewport: Viewport, layers: int, most: int) -> PatchGrid | None:
    """The samples of what a view shows of a plane, at most `most` in all layers.

    They are no finer than the view's pixels. Coarser samples have fewer layers, too. None where the
    plane lies outside the view.
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
    return PatchGrid((top, left), step, shape, kept)


def _edge(at: float, round_: Callable[[float], int]) -> float:
    """The edge between two pixels nearest to `at`, on the side that `round_` chooses."""
    return round_(at + 0.5) - 0.5
