"""Read NumPy files as volumes. They have no geometry: 1 mm and axial are assumed and said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from med2e3.geometry import Geometry
from med2e3.io.formats.array_file import (
    ArrayFile,
    HeaderField,
    real_numbers,
    three_sizes,
    unreadable,
)
from med2e3.io.series import ScanResult

NO_GEOMETRY = (
    "A .npy file has no geometry: voxels of 1 mm are assumed, slices running from superior to "
    "inferior as in an axial display. Distances, sides and planes may be wrong."
)


def scan_npy(path: Path) -> ScanResult:
    """The one volume of an array (slice, row, column), or of one with an axis of 1 before these."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a damaged header can fail anywhere in Python's own parser
        raise unreadable(path, "a NumPy array", error) from error
    stored = array[0] if array.ndim == 4 and array.shape[0] == 1 else array
    shape = three_sizes(path, stored.shape)
    real_numbers(path, stored.dtype)
    return ArrayFile(
        path=path,
        geometry=Geometry.from_spacing(shape, (1.0, 1.0, 1.0)),
        read=lambda _watch: stored,
        warnings=(NO_GEOMETRY,),
    ).scan


def read_header(path: Path) -> Iterator[HeaderField]:
    """Shape and number type of the array."""
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    yield HeaderField("shape", str(array.shape))
    yield HeaderField("type", str(array.dtype))
