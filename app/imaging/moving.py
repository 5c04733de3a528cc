"""Planes for pictures that move: linear along the thickest side of a voxel, the nearest otherwise.

Thick slices make steps where the nearest voxel is taken; along the other two sides nobody sees a
difference while a picture moves. Of 70,000 samples this takes 1.4 to 2.5 ms, VTK with all eight
neighbours 1.7 to 8, the nearest voxel by `nearest` 2.5 to 4. Slabs are in `nearest`. Knows no mm.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.imaging.lines import Lines, columns_of
from app.imaging.raster import IndexRaster, StoredVoxels
from app.imaging.slice_reader import Image

#: Rows worked on at a time: their temporaries stay in the processor's second-level cache.
BLOCK_ROWS = 64


def plane(voxels: StoredVoxels, raster: IndexRaster) -> Image:
    """(rows, columns) of the middle of the layers; `voxels.outside` beyond the volume."""
    image: Image = np.full(raster.shape, voxels.outside, dtype=voxels.array.dtype)
    lines = Lines.of(raster)
    for first in range(0, raster.shape[0], BLOCK_ROWS):
        rows = slice(first, first + BLOCK_ROWS)
        _fill(image[rows], voxels, Lines(lines.starts[rows], lines.step))
    return image


def _fill(image: Image, voxels: StoredVoxels, lines: Lines) -> None:
    """Put the values of these lines into `image` (lines, columns), where they are inside."""
    low, high = lines.spans(voxels.array.shape)
    begin, end = columns_of(low, high, image.shape[1])
    if begin == end:
        return
    at = np.arange(begin, end)
    values = _linear(voxels.array, lines, at, voxels.thickest_axis)
    if image.dtype == np.int16:
        np.rint(values, out=values)
    if low.max() <= begin and high.min() >= end - 1:
        image[:, begin:end] = values
    else:
        inside = (at >= low[:, None]) & (at <= high[:, None])
        np.copyto(image[:, begin:end], values, where=inside, casting="unsafe")


def _linear(
    array: Image, lines: Lines, columns: NDArray[np.int64], linear_axis: int
) -> NDArray[np.float32]:
    """(lines, columns) of values; samples outside the array get one of its border."""
    along = columns.astype(np.float64)
    base = np.zeros((len(lines.starts), len(columns)), dtype=np.int64)
    fraction, next_voxel, stride = None, 0, array.size
    for axis, count in enumerate(array.shape):
        stride //= count
        at = np.add.outer(lines.starts[:, axis], along * lines.step[axis])
        is_linear = axis == linear_axis and count > 1
        if not is_linear:
            at += 0.5
        whole = at.astype(np.int64)
        corners = at[[0, 0, -1, -1], [0, -1, 0, -1]]  # nothing lies beyond them
        if corners.min() < 0 or corners.max() >= count - is_linear:
            np.clip(whole, 0, count - 1 - is_linear, out=whole)
        if is_linear:
            np.clip(at, 0, count - 1, out=at)
            at -= whole
            fraction, next_voxel = at.astype(np.float32), stride
        whole *= stride
        base += whole
    flat = array.reshape(-1)
    # "wrap" spares the check of each index; all are inside.
    near = np.take(flat, base, mode="wrap").astype(np.float32)
    if fraction is None:
        return near
    far = np.take(flat[next_voxel:], base, mode="wrap").astype(np.float32)
    far -= near
    far *= fraction
    far += near
    return far
