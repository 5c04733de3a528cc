"""All slices of a plane as pictures: a file each, or one film. Knows no widgets; works anywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.imaging.plane import PlaneState
from app.rendering.grey import grey_map
from app.viewmodels.images.viewer import Viewer


class Slices:
    """The stored slices of a plane, as the viewer showed them when this was made."""

    def __init__(self, viewer: Viewer, state: PlaneState) -> None:
        self.plane = state.plane
        self._grey = grey_map(viewer.window, viewer.inverted, viewer.colours)
        self._voxels = state.volume.voxels
        _, row_mm, column_mm = state.geometry.spacing_mm
        step = min(row_mm, column_mm)
        _, rows, columns = state.geometry.shape
        #: (width, height) in true proportions: a pixel is as long as the shorter side of a voxel.
        self.size = (round(columns * column_mm / step), round(rows * row_mm / step))

    @property
    def count(self) -> int:
        """Number of slices."""
        return len(self._voxels)

    def pixels(self, index: int) -> NDArray[np.uint8]:
        """(rows, columns, 3) red, green and blue of slice `index`, 0-based."""
        colours = self._grey.pixels(self._voxels[index])
        parts = [(colours >> shift & 255).astype(np.uint8) for shift in (16, 8, 0)]
        return np.stack(parts, axis=-1)

    def image(self, index: int) -> Image.Image:
        """Slice `index` in true proportions."""
        return Image.fromarray(self.pixels(index)).resize(self.size, Image.Resampling.BILINEAR)

    def stack(self, folder: Path) -> str:
        """Write a PNG file a slice into a folder that has none of them; what was written.

        Raises `FileExistsError` where one is there already: nothing is replaced.
        """
        digits = len(str(self.count))
        for k in range(self.count):
            with (folder / f"{self.plane}-{k + 1:0{digits}}.png").open("xb") as file:
                self.image(k).save(file, "PNG")
        return f"{self.count} slices were written to {folder}."

    def film(self, milliseconds: int, path: Path) -> str:
        """Write all slices as a GIF that begins again at its end, so long a slice."""
        first, *others = (self.image(k) for k in range(self.count))
        first.save(path, "GIF", save_all=True, append_images=others, duration=milliseconds, loop=0)
        return f"{self.count} slices were written to {path}."
