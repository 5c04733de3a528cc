"""NumPy files → volume. They carry no geometry: a plain one is made up and said to be so."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from med2e3.errors import ImageReadError
from med2e3.geometry import Geometry
from med2e3.io.series import Findings, Found, SeriesSummary, counted
from med2e3.io.voxels import VoxelBuffer
from med2e3.io.watch import Watch
from med2e3.volume import AIR_HU, SeriesInfo, Volume

ENDINGS = (".npy",)


def find_npy(path: Path) -> Findings:
    """The one volume of a .npy file of (slice, row, column), or the same after an axis of 1."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        raise ImageReadError(
            f"{path} cannot be read as a NumPy array: {error}. "
            "Save it again with numpy.save, as an array of numbers."
        ) from error
    stored = array[0] if array.ndim == 4 and array.shape[0] == 1 else array
    if stored.ndim != 3 or min(stored.shape) < 2 or stored.dtype.kind not in "biuf":
        raise ImageReadError(
            f"{path} has shape {tuple(array.shape)} and type {array.dtype}: not a volume of real "
            "numbers. Save one array (slices, rows, columns) with at least two of each."
        )
    info = SeriesInfo(series_description=path.name)
    shape = (int(stored.shape[0]), int(stored.shape[1]), int(stored.shape[2]))

    def load(watch: Watch, _resample_gaps: bool) -> Volume:
        buffer = VoxelBuffer(shape)
        for k in range(shape[0]):
            watch.step(k / shape[0], "Reading voxels")
            buffer.put(k, np.asarray(stored[k]))
        warnings = [
            "A .npy file has no geometry: voxels of 1 mm are assumed, slices running from superior "
            "to inferior as in an axial display. Distances, sides and planes may be wrong."
        ]
        if buffer.replaced:
            warnings.append(
                f"{counted(buffer.replaced, 'voxel')} were not finite numbers and became air "
                f"({AIR_HU} HU)."
            )
        geometry = Geometry.from_spacing(shape, (1.0, 1.0, 1.0))
        return Volume(buffer.values, geometry, info, warnings=tuple(warnings))

    return Findings((Found(SeriesSummary(info, shape[0], shape, files=(path,)), load),))
