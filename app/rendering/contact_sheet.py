"""Slices side by side in coloured frames, composed as one array. Knows no widgets.

Frames change with every answer while slices stay: these are scaled once for a size. And each call
into Qt gives up Python's lock, which a model at work takes and keeps for a while; 32 slices
painted one by one were held up for a tenth of a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.imaging.colour_names import ColourMap
from app.rendering.colour_maps import table

Grey = NDArray[np.uint8]
Pixels = NDArray[np.uint32]


class Cell(NamedTuple):
    """Where a slice and its frame stand, in pixels of the screen."""

    left: int
    top: int
    width: int
    height: int


class ContactSheet:
    """Slices (count, rows, columns) as they are drawn, scaled anew only for another size."""

    def __init__(self, slices: Grey) -> None:
        self.slices = slices
        self._drawn: Pixels = np.empty((0, 0, 0), np.uint32)

    def compose(
        self,
        shape: tuple[int, int],
        cells: Sequence[Cell],
        frames: Sequence[int],
        background: int,
        inset: tuple[int, int],
    ) -> Pixels:
        """(rows, columns) of opaque pixels: each slice in its cell, which are all of one size.

        A frame begins `inset[0]` pixels from the cell's edge and ends at `inset[1]`, where the
        slice begins. Colours are 0xffRRGGBB.
        """
        found = np.full(shape, background, np.uint32)
        if not cells:
            return found
        outer, inner = inset
        height, width = cells[0].height - 2 * inner, cells[0].width - 2 * inner
        if height < 1 or width < 1:
            return found
        if self._drawn.shape[1:] != (height, width):
            self._drawn = table(ColourMap.GREY)[scaled(self.slices, height, width)]
        for cell, pixels, colour in zip(cells, self._drawn, frames, strict=True):
            place = found[cell.top : cell.top + cell.height, cell.left : cell.left + cell.width]
            place[outer : cell.height - outer, outer : cell.width - outer] = colour
            place[inner : inner + height, inner : inner + width] = pixels
        return found


def scaled(slices: Grey, height: int, width: int) -> Grey:
    """(count, rows, columns) → (count, height, width), linear between centres of pixels."""
    down, across = _weights(slices.shape[1], height), _weights(slices.shape[2], width)
    found = np.empty((len(slices), height, width), np.uint8)
    for each, grey in zip(found, slices, strict=True):  # one by one: all at once leave the cache
        each[:] = down @ grey.astype(np.float32) @ across.T + np.float32(0.5)
    return found


def _weights(old: int, new: int) -> NDArray[np.float32]:
    """(new, old): how much of each old pixel is in each new one."""
    places = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    away = np.abs(places[:, None] - np.arange(old))
    return np.asarray(np.maximum(1 - away, 0), np.float32)
