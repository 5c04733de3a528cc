"""Read NumPy files as volumes. They have no geometry: 1 mm and axial are assumed and said."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from med2e3.geometry import Geometry
from med2e3.io.formats.array_file import (
    ArrayFile,
    HeaderError,
    HeaderField,
    UnsupportedError,
    header_read,
    real_numbers,
    three_sizes,
)
from med2e3.io.formats.stored import StoredNumbers
from med2e3.io.series import ScanResult
from med2e3.io.watch import Watch

NO_GEOMETRY = (
    "A .npy file has no geometry: voxels of 1 mm are assumed, slices running from superior to "
    "inferior as in an axial display. Distances, sides and planes may be wrong."
)


def scan_npy(path: Path) -> ScanResult:
    """The one volume of an array (slice, row, column), or of one with an axis of 1 before these."""
    with header_read(path, "a NumPy array"):
        stated, is_fortran, dtype, start = _header(path)
        if dtype.hasobject:
            raise HeaderError("it holds Python objects, which are never loaded")
        has_channel = len(stated) == 4 and stated[0] == 1
        shape = three_sizes(path, stated[1:] if has_channel else stated)
        real_numbers(path, dtype)
        kind = np.dtype(dtype.str)  # without what NumPy may have attached to it
        numbers = StoredNumbers(path, shape[::-1] if is_fortran else shape, kind, start)
        _check_size(path, numbers)
    geometry = Geometry.from_spacing(shape, (1.0, 1.0, 1.0))
    if not is_fortran:
        return ArrayFile(path, geometry, warnings=(NO_GEOMETRY,), numbers=numbers, dtype=kind).scan

    def read(watch: Watch) -> NDArray[Any]:
        slices = numbers.read(watch, [])
        values = np.empty(numbers.shape, dtype=kind)
        for k in range(len(slices)):
            watch.step(k / len(slices), "Reading voxels")
            values[k] = slices[k]
        return values.T

    return ArrayFile(path, geometry, read, warnings=(NO_GEOMETRY,), stored_bytes=kind.itemsize).scan


def read_header(path: Path) -> Iterator[HeaderField]:
    """Shape and number type of the array."""
    shape, is_fortran, dtype, _ = _header(path)
    yield HeaderField("shape", str(shape))
    yield HeaderField("type", str(dtype))
    yield HeaderField("order", "the first axis runs fastest" if is_fortran else "the last axis")


def _check_size(path: Path, numbers: StoredNumbers) -> None:
    size, need = path.stat().st_size, numbers.start + numbers.bytes
    if size < need:
        raise HeaderError(f"it has {size} bytes, and its header describes {need}")


def _header(path: Path) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Shape, whether the first axis runs fastest, type, and the byte behind the header."""
    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python's own parser warns of odd texts
        try:
            version = np.lib.format.read_magic(file)
            if version == (1, 0):
                shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(file)
            elif version == (2, 0):
                shape, is_fortran, dtype = np.lib.format.read_array_header_2_0(file)
            else:
                shape = None
        except Exception as error:  # a damaged header can fail anywhere in Python's own parser
            raise HeaderError("its header does not follow the format") from error
        start = file.tell()
    if shape is None:
        raise UnsupportedError(
            f"is a NumPy array of version {version[0]}.{version[1]}, which only arrays of records "
            "have. Save it again as an array of numbers."
        )
    return tuple(int(n) for n in shape), bool(is_fortran), dtype, start
