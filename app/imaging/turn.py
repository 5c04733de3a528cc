"""How a slice lies on its screen: by quarter turns, and mirrored. Letters follow from the grid.

Turning changes which voxel stands where on the screen, never where it is in the patient.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from app.imaging.slice_reader import Image
from med2e3.geometry import Geometry
from med2e3.volume import Volume


@dataclass(frozen=True)
class Turn:
    """Rows and columns exchanged first, then rows, then columns in the other order."""

    exchanged: bool = False
    rows_back: bool = False
    columns_back: bool = False

    @property
    def is_straight(self) -> bool:
        """Whether nothing is turned."""
        return self == Turn()

    def quarter(self) -> Turn:
        """A quarter turn further, clockwise on the screen: the first row becomes the last column.

        A clockwise quarter exchanges rows and columns and then reverses the columns.
        """
        return Turn(not self.exchanged, self.columns_back, not self.rows_back)

    def mirrored(self) -> Turn:
        """Left and right on the screen exchanged."""
        return replace(self, columns_back=not self.columns_back)

    def upended(self) -> Turn:
        """Top and bottom on the screen exchanged."""
        return replace(self, rows_back=not self.rows_back)

    def of_slice(self, pixels: Image) -> Image:
        """(..., rows, columns) turned; a view of the same memory."""
        if self.exchanged:
            pixels = pixels.swapaxes(-1, -2)
        if self.rows_back:
            pixels = pixels[..., ::-1, :]
        return pixels[..., ::-1] if self.columns_back else pixels

    def of_grid(self, grid: Geometry) -> Geometry:
        """The grid (slice, row, column) whose voxels are those of `of_slice` of each slice."""
        columns, origin = grid.affine_lps[:3, :3].copy(), grid.affine_lps[:3, 3].copy()
        shape = list(grid.shape)
        if self.exchanged:
            columns[:, [1, 2]] = columns[:, [2, 1]]
            shape[1], shape[2] = shape[2], shape[1]
        for axis, back in ((1, self.rows_back), (2, self.columns_back)):
            if back:
                origin += columns[:, axis] * (shape[axis] - 1)
                columns[:, axis] *= -1
        affine = np.eye(4)
        affine[:3, :3], affine[:3, 3] = columns, origin
        return Geometry((shape[0], shape[1], shape[2]), affine)

    def of_volume(self, volume: Volume) -> Volume:
        """A volume whose slices are turned; its voxels are a view of the same memory."""
        if self.is_straight:
            return volume
        return replace(
            volume, voxels=self.of_slice(volume.voxels), geometry=self.of_grid(volume.geometry)
        )
