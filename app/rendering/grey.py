"""From voxels to pixels through a window and a colour map. Knows no planes and no widgets."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QImage

from app.imaging.colour_names import ColourMap
from app.rendering.colour_maps import table
from med2e3.volume import Window

#: Every int16 value, in the order of its bits as an unsigned number: what a table is looked up by.
_INT16_BY_BITS = np.arange(1 << 16, dtype=np.uint32).astype(np.uint16).view(np.int16)

#: Rows looked up at a time: what numpy makes of their bits stays in the second-level cache.
BAND_ROWS = 64


class GreyMap:
    """A window (DICOM PS3.3 C.11.2.1.2, linear) as a table from values to opaque pixels.

    int16 voxels are looked up directly; float32 voxels are first scaled to the 256 greys.
    """

    def __init__(
        self, window: Window, *, inverted: bool = False, colours: ColourMap = ColourMap.GREY
    ) -> None:
        self.window = window
        self.inverted = inverted
        self.colours = colours
        self._of_grey = table(colours)[::-1] if inverted else table(colours)
        self._of_int16 = self._of_grey[self._greys(_INT16_BY_BITS.astype(np.float32))]

    def pixels(self, values: NDArray[np.int16] | NDArray[np.float32]) -> NDArray[np.uint32]:
        """(rows, columns) of values → (rows, columns) of pixels, contiguous."""
        if values.dtype == np.int16:
            found = np.empty(values.shape, dtype=np.uint32)
            for first in range(0, len(values), BAND_ROWS):
                band = np.ascontiguousarray(values[first : first + BAND_ROWS]).view(np.uint16)
                # "wrap" spares the check of each index; all are in the table.
                np.take(self._of_int16, band, out=found[first : first + BAND_ROWS], mode="wrap")
            return found
        return np.asarray(self._of_grey[self._greys(np.array(values, dtype=np.float32))])

    def _greys(self, scratch: NDArray[np.float32]) -> NDArray[np.uint8]:
        # In place: a 512² slice must not cost three temporary arrays.
        scratch -= np.float32(self.window.low)
        scratch *= np.float32(255.0 / self.window.width)
        np.clip(scratch, 0.0, 255.0, out=scratch)
        return scratch.astype(np.uint8)


@lru_cache(maxsize=8)
def grey_map(window: Window, inverted: bool, colours: ColourMap) -> GreyMap:
    """The table of a window; views that show the same window share it."""
    return GreyMap(window, inverted=inverted, colours=colours)


class Picture(NamedTuple):
    """An image over an array, without a copy; the array must live as long as the image."""

    image: QImage
    pixels: NDArray[np.uint32]


def as_picture(pixels: NDArray[np.uint32]) -> Picture:
    """(rows, columns) of 0xAARRGGBB pixels as an image; alpha is ignored."""
    rows, columns = pixels.shape
    form = QImage.Format.Format_RGB32
    return Picture(QImage(pixels.data, columns, rows, pixels.strides[0], form), pixels)
