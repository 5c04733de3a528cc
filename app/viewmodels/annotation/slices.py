"""The pixels of any slice of a volume, with their grid: for pictures made without a view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.viewmodels.annotation import places
from med2e3.geometry import Float, Geometry
from med2e3.measures import SlicePlane
from med2e3.regions import interpolate
from med2e3.volume import AIR_HU, Volume


@dataclass(frozen=True, eq=False)
class Slice:
    """(rows, columns) of values, and the grid that they are slice `slice_index` of."""

    pixels: NDArray[np.int16] | NDArray[np.float32]
    geometry: Geometry
    slice_index: int


def slice_of(volume: Volume, plane: SlicePlane) -> Slice:
    """The display slice nearest to `plane`; an oblique one is interpolated linearly.

    An oblique slice covers the volume in squares of its smallest spacing; beside the volume it
    holds air, or the smallest value where that is higher.
    """
    where = places.where(volume, plane)
    if where.plane is not None:
        seen = volume.in_plane(where.plane)
        return Slice(seen.voxels[where.slice_index], seen.geometry, where.slice_index)
    grid = _covering(volume, plane)
    _, rows, columns = grid.shape
    pixel = np.moveaxis(np.indices((1, rows, columns)), 0, -1).reshape(-1, 3).astype(np.float64)
    index = volume.geometry.to_index(grid.to_patient_mm(pixel))
    last = np.asarray(volume.shape) - 0.5
    inside = ((index >= -0.5) & (index <= last)).all(axis=1)
    pixels = np.full(rows * columns, max(AIR_HU, float(volume.voxels.min())), np.float32)
    pixels[inside] = interpolate(volume, index[inside])
    return Slice(pixels.reshape(rows, columns), grid, 0)


def _covering(volume: Volume, plane: SlicePlane) -> Geometry:
    """A grid of one slice on `plane`, as large as the volume seen along the normal."""
    step = min(volume.geometry.spacing_mm)
    ends = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in volume.shape])).reshape(3, -1).T
    on_plane: Float = plane.to_plane(volume.geometry.to_patient_mm(ends))
    low, high = on_plane.min(axis=0), on_plane.max(axis=0)
    columns, rows = (max(1, int(np.ceil(n / step))) for n in high - low)
    affine = np.eye(4)
    affine[:3, 0] = plane.normal * plane.thickness_mm
    affine[:3, 1] = np.asarray(plane.down) * step
    affine[:3, 2] = np.asarray(plane.right) * step
    affine[:3, 3] = plane.to_patient_mm(low + step / 2)
    return Geometry((1, rows, columns), affine)
