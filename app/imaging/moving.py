"""Planes for pictures that move: linear along the thickest side of a voxel, the nearest otherwise.

Thick slices make steps where the nearest voxel is taken; along the other two sides nobody sees a
difference while a picture moves. Of 70,000 samples this takes 1.7 to 3 ms, VTK with all eight
neighbours 1.7 to 8, the nearest voxel by `nearest` 2.5 to 4. Slabs are in `nearest`. Knows no mm.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.imaging.lines import Lines, columns_of
from app.imaging.raster import IndexRaster, StoredVoxels
from app.imaging.slice_reader import Image


def plane(voxels: StoredVoxels, raster: IndexRaster) -> Image:
    """(rows, columns) of the middle of the layers; `voxels.outside` beyond the volume."""
    array = voxels.array
    image: Image = np.full(raster.shape, voxels.outside, dtype=array.dtype)
    lines = Lines.of(raster)
    low, high = lines.spans(array.shape)
    begin, end = columns_of(low, high, raster.shape[1])
    if begin == end:
        return image
    at = np.arange(begin, end)
    values = _linear(array, lines, at, voxels.thickest_axis)
    if image.dtype == np.int16:
        np.rint(values, out=values)
    inside = (at >= low[:, None]) & (at <= high[:, None])
    np.copyto(image[:, begin:end], values, where=inside, casting="unsafe")
    return image


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
        if axis == linear_axis and count > 1:
            np.clip(at, 0, count - 1, out=at)
            whole = np.minimum(at.astype(np.int64), count - 2)
            fraction, next_voxel = (at - whole).astype(np.float32), stride
        else:
            at += 0.5
            whole = np.clip(at.astype(np.int64), 0, count - 1)
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
