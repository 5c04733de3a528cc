"""Exact pictures of turned planes and slabs, by VTK where it pays and by scipy elsewhere.

VTK takes a half to two thirds of the processor time, but importing it takes a quarter of a second.
So it is loaded by the first picture with many samples, which the viewer reads on a worker; until
then small pictures are read by scipy, and all of them where VTK cannot be loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from app.imaging import linear
from app.imaging.raster import IndexRaster, Reslice, StoredVoxels
from app.imaging.slab import Mode
from app.imaging.slice_reader import Image
from med2e3.preloading import preload_modules

#: Modules of VTK that need all others which `image_reslice` imports.
LIBRARIES = ("vtkImagingCore",)

#: Samples that scipy reads in about 10 ms: too few to load VTK for.
FEW_SAMPLES = 100_000


def reslice(
    voxels: StoredVoxels, raster: IndexRaster, mode: Mode, stopped: Callable[[], bool]
) -> Image:
    """(rows, columns) of exact values, as `app.imaging.raster.Reslice` says."""
    rows, columns = raster.shape
    few = rows * columns * raster.layers <= FEW_SAMPLES
    is_loaded = _vtk.cache_info().currsize > 0
    read = linear.reslice if few and not is_loaded else _vtk()
    return read(voxels, raster, mode, stopped)


@cache
def _vtk() -> Reslice:
    """Reading by VTK, loaded without Python's lock; by scipy where VTK cannot be loaded."""
    preload_modules("vtkmodules", LIBRARIES)
    try:
        from app.rendering.image_reslice import reslice as by_vtk
    except ImportError:
        return linear.reslice
    return by_vtk
