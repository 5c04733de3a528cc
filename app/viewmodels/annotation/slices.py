"""The pixels of any slice or slab of a volume with their grid, for pictures without a view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.imaging import oblique
from app.imaging.raster import Raster, Reslice
from app.imaging.sampler import Sampler
from app.imaging.slab import Slab, combined, span
from app.viewmodels.annotation import location
from med2e3.geometry import Float, Geometry
from med2e3.measures import Point, SlicePlane, point
from med2e3.volume import Volume


@dataclass(frozen=True, eq=False)
class Slice:
    """(rows, columns) of values, and the grid that they are slice `slice_index` of."""

    pixels: NDArray[np.int16] | NDArray[np.float32]
    geometry: Geometry
    slice_index: int


def slice_of(volume: Volume, plane: SlicePlane, slab: Slab, reslice: Reslice) -> Slice:
    """The display slice nearest to `plane`, or the slab around it, as a view shows it.

    An oblique one covers the volume in squares of its smallest spacing, linear between voxels.
    """
    where = location.locate(volume, plane)
    if where.plane is not None:
        seen = volume.in_plane(where.plane)
        layers = seen.voxels[_stored(seen.geometry, where, slab)]
        return Slice(combined(layers, slab.mode), seen.geometry, where.slice_index)
    grid = _covering(volume, plane)
    origin, step = grid.to_patient_mm((0.0, 0.0, 0.0)), grid.affine_lps[:3, :3]
    count = slab.layers(plane.thickness_mm)
    raster = Raster(origin, step[:, 1], step[:, 2], grid.shape[1:], count, step[:, 0])
    return Slice(Sampler(volume, reslice).image(raster, slab.mode), grid, 0)


def volume_of(volume: Volume, plane: SlicePlane, slab: Slab, reslice: Reslice) -> Volume:
    """The slice of `slice_of` as a volume of one slice, to sample what a reader sees."""
    seen = slice_of(volume, plane, slab, reslice)
    affine = seen.geometry.affine_lps.copy()
    affine[:3, 3] = seen.geometry.to_patient_mm((seen.slice_index, 0.0, 0.0))
    return Volume(seen.pixels[None], Geometry((1, *seen.pixels.shape), affine))


def slab_text(volume: Volume, plane: SlicePlane, slab: Slab) -> str:
    """The slab and its true thickness (mm) in the words of its view; empty for a plane."""
    where = location.locate(volume, plane)
    if where.plane is not None:
        grid = volume.geometry.oriented(where.plane)
        shown = _stored(grid, where, slab)
        return slab.describe((shown.stop - shown.start) * grid.spacing_mm[0])
    depths = _depths_mm(plane, slab)
    origin = np.asarray(plane.origin_mm)
    met = oblique.layers_met(volume.geometry, origin, plane.normal, depths)
    return slab.describe(met * plane.thickness_mm)


def ends_mm(volume: Volume, plane: SlicePlane, slab: Slab) -> tuple[Point, ...]:
    """A point (LPS mm) of the first and of the last layer; none for an oblique plane."""
    where = location.locate(volume, plane)
    if where.plane is None:
        return ()
    grid = volume.geometry.oriented(where.plane)
    shown = _stored(grid, where, slab)
    return tuple(point(grid.to_patient_mm((k, 0, 0))) for k in (shown.start, shown.stop - 1))


def _stored(grid: Geometry, where: location.Location, slab: Slab) -> slice:
    """The slices of the grid turned to `where.plane` that are shown together."""
    return span(where.slice_index, slab.layers(grid.spacing_mm[0]), where.count)


def _depths_mm(plane: SlicePlane, slab: Slab) -> Float:
    """(n,) mm along the normal from an oblique plane to each layer."""
    layers = slab.layers(plane.thickness_mm)
    return np.asarray((np.arange(layers) - (layers - 1) / 2) * plane.thickness_mm)


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
