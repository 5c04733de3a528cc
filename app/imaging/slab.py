"""Slabs: layers of a volume combined into one image. Knows no geometry beyond a thickness."""

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


#: Voxels combined between two questions whether to stop: about a millisecond.
STRIP_VOXELS = 1 << 21

#: Voxels of a block of layers that are interleaved in memory. It is copied layer by layer and fits
#: the second-level cache, which halves the time.
BLOCK_VOXELS = 1 << 16

#: The first thickness of a slab: vessels and nodules are read at about a centimetre.
STANDARD_MM = 10.0


@dataclass(frozen=True)
class Slab:
    """A slab of `thickness_mm`, centred on the plane; 0: the plane alone."""

    thickness_mm: float = 0.0
    mode: Mode = Mode.MAXIMUM

    def toggled(self) -> Slab:
        """A plane for a slab, and a slab of `STANDARD_MM` for a plane."""
        return replace(self, thickness_mm=0.0 if self.thickness_mm else STANDARD_MM)

    def with_next_mode(self) -> Slab:
        """The slab in the next mode; a plane becomes a slab of `STANDARD_MM`."""
        modes = list(Mode)
        if not self.thickness_mm:
            return self.toggled()
        return replace(self, mode=modes[(modes.index(self.mode) + 1) % len(modes)])

    def with_mode(self, mode: Mode) -> Slab:
        """The slab in this mode; a plane becomes a slab of `STANDARD_MM`."""
        return replace(self, mode=mode, thickness_mm=self.thickness_mm or STANDARD_MM)

    def thicker(self, steps: int) -> Slab:
        """The slab so many thicknesses of the menu up or down; below the first: a plane."""
        choices = (0.0, *THICKNESSES_MM)
        at = max(k for k, mm in enumerate(choices) if mm <= self.thickness_mm)
        return replace(self, thickness_mm=choices[min(max(at + steps, 0), len(choices) - 1)])

    def layers(self, step_mm: float) -> int:
        """Number of layers `step_mm` apart that make up the thickness; at least one."""
        return max(1, round(self.thickness_mm / step_mm))

    def describe(self, true_mm: float) -> str:
        """E.g. "MIP 20.0 mm"; empty for a plane. `true_mm` is the thickness of its layers."""
        return f"{SHORT[self.mode]} {true_mm:.1f} mm" if self.thickness_mm > 0 else ""


def span(index: int, layers: int, count: int) -> slice:
    """The slices of a slab around slice `index`, as far as they exist among `count`."""
    first = index - layers // 2
    return slice(max(first, 0), min(first + layers, count))


def combined(layers: Image, mode: Mode, stopped: Callable[[], bool] = lambda: False) -> Image:
    """Combine (layers, rows, columns) into (rows, columns) of the same type.

    Means of int16 are rounded. Raises `Cancelled` before a strip for which `stopped()` holds.
    """
    if len(layers) == 1:
        only: Image = layers[0]
        return only
    count, rows, columns = layers.shape
    image: Image = np.empty((rows, columns), dtype=layers.dtype)
    interleaved = abs(layers.strides[0]) < abs(layers.strides[2])
    extreme = mode is not Mode.MEAN
    packed = extreme and abs(layers.strides[0]) == layers.itemsize and count >= LANES
    height = max(1, (BLOCK_VOXELS if interleaved else STRIP_VOXELS) // (count * columns))
    for first in range(0, rows, height):
        if stopped():
            raise Cancelled("A newer picture was asked for.")
        strip: Image = layers[:, first : first + height]
        if packed:
            image[first : first + height] = _folded(strip, mode)
            continue
        whole = cast("Image", np.ascontiguousarray(strip)) if interleaved else strip
        image[first : first + height] = _reduced(whole, mode)
    return image


def _folded(layers: Image, mode: Mode) -> Image:
    """The largest or smallest of layers interleaved in memory, four layers at a time.

    Four voxels are copied as one wide number. The last four layers may overlap those before them:
    a voxel counted twice changes no extreme.
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
