"""The map between the pixels of a slice and a view, in true proportions. Knows no Qt.

Screen coordinates are (x, y) in logical pixels from the top left corner of the view. An index is
(row, column), with whole numbers at pixel centres.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

#: Zoom range, in multiples of the size at which the slice just fits.
ZOOM_RANGE = (0.2, 40.0)


@dataclass(frozen=True)
class Viewport:
    """The place of a slice of `shape` (rows, columns) in a view of `size` (width, height).

    `spacing_mm` is (between rows, between columns). `centre` is the (row, column) in the middle of
    the view; None: the middle of the slice. At `zoom` 1 an area of `fit_mm` (height, width) fits
    the view; None: the slice.
    """

    size: tuple[float, float]
    shape: tuple[int, int]
    spacing_mm: tuple[float, float]
    zoom: float = 1.0
    centre: tuple[float, float] | None = None
    fit_mm: tuple[float, float] | None = None

    @property
    def middle(self) -> tuple[float, float]:
        """The (row, column) in the middle of the view."""
        rows, columns = self.shape
        return self.centre if self.centre is not None else ((rows - 1) / 2, (columns - 1) / 2)

    @property
    def pixels_per_mm(self) -> float:
        """Logical pixels a mm, the same along rows and columns."""
        rows, columns = self.shape
        whole_mm = (rows * self.spacing_mm[0], columns * self.spacing_mm[1])
        height_mm, width_mm = self.fit_mm or whole_mm
        fit = min(self.size[0] / width_mm, self.size[1] / height_mm)
        return max(fit, 1e-6) * self.zoom

    def to_screen(self, row: float, column: float) -> tuple[float, float]:
        """(x, y) on the screen of an index."""
        scale, (row0, column0) = self.pixels_per_mm, self.middle
        return (
            self.size[0] / 2 + (column - column0) * self.spacing_mm[1] * scale,
            self.size[1] / 2 + (row - row0) * self.spacing_mm[0] * scale,
        )

    def to_index(self, x: float, y: float) -> tuple[float, float]:
        """Fractional (row, column) at a point of the screen; it may lie outside the slice."""
        scale, (row0, column0) = self.pixels_per_mm, self.middle
        return (
            row0 + (y - self.size[1] / 2) / (self.spacing_mm[0] * scale),
            column0 + (x - self.size[0] / 2) / (self.spacing_mm[1] * scale),
        )

    def image_rect(self) -> tuple[float, float, float, float]:
        """(x, y, width, height) of the slice on the screen, to its outer pixel edges."""
        x0, y0 = self.to_screen(-0.5, -0.5)
        x1, y1 = self.to_screen(self.shape[0] - 0.5, self.shape[1] - 0.5)
        return x0, y0, x1 - x0, y1 - y0

    def zoomed(self, factor: float, x: float, y: float) -> Viewport:
        """The viewport zoomed by `factor` about the screen point (x, y)."""
        low, high = ZOOM_RANGE
        zoom = min(max(self.zoom * factor, low), high)
        row, column = self.to_index(x, y)
        row0, column0 = self.middle
        keep = self.zoom / zoom
        return replace(
            self,
            zoom=zoom,
            centre=(row + (row0 - row) * keep, column + (column0 - column) * keep),
        )

    def panned(self, dx: float, dy: float) -> Viewport:
        """The viewport with the slice moved by (dx, dy) logical pixels."""
        scale, (row0, column0) = self.pixels_per_mm, self.middle
        return replace(
            self,
            centre=(
                row0 - dy / (self.spacing_mm[0] * scale),
                column0 - dx / (self.spacing_mm[1] * scale),
            ),
        )
