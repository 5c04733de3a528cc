"""Slabs: several layers of a volume shown as one image. Knows no geometry beyond a thickness."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import cast

import numpy as np

from app.imaging.slice_reader import LANES, PACKED, Image
from med2e3.errors import Cancelled


class Mode(StrEnum):
    """How the layers of a slab are combined; the values are kept in files of key images."""

    MAXIMUM = "maximum"
    MINIMUM = "minimum"
    MEAN = "mean"


#: The short names that readers of CT use.
SHORT = {Mode.MAXIMUM: "MIP", Mode.MINIMUM: "MinIP", Mode.MEAN: "average"}

#: The same in words.
TITLES = {
    Mode.MAXIMUM: "Maximum (MIP)",
    Mode.MINIMUM: "Minimum (MinIP)",
    Mode.MEAN: "Average",
}

#: Thicknesses on the menu, in mm: vessels and nodules 5 to 20, airways and overviews more.
THICKNESSES_MM = (3.0, 5.0, 10.0, 20.0, 40.0, 80.0)


#: Voxels combined between two looks at whether anybody still waits: about a millisecond.
STRIP_VOXELS = 1 << 21

#: Layers along the fastest axis in memory are first copied, one behind the other, into a block that
#: the second-level cache holds: that takes half the time.
BLOCK_VOXELS = 1 << 16

#: What a slab starts with: vessels and nodules are read at about a centimetre.
STANDARD_MM = 10.0


@dataclass(frozen=True)
class Slab:
    """Layers over `thickness_mm` around the plane; 0: the plane alone."""

    thickness_mm: float = 0.0
    mode: Mode = Mode.MAXIMUM

    def toggled(self) -> Slab:
        """Between a plane and a slab of the standard thickness."""
        return replace(self, thickness_mm=0.0 if self.thickness_mm else STANDARD_MM)

    def with_next_mode(self) -> Slab:
        """Combined in the next way; a plane becomes a slab, so that something changes."""
        modes = list(Mode)
        if not self.thickness_mm:
            return self.toggled()
        return replace(self, mode=modes[(modes.index(self.mode) + 1) % len(modes)])

    def with_mode(self, mode: Mode) -> Slab:
        """Combined in this way; a plane becomes a slab."""
        return replace(self, mode=mode, thickness_mm=self.thickness_mm or STANDARD_MM)

    def thicker(self, steps: int) -> Slab:
        """The next thickness of the menu, up or down; below the first one: the plane alone."""
        choices = (0.0, *THICKNESSES_MM)
        at = max(k for k, mm in enumerate(choices) if mm <= self.thickness_mm)
        return replace(self, thickness_mm=choices[min(max(at + steps, 0), len(choices) - 1)])

    def layers(self, step_mm: float) -> int:
        """How many layers of a grid with this distance between them; at least one."""
        return max(1, round(self.thickness_mm / step_mm))

    def describe(self, true_mm: float) -> str:
        """E.g. "MIP 20.0 mm"; empty for a plane. `true_mm` is what its layers cover."""
        return f"{SHORT[self.mode]} {true_mm:.1f} mm" if self.thickness_mm > 0 else ""


def span(index: int, layers: int, count: int) -> slice:
    """The stored layers of a slab around one of them, kept inside the grid."""
    first = index - layers // 2
    return slice(max(first, 0), min(first + layers, count))


def combined(layers: Image, mode: Mode, stopped: Callable[[], bool] = lambda: False) -> Image:
    """(layers, rows, columns) → (rows, columns), of the same type; means of int16 are rounded.

    Raises `Cancelled` soon after `stopped` says so.
    """
    if len(layers) == 1:
        only: Image = layers[0]
        return only
    count, rows, columns = layers.shape
    image: Image = np.empty((rows, columns), dtype=layers.dtype)
    side_by_side = abs(layers.strides[0]) < abs(layers.strides[2])
    extreme = mode is not Mode.MEAN
    packed = extreme and abs(layers.strides[0]) == layers.itemsize and count >= LANES
    height = max(1, (BLOCK_VOXELS if side_by_side else STRIP_VOXELS) // (count * columns))
    for first in range(0, rows, height):
        if stopped():
            raise Cancelled("A newer picture was asked for.")
        strip: Image = layers[:, first : first + height]
        if packed:
            image[first : first + height] = _folded(strip, mode)
            continue
        whole = cast("Image", np.ascontiguousarray(strip)) if side_by_side else strip
        image[first : first + height] = _reduced(whole, mode)
    return image


def _folded(layers: Image, mode: Mode) -> Image:
    """The largest or smallest of layers that lie next to each other in memory, four at a time.

    Four voxels are copied as one wide number. The last four may overlap those before them, which
    changes no extreme.
    """
    layers = layers if layers.strides[0] > 0 else layers[::-1]
    count, rows, columns = layers.shape
    whole, (step, *others) = count // LANES, layers.strides
    fold = np.maximum if mode is Mode.MAXIMUM else np.minimum

    def fours(first: int, number: int) -> Image:
        shape, strides = (number, rows, columns, LANES), (LANES * step, *others, step)
        four = np.lib.stride_tricks.as_strided(layers[first:], shape, strides, writeable=False)
        wide = np.ascontiguousarray(four.view(PACKED[layers.dtype])[..., 0])
        return cast("Image", wide.view(layers.dtype).reshape(number, rows, columns, LANES))

    lanes = fold.reduce(fours(0, whole), axis=0)
    if count % LANES:
        fold(lanes, fours(count - LANES, 1)[0], out=lanes)
    found = fold(lanes[..., 0], lanes[..., 1])
    for k in range(2, LANES):
        fold(found, lanes[..., k], out=found)
    return cast("Image", found)


def _reduced(layers: Image, mode: Mode) -> Image:
    if mode is Mode.MEAN:
        mean = np.asarray(layers.mean(axis=0, dtype=np.float32))
        return mean if layers.dtype == np.float32 else np.rint(mean).astype(np.int16)
    image: Image = layers.max(axis=0) if mode is Mode.MAXIMUM else layers.min(axis=0)
    return image
