"""All slices of a plane as pictures: a file each, or one film. Knows no widgets; works anywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.imaging.plane import PlaneState
from app.rendering.grey import grey_map
from app.viewmodels.images.viewer import Viewer
from med2e3.errors import InputError

#: Of H.264, from 0 to 10; the library itself takes 5.
MP4_QUALITY = 8


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
        """Write all slices as a film, so long a slice: MP4 by its suffix, else GIF.

        Raises `InputError` for MP4 where what writes it is not installed.
        """
        if path.suffix.lower() == ".mp4":
            return self._mp4(milliseconds, path)
        first, *others = (self.image(k) for k in range(self.count))
        first.save(path, "GIF", save_all=True, append_images=others, duration=milliseconds, loop=0)
        return f"{self.count} slices were written to {path}."

    def _mp4(self, milliseconds: int, path: Path) -> str:
        """H.264 (ITU-T H.264), with an even number of rows and columns, as it demands."""
        try:
            import imageio_ffmpeg
        except ImportError as error:
            raise InputError(
                "MP4 needs imageio-ffmpeg, which is not installed. Install it: "
                "pip install 'med2e3[video]', or save the slices as GIF."
            ) from error
        width, height = (max(2, n + n % 2) for n in self.size)
        writer = imageio_ffmpeg.write_frames(
            str(path),
            (width, height),
            fps=1000 / milliseconds,
            quality=MP4_QUALITY,
            macro_block_size=2,
            ffmpeg_log_level="error",
        )
        writer.send(None)
        try:
            for k in range(self.count):
                writer.send(np.asarray(self.image(k).resize((width, height))).tobytes())
        except OSError as error:
            raise InputError(
                f"The film could not be written to {path}: the folder cannot be written, or the "
                "disk is full. Choose another place, or save the slices as GIF."
            ) from error
        finally:
            writer.close()
        return f"{self.count} slices were written to {path}."
