"""Reads the stored slices of a volume in one plane.

Where slices are interleaved in memory (sagittal slices of axial CT), each pixel of a slice lies in
another cache line, together with its neighbours in the next slices. Four slices are therefore read
at once, each pixel as one wide number, and kept for the next readings.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from med2e3.geometry import Plane
from med2e3.volume import Volume

#: (rows, columns) of values, or (layers, rows, columns), in the type of the volume.
Image = NDArray[np.int16] | NDArray[np.float32]

#: Slices packed together, and the number type as wide as four voxels of each type.
LANES = 4
PACKED: dict[np.dtype[np.generic], type[np.generic]] = {
    np.dtype(np.int16): np.int64,
    np.dtype(np.float32): np.complex128,
}


class SliceReader:
    """Reads slices (rows, columns) of `volume`, in the display order of `plane`."""

    def __init__(self, volume: Volume, plane: Plane) -> None:
        self._voxels = volume.voxels
        self._turn = volume.geometry.orientation(plane)
        self._turned: Image = volume.in_plane(plane).voxels
        self._packed = self._pack()
        self._block_at = -1
        self._block: NDArray[np.generic] | None = None

    def read(self, index: int) -> Image:
        """Slice `index`, 0-based; it may be a view into the volume."""
        if self._packed is None:
            image: Image = self._turned[index]
            return image
        count = self._turned.shape[0]
        stored = count - 1 - index if self._turn.flips[0] else index
        at, lane = divmod(stored, LANES)
        if at != self._block_at or self._block is None:
            place = count // LANES - 1 - at if self._turn.flips[0] else at
            self._block = np.ascontiguousarray(self._packed[place])
            self._block_at = at
        lanes: Image = self._block.view(self._voxels.dtype)
        return lanes[:, lane::LANES]

    def forget(self) -> None:
        """Drop the slices that were kept: the voxels have changed in place."""
        self._block = None

    def _pack(self) -> NDArray[np.generic] | None:
        """The volume as wide numbers in this plane; None where slices are not interleaved."""
        along_fastest = self._turn.axes[0] == 2
        whole = self._voxels.flags.c_contiguous and self._voxels.shape[2] % LANES == 0
        if not (along_fastest and whole):
            return None
        return self._turn.apply(self._voxels.view(PACKED[self._voxels.dtype]))
