"""Read MetaImage files (.mha, or .mhd with a raw file) as volumes. Knows nothing of other formats.

A file has a text header of `Key = value` lines, then the voxels, raw or compressed by zlib.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from med2e3.io.formats.array_file import (
    DAMAGE,
    ArrayFile,
    HeaderField,
    grid_of,
    three_sizes,
    unreadable,
)
from med2e3.io.references import referenced
from med2e3.io.series import ScanResult
from med2e3.io.watch import Watch

TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}

#: Most bytes of a header, which is some twenty short lines: a file whose last key lies behind them
#: is of another format.
LONGEST_HEADER = 64 * 1024

#: Most bytes of a header that are shown.
LONGEST_SHOWN_HEADER = 16 * 1024

Header = dict[str, str]


def scan_metaimage(path: Path) -> ScanResult:
    """The one volume of a MetaImage file, from its header."""
    try:
        header, start = _header(path)
        sizes = three_sizes(path, tuple(int(n) for n in header["DimSize"].split()))
        if int(header.get("ElementNumberOfChannels", "1")) != 1:
            raise ValueError("it holds several numbers a voxel")
        if header.get("BinaryData", "True").lower() == "false":
            raise ValueError("its voxels are written as text, which is not supported")
        source = _voxel_file(path, header)
        dtype = np.dtype(("<>"[_is_true(header, *MSB)]) + TYPES[header["ElementType"]])
        shape = (sizes[2], sizes[1], sizes[0])
        geometry = grid_of(path, shape, _affine(header))
    except DAMAGE as error:
        raise unreadable(path, "MetaImage", error) from error

    def read(_watch: Watch) -> NDArray[Any]:
        count = _count(shape)
        content = _voxel_bytes(source, header, start, count * dtype.itemsize)
        return np.frombuffer(content, dtype=dtype, count=count)

    return ArrayFile(path, geometry, read, warnings=_assumed(path, header)).scan


def read_header(path: Path) -> Iterator[HeaderField]:
    """The `Key = value` lines up to `ElementDataFile`, or up to the first that is none."""
    with path.open("rb") as file:
        text = file.read(LONGEST_SHOWN_HEADER).decode("latin-1")
    for line in text.split("\n"):
        key, equals, value = line.partition("=")
        if not equals:
            return
        yield HeaderField(key.strip(), value.strip())
        if key.strip() == "ElementDataFile":
            return


#: The keys of voxel spacing and of directions in all versions of the format, the newest first.
SPACING = ("ElementSpacing", "ElementSize")
DIRECTIONS = ("TransformMatrix", "Rotation", "Orientation")

#: Both keys of "most significant byte first" are in use.
MSB = ("BinaryDataByteOrderMSB", "ElementByteOrderMSB")


def _header(path: Path) -> tuple[Header, int]:
    """The keys of the header, and the byte behind it; `ElementDataFile` is its last line."""
    with path.open("rb") as file:
        text = file.read(LONGEST_HEADER)
    header: Header = {}
    start = 0
    while "ElementDataFile" not in header:
        end = text.find(b"\n", start)
        if end < 0:
            raise ValueError("it has no ElementDataFile line")
        key, _, value = text[start:end].decode("latin-1").partition("=")
        header[key.strip()] = value.strip()
        start = end + 1
    return header, start


def _is_true(header: Header, *keys: str) -> bool:
    return any(header.get(key, "").lower() == "true" for key in keys)


def _count(shape: tuple[int, int, int]) -> int:
    return shape[0] * shape[1] * shape[2]


def _voxel_file(path: Path, header: Header) -> Path:
    """The file that holds the voxels: `path` itself, or another in or below its folder."""
    name = header["ElementDataFile"]
    if name == "LOCAL":
        return path
    if "%" in name or name.upper().startswith("LIST"):
        raise ValueError("its voxels are spread over several files, which is not supported")
    return referenced(path, "ElementDataFile", [name])


def _voxel_bytes(path: Path, header: Header, start: int, wanted: int) -> bytes:
    """The bytes of all voxels in the file `path`, `wanted` in number or more.

    They begin at `start` where the header is in the same file, else where `HeaderSize` says.
    """
    if header["ElementDataFile"] != "LOCAL":
        start = int(header.get("HeaderSize", "0"))
        if start < 0:  # whatever stands before the voxels: they are the last bytes
            if _is_true(header, "CompressedData"):
                raise ValueError(
                    "its compressed voxels begin nowhere in particular (HeaderSize -1)"
                )
            start = max(0, path.stat().st_size - wanted)
    content = path.read_bytes()[start:]
    return zlib.decompress(content) if _is_true(header, "CompressedData") else content


def _numbers(header: Header, *keys: str, default: str) -> list[float]:
    text = next((header[key] for key in keys if key in header), default)
    return [float(x) for x in text.split()[:9]]


def _assumed(path: Path, header: Header) -> tuple[str, ...]:
    """Warnings about what the header does not state and the reader assumes."""
    warnings = []
    if not any(key in header for key in SPACING):
        warnings.append(
            f"{path.name} states no spacing of voxels (no {' or '.join(SPACING)}): 1 mm is "
            "assumed. Lengths, areas and volumes may be wrong."
        )
    if not any(key in header for key in DIRECTIONS):
        warnings.append(
            f"{path.name} says nothing about orientation (no {' or '.join(DIRECTIONS)}): axes "
            "along the patient are assumed. Left and right may be swapped."
        )
    return tuple(warnings)


def _affine(header: Header) -> NDArray[np.float64]:
    """The affine from (slice, row, column) to LPS mm.

    The header lists one direction after the other, that of the columns first.
    """
    matrix = _numbers(header, *DIRECTIONS, default="1 0 0 0 1 0 0 0 1")
    spacing = _numbers(header, *SPACING, default="1 1 1")
    affine = np.eye(4)
    affine[:3, :3] = (np.reshape(matrix, (3, 3)) * np.reshape(spacing, (3, 1))).T[:, ::-1]
    affine[:3, 3] = _numbers(header, "Offset", "Origin", "Position", default="0 0 0")
    return affine
