"""Slabs for pictures that move: the nearest voxel of each layer instead of eight around a point.

The layers of a slab are one raster shifted. Rounding raster and shifts apart makes every shift a
whole number of voxels, so that the places are worked out once for all layers: within a voxel and
a half of the true place, at about a twentieth of the work. Knows no mm.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.imaging.lines import Lines, columns_of
from app.imaging.raster import Float, IndexRaster, StoredVoxels
from app.imaging.slab import Mode
from app.imaging.slice_reader import Image

Whole = NDArray[np.int64]
Mask = NDArray[np.bool_]


def slab(stored: StoredVoxels, raster: IndexRaster, mode: Mode) -> Image:
    """(rows, columns) of the layers, combined; `stored.outside` where no layer meets the volume."""
    voxels, outside = stored.array, stored.outside
    lines, columns, offsets = Lines.of(raster), raster.shape[1], raster.layer_offsets
    image: Image = np.full(raster.shape, outside, dtype=voxels.dtype)
    spans = [lines.moved(offset).spans(voxels.shape) for offset in offsets]
    met = [k for k, span in enumerate(spans) if any(columns_of(*span, columns))]
    if not met:
        return image
    lows, highs = (np.stack([spans[k][side] for k in met]) for side in (0, 1))
    shifts = np.rint(offsets[met]).astype(np.int64)
    every = _between(lows.max(axis=0), highs.min(axis=0), columns)
    never = lows > highs
    lows[never], highs[never] = np.inf, -np.inf
    some = _between(lows.min(axis=0), highs.max(axis=0), columns) & ~every
    image[every] = _whole(voxels, _places(voxels.shape, lines, every), shifts, mode)
    if some.any():
        line, column = np.nonzero(some)
        valid = (column >= lows[:, line]) & (column <= highs[:, line])
        image[some] = _partial(voxels, _places(voxels.shape, lines, some), (shifts, valid), mode)
        image[line[~valid.any(axis=0)], column[~valid.any(axis=0)]] = outside
    return image


def _between(low: Float, high: Float, columns: int) -> Mask:
    at = np.arange(columns)
    return np.asarray((at >= low[:, None]) & (at <= high[:, None]))


def _places(shape: tuple[int, ...], lines: Lines, mask: Mask) -> list[Whole]:
    """The nearest voxel of each sample in `mask`, an index for each axis; it may lie outside."""
    along = np.arange(mask.shape[1], dtype=np.float64)
    places = []
    for axis in range(len(shape)):
        start, step = lines.starts[:, axis] + 0.5, lines.step[axis]
        places.append(np.floor(np.add.outer(start, along * step)[mask]).astype(np.int64))
    return places


def _whole(voxels: Image, places: list[Whole], shifts: Whole, mode: Mode) -> NDArray[Any]:
    """Samples of which all layers lie inside: one place for all of them, and a jump a layer."""
    base = np.zeros(len(places[0]), dtype=np.int64)
    jumps, jump = np.zeros(len(shifts), dtype=np.int64), voxels.size
    for place, shift, count in zip(places, shifts.T, voxels.shape, strict=True):
        jump //= count
        # Rounded twice, the outermost layers may lie a voxel beyond the edge.
        low = min(max(0, -int(shift.min())), count - 1)
        np.clip(place, low, max(count - 1 - max(0, int(shift.max())), low), out=place)
        base += place * jump
        jumps += np.minimum(shift, count - 1 - low) * jump
    flat, so_far = voxels.reshape(-1), _Combined(mode, len(shifts))
    values = np.empty(len(base), dtype=voxels.dtype)
    for offset in np.unique(jumps) if mode is not Mode.MEAN else jumps:
        np.take(flat, base + offset, mode="clip", out=values)
        so_far.add(values)
    return so_far.result(voxels.dtype)


def _partial(
    voxels: Image, places: list[Whole], layers: tuple[Whole, Mask], mode: Mode
) -> NDArray[Any]:
    """Samples of which only the layers in `layers[1]` lie inside."""
    shifts, valid = layers
    flat, so_far = voxels.reshape(-1), _Combined(mode, valid.sum(axis=0))
    for shift, inside in zip(shifts, valid, strict=True):
        at = np.zeros(len(places[0]), dtype=np.int64)
        for place, by, count in zip(places, shift, voxels.shape, strict=True):
            at *= count
            at += np.clip(place + by, 0, count - 1)
        so_far.add(np.take(flat, at, mode="clip"), inside)
    return so_far.result(voxels.dtype)


class _Combined:
    """What layers add up to, one after the other."""

    def __init__(self, mode: Mode, count: Any) -> None:
        self._mode = mode
        self._count = count
        self._so_far: NDArray[Any] | None = None

    def add(self, values: NDArray[Any], inside: Mask | None = None) -> None:
        if inside is not None:
            values = np.where(inside, values, _neutral(self._mode, values.dtype))
        if self._so_far is None:
            wide = self._mode is Mode.MEAN
            self._so_far = values.astype(np.float32 if wide else values.dtype)
        elif self._mode is Mode.MAXIMUM:
            np.maximum(self._so_far, values, out=self._so_far)
        elif self._mode is Mode.MINIMUM:
            np.minimum(self._so_far, values, out=self._so_far)
        else:
            self._so_far += values

    def result(self, dtype: np.dtype[Any]) -> NDArray[Any]:
        assert self._so_far is not None
        if self._mode is Mode.MEAN:
            self._so_far /= np.maximum(self._count, 1)
            if dtype == np.int16:
                np.rint(self._so_far, out=self._so_far)
        return self._so_far.astype(dtype, copy=False)


def _neutral(mode: Mode, dtype: np.dtype[Any]) -> Any:
    """A value that changes no combination; of the same type, so that nothing gets wider."""
    if mode is Mode.MEAN:
        return dtype.type(0)
    ends = np.iinfo(dtype) if dtype == np.int16 else np.finfo(dtype)
    return dtype.type(ends.min if mode is Mode.MAXIMUM else ends.max)
