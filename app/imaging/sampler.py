"""Values of one volume on rasters at any angle: exact pictures, quick pictures, single values.

A `Reslice` reads the exact pictures. The application passes `app.rendering.reslice`, which uses
VTK; the default is scipy.
"""

from __future__ import annotations

from collections.abc import Callable

from app.imaging import linear, moving, nearest
from app.imaging.raster import Raster, Reslice, StoredVoxels
from app.imaging.slab import Mode
from app.imaging.slice_reader import Image
from med2e3.volume import Volume


class Sampler:
    """Reads values between the voxels of a volume; sees voxels that change in place."""

    def __init__(self, volume: Volume, reslice: Reslice = linear.reslice) -> None:
        self.volume = volume
        self._voxels = StoredVoxels(volume)
        self._reslice = reslice

    @property
    def outside(self) -> float:
        """The value of samples beyond the volume: of air in CT, else 0."""
        return self._voxels.outside

    def image(
        self,
        raster: Raster,
        mode: Mode = Mode.MAXIMUM,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Image:
        """(rows, columns) of exact values, linear in all directions, as `Reslice` says."""
        return self._reslice(self._voxels, self._voxels.to_index(raster), mode, stopped)

    def quick(self, raster: Raster, mode: Mode = Mode.MAXIMUM) -> Image:
        """As `image`, for a picture that moves: near the exact values, in less time.

        A plane is linear along the thickest side of a voxel only; a slab is of the voxels nearest
        to each layer.
        """
        placed = self._voxels.to_index(raster)
        if raster.layers == 1:
            return moving.plane(self._voxels, placed)
        return nearest.slab(self._voxels, placed, mode)

    def value(self, raster: Raster, mode: Mode = Mode.MAXIMUM) -> float | None:
        """The exact value of a raster's first sample; None where no layer of it is inside."""
        return linear.value(self._voxels, self._voxels.to_index(raster), mode)
