"""One plane of the open volume: which slice is shown, and where it lies. Knows no pixels on screen.

Index coordinates here are those of the volume turned to this plane (slice, row, column): slices run
superior → inferior, anterior → posterior or right → left, rows and columns as displayed.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
from numpy.typing import NDArray

from app.imaging import slab
from app.imaging.patch import Patch, Work
from app.imaging.slab import Slab
from app.imaging.slice_reader import Image, SliceReader
from app.imaging.viewport import Viewport
from med2e3.geometry import DISPLAY_AXES, Geometry, Plane
from med2e3.volume import Volume

Float = NDArray[np.float64]

#: Voxels that a slab of stored slices may combine while it moves, about 10 ms on one slow core:
#: where slices lie one behind the other in memory, and where they lie side by side.
MOVING_VOXELS, MOVING_VOXELS_SIDE_BY_SIDE = 30_000_000, 6_000_000


class PlaneState:
    """The slice of a volume that passes through the crosshair, as seen in one plane."""

    def __init__(self, plane: Plane, volume: Volume) -> None:
        self.plane = plane
        self.volume = volume.in_plane(plane)
        self._reader = SliceReader(volume, plane)
        self.zoom = 1.0
        self.centre: tuple[float, float] | None = None
        self.fit_mm: tuple[float, float] | None = None
        self.slab = Slab()
        self.moving = False
        self._kept: tuple[tuple[object, ...], Image] | None = None
        self._drawn: tuple[tuple[object, ...], Patch] | None = None
        self._crosshair = self._middle()

    @property
    def geometry(self) -> Geometry:
        """The grid of the volume turned to this plane."""
        return self.volume.geometry

    @property
    def reach(self) -> Geometry:
        """The grid whose first and last slices the crosshair does not leave."""
        return self.geometry

    @property
    def count(self) -> int:
        """Number of slices."""
        return self.geometry.shape[0]

    @property
    def slice_index(self) -> int:
        """The slice shown, 0-based, in display order."""
        return min(max(round(float(self._crosshair[0])), 0), self.count - 1)

    @property
    def crosshair(self) -> tuple[float, float]:
        """Fractional (row, column) of the common point of the planes."""
        return float(self._crosshair[1]), float(self._crosshair[2])

    @property
    def position_mm(self) -> float:
        """Patient coordinate (x sagittal, y coronal, z axial) of the slice at the crosshair."""
        point = (self.slice_index, *self.crosshair)
        return float(self.geometry.to_patient_mm(point)[DISPLAY_AXES[self.plane][0][0]])

    @property
    def layers(self) -> int:
        """How many slices of the grid the slab takes; 1 where a plane alone is shown."""
        return self.slab.layers(self.geometry.spacing_mm[0])

    @property
    def slab_text(self) -> str:
        """What the slab is and how thick in truth, e.g. "MIP 20.0 mm"; empty for a plane."""
        return self.slab.describe(self.slab_mm)

    @property
    def slab_mm(self) -> float:
        """How thick, in mm, what is shown is: without what would lie beyond the volume's edge."""
        first, end, _ = self._span().indices(self.count)
        return (end - first) * self.geometry.spacing_mm[0]

    @property
    def picture(self) -> tuple[object, ...]:
        """Changes whenever what is drawn would."""
        return (*self.wanted, self.is_coarse)

    @property
    def wanted(self) -> tuple[object, ...]:
        """Changes whenever `pixels` would."""
        return (self.slice_index, self.slab)

    @property
    def is_coarse(self) -> bool:
        """Whether what is drawn is coarser than it can be, since exact pixels take too long."""
        return self.moving and self._is_slow() and self._fresh() is None

    @property
    def notes(self) -> tuple[str, ...]:
        """What the title of the view must say beside the plane's name."""
        if not self.geometry.is_oblique:
            return ()
        return (f"oblique {self.geometry.obliquity_degrees:.1f}°",)

    @property
    def letters(self) -> tuple[str, str, str, str]:
        """Patient sides at the left, right, top and bottom edge."""
        return self.geometry.edge_letters()

    def pixels(self) -> Image:
        """(rows, columns) exactly of the slice or slab shown; it may be a view into the volume.

        Computed here and now where it is not there yet: check `is_coarse` first.
        """
        if self._is_stored():
            return self._reader.read(self.slice_index)
        kept = self._fresh()
        if kept is None:
            kept = self.work()(lambda: False)
            self.take(self.wanted, kept)
        return kept

    def drawn(self, viewport: Viewport) -> Patch:
        """What a view draws: `pixels`, or something coarser for as long as they take too long."""
        if not self.is_coarse:
            return Patch.whole(self.pixels())
        key = (self.wanted, viewport)
        if self._drawn is None or self._drawn[0] != key:
            self._drawn = (key, self._coarse(viewport))
        return self._drawn[1]

    def work(self) -> Work:
        """What computes `pixels` of what is shown now, on any thread."""
        return partial(slab.combined, self.volume.voxels[self._span()], self.slab.mode)

    def take(self, wanted: tuple[object, ...], pixels: Image) -> None:
        """Keep the exact pixels of what was `wanted`."""
        self._kept, self._drawn = (wanted, pixels), None

    def forget_pixels(self) -> None:
        """The voxels have changed in place."""
        self._reader.forget()
        self._kept = self._drawn = None
        self.moving = True

    def _is_stored(self) -> bool:
        return self.layers == 1

    def _fresh(self) -> Image | None:
        return self._kept[1] if self._kept is not None and self._kept[0] == self.wanted else None

    def _is_slow(self) -> bool:
        return self.layers > 1 and self._stride() > 1

    def _stride(self) -> int:
        """Every how many rows and columns a slab is combined while it moves."""
        voxels = self.volume.voxels
        side_by_side = voxels.strides[0] == voxels.itemsize
        most = MOVING_VOXELS_SIDE_BY_SIDE if side_by_side else MOVING_VOXELS
        count = self.layers * voxels.shape[1] * voxels.shape[2]
        return max(1, math.ceil(math.sqrt(count / most)))

    def _coarse(self, viewport: Viewport) -> Patch:
        stride = self._stride()
        first = (stride - 1) // 2
        stack = self.volume.voxels[self._span(), first::stride, first::stride]
        values = slab.combined(stack, self.slab.mode)
        rows, columns = values.shape
        edge = first - stride / 2
        return Patch(values, (edge, edge), (edge + rows * stride, edge + columns * stride))

    def place(self, patient_mm: Float) -> None:
        """Let the crosshair be at `patient_mm` (LPS)."""
        self._crosshair = self.geometry.to_index(patient_mm)

    def mm_at(self, row: float, column: float, slice_index: float | None = None) -> Float:
        """LPS mm of a (row, column) of the slice shown, or of another slice."""
        index = self.slice_index if slice_index is None else slice_index
        return self.geometry.to_patient_mm((index, row, column))

    def value_at(self, row: float, column: float) -> float | None:
        """The value (HU in CT) shown at a point of the slice or slab; None beside it."""
        r, c = round(row), round(column)
        if not (0 <= r < self.geometry.shape[1] and 0 <= c < self.geometry.shape[2]):
            return None
        stack = self.volume.voxels[self._span(), r : r + 1, c : c + 1]
        return float(slab.combined(stack, self.slab.mode)[0, 0])

    def _span(self) -> slice:
        return slab.span(self.slice_index, self.layers, self.count)

    def viewport(self, width: float, height: float) -> Viewport:
        """How the slice lies in a view of that size."""
        _, rows, columns = self.geometry.shape
        _, row_mm, column_mm = self.geometry.spacing_mm
        return Viewport(
            (width, height),
            (rows, columns),
            (row_mm, column_mm),
            self.zoom,
            self.centre,
            self.fit_mm,
        )

    def look(self, viewport: Viewport) -> None:
        """Take zoom and centre over from `viewport`."""
        self.zoom, self.centre = viewport.zoom, viewport.centre

    def reset_view(self) -> None:
        """Fit the slice into the view again."""
        self.zoom, self.centre, self.fit_mm = 1.0, None, None

    def _middle(self) -> Float:
        return (np.asarray(self.geometry.shape, dtype=np.float64) - 1) / 2
