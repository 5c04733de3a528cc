"""One plane of the open volume: the slice that it shows, its zoom, its slab and its pixels.

An index is (slice, row, column) in the volume turned to this plane. Slices run from superior to
inferior, from anterior to posterior or from right to left; rows and columns run as displayed. The
module knows no Qt; a `Viewport` maps rows and columns to the screen.
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
from app.imaging.turn import Turn
from app.imaging.viewport import Viewport
from med2e3.geometry import DISPLAY_AXES, Geometry, Plane
from med2e3.volume import Volume

Float = NDArray[np.float64]

#: Most voxels that a slab of stored slices combines while it moves: about 10 ms on one slow core.
#: The first is for slices one after the other in memory, the second for interleaved slices.
MOVING_VOXELS, MOVING_VOXELS_SIDE_BY_SIDE = 30_000_000, 6_000_000


class PlaneState:
    """The slice of a volume through the crosshair in one plane, and how it is displayed.

    `centre` is the (row, column) in the middle of the view, `fit_mm` the (height, width) that fill
    the view at zoom 1; None: those of the slice. `moving` allows a coarse picture.
    """

    #: How the slices lie on the screen.
    turn = Turn()

    def __init__(self, plane: Plane, volume: Volume) -> None:
        self.plane = plane
        self.volume = self._straight = volume.in_plane(plane)
        self._reader = SliceReader(volume, plane)
        self.zoom = 1.0
        self.centre: tuple[float, float] | None = None
        self.fit_mm: tuple[float, float] | None = None
        self.slab = Slab()
        self.moving = False
        self._exact: tuple[tuple[object, ...], Image] | None = None
        self._moving_patch: tuple[tuple[object, ...], Patch] | None = None
        self._crosshair = self._middle()

    @property
    def geometry(self) -> Geometry:
        """The grid of the volume turned to this plane."""
        return self.volume.geometry

    @property
    def scroll_grid(self) -> Geometry:
        """The grid whose first and last slice bound the crosshair."""
        return self.geometry

    @property
    def count(self) -> int:
        """Number of slices."""
        return self.geometry.shape[0]

    @property
    def slice_index(self) -> int:
        """0-based number of the slice shown, in display order."""
        return min(max(round(float(self._crosshair[0])), 0), self.count - 1)

    @property
    def crosshair(self) -> tuple[float, float]:
        """Fractional (row, column) of the crosshair."""
        return float(self._crosshair[1]), float(self._crosshair[2])

    @property
    def position_mm(self) -> float:
        """LPS coordinate of the slice in mm: x in sagittal, y in coronal, z in axial planes."""
        point = (self.slice_index, *self.crosshair)
        return float(self.geometry.to_patient_mm(point)[DISPLAY_AXES[self.plane][0][0]])

    @property
    def layers(self) -> int:
        """Number of slices in the slab; 1 for a plane."""
        return self.slab.layers(self.geometry.spacing_mm[0])

    @property
    def slab_text(self) -> str:
        """Mode and true thickness of the slab, e.g. "MIP 20.0 mm"; empty for a plane."""
        return self.slab.describe(self.slab_mm)

    @property
    def slab_mm(self) -> float:
        """Thickness in mm of the slices shown that exist: a slab at the edge is thinner."""
        first, end, _ = self._span().indices(self.count)
        return (end - first) * self.geometry.spacing_mm[0]

    @property
    def drawn_key(self) -> tuple[object, ...]:
        """A key that changes whenever `drawn` changes in the same view."""
        return (*self.pixels_key, self.is_coarse)

    @property
    def pixels_key(self) -> tuple[object, ...]:
        """A key that changes whenever `pixels` changes."""
        return (self.slice_index, self.slab, self.turn)

    @property
    def is_coarse(self) -> bool:
        """Whether a coarse picture stands for exact pixels that are not computed yet."""
        return self.moving and self._is_slow() and self._fresh() is None

    @property
    def notes(self) -> tuple[str, ...]:
        """Texts for the title of the view, beside the plane's name."""
        if not self.geometry.is_oblique:
            return ()
        return (f"oblique {self.geometry.obliquity_degrees:.1f}°",)

    @property
    def letters(self) -> tuple[str, str, str, str]:
        """Letters of the patient's sides at the left, right, top and bottom edge."""
        return self.geometry.edge_letters()

    def pixels(self) -> Image:
        """Exact (rows, columns) of the slice or slab shown; it may be a view into the volume.

        Computes them on the calling thread where they are missing: check `is_coarse` first.
        """
        if self._is_stored():
            return self.turn.of_slice(self._reader.read(self.slice_index))
        kept = self._fresh()
        if kept is None:
            kept = self.work()(lambda: False)
            self.keep_pixels(self.pixels_key, kept)
        return kept

    def drawn(self, viewport: Viewport) -> Patch:
        """The picture for a view: `pixels`, or a coarse patch while `is_coarse`."""
        if not self.is_coarse:
            return Patch.whole(self.pixels())
        key = (self.pixels_key, viewport)
        if self._moving_patch is None or self._moving_patch[0] != key:
            self._moving_patch = (key, self._coarse(viewport))
        return self._moving_patch[1]

    def work(self) -> Work:
        """A function that computes `pixels` of the slice shown now, on any thread."""
        return partial(slab.combined, self.volume.voxels[self._span()], self.slab.mode)

    def keep_pixels(self, key: tuple[object, ...], pixels: Image) -> None:
        """Keep exact pixels, computed when `pixels_key` was `key`."""
        self._exact, self._moving_patch = (key, pixels), None

    def forget_pixels(self) -> None:
        """Drop the pixels that were kept: the voxels have changed in place."""
        self._reader.forget()
        self._exact = self._moving_patch = None
        self.moving = True

    def _is_stored(self) -> bool:
        return self.layers == 1

    def _fresh(self) -> Image | None:
        return (
            self._exact[1]
            if self._exact is not None and self._exact[0] == self.pixels_key
            else None
        )

    def _is_slow(self) -> bool:
        return self.layers > 1 and self._stride() > 1

    def _stride(self) -> int:
        """Distance, in pixels, of the rows and columns that a moving slab combines."""
        voxels = self.volume.voxels
        interleaved = voxels.strides[0] == voxels.itemsize
        most = MOVING_VOXELS_SIDE_BY_SIDE if interleaved else MOVING_VOXELS
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
        """Move the crosshair to `patient_mm` (3,), LPS."""
        self._crosshair = self.geometry.to_index(patient_mm)

    def mm_at(self, row: float, column: float, slice_index: float | None = None) -> Float:
        """(3,) LPS mm of a (row, column) of the slice shown, or of another slice."""
        index = self.slice_index if slice_index is None else slice_index
        return self.geometry.to_patient_mm((index, row, column))

    @property
    def normal(self) -> Float:
        """(3,) LPS unit normal of the slice: from its rows across its columns."""
        origin = self.mm_at(0, 0)
        across = np.cross(self.mm_at(1, 0) - origin, self.mm_at(0, 1) - origin)
        return np.asarray(across / np.linalg.norm(across))

    def value_at(self, row: float, column: float) -> float | None:
        """The value (HU in CT) at a pixel of the slice or slab; None outside it."""
        r, c = round(row), round(column)
        if not (0 <= r < self.geometry.shape[1] and 0 <= c < self.geometry.shape[2]):
            return None
        stack = self.volume.voxels[self._span(), r : r + 1, c : c + 1]
        return float(slab.combined(stack, self.slab.mode)[0, 0])

    def _span(self) -> slice:
        return slab.span(self.slice_index, self.layers, self.count)

    def viewport(self, width: float, height: float) -> Viewport:
        """The map from the slice to a view of that size in logical pixels."""
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
        """Adopt the zoom and centre of `viewport`."""
        self.zoom, self.centre = viewport.zoom, viewport.centre

    def reset_view(self) -> None:
        """Fit the slice into the view."""
        self.zoom, self.centre, self.fit_mm = 1.0, None, None

    def lie(self, turn: Turn) -> None:
        """Show the slices turned or mirrored on the screen; the place in the middle stays there."""
        here = self.geometry.to_patient_mm(self._crosshair)
        middle = None if self.centre is None else self.mm_at(*self.centre)
        self.turn = turn
        self.volume = turn.of_volume(self._straight)
        self._exact = self._moving_patch = None
        self.place(here)
        if middle is not None:
            _, row, column = self.geometry.to_index(middle)
            self.centre = (float(row), float(column))

    def _middle(self) -> Float:
        return (np.asarray(self.geometry.shape, dtype=np.float64) - 1) / 2
