"""Read MetaImage files (.mha, or .mhd with a raw file) as volumes. Knows nothing of other formats.

A file has a text header of `Key = value` lines, then the voxels, raw or compressed by zlib.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from med2e3.errors import ImageReadError
from med2e3.io.bounds import Packing
from med2e3.io.formats.array_file import (
    ArrayFile,
    HeaderError,
    HeaderField,
    UnsupportedError,
    grid_of,
    header_read,
    three_sizes,
    voxels_read,
)
from med2e3.io.formats.stored import JoinedNumbers, Numbers, StoredNumbers
from med2e3.io.references import referenced
from med2e3.io.series import ScanResult

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

#: Units of length that a header may state, in mm.
UNITS_MM = {"": 1.0, "?": 1.0, "mm": 1.0, "cm": 10.0, "um": 0.001}

#: Most bytes of a header, which is some twenty short lines: a file whose last key lies behind them
#: is of another format.
LONGEST_HEADER = 64 * 1024

#: Most bytes of a header that are shown.
LONGEST_SHOWN_HEADER = 16 * 1024

#: Most bytes of the names of files that follow a header.
LONGEST_LIST = 1024**2

Header = dict[str, str]


def scan_metaimage(path: Path) -> ScanResult:
    """The one volume of a MetaImage file, from its header."""
    with header_read(path, "MetaImage"):
        header, start = _header(path)
        stated = _whole_numbers(header, "DimSize")
        axes = _whole_numbers(header, "NDims")[0] if "NDims" in header else len(stated)
        if axes != len(stated):
            raise HeaderError(f"it states {axes} axes (NDims) and {len(stated)} sizes (DimSize)")
        sizes = three_sizes(path, stated)
        dtype = _type(header)
        if header.get("BinaryData", "True").lower() == "false":
            raise UnsupportedError(
                "is a MetaImage whose voxels are written as text (BinaryData = False), which is "
                "not read. Save it again in binary form."
            )
        shape = (sizes[2], sizes[1], sizes[0])
        geometry = grid_of(path, shape, _affine(header, axes))
        files = _voxel_files(path, header, start)
        start = _start(path, header, start)
        warnings = _assumed(path, header)
    with voxels_read(path):
        numbers = _numbers(files, shape, dtype, (start, _is_true(header, "CompressedData")))
    return ArrayFile(
        path, geometry, warnings=warnings, numbers=numbers, dtype=dtype, files=tuple(files)
    ).scan


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
ORIGIN = ("Offset", "Origin", "Position")

#: Both keys of "most significant byte first" are in use.
MSB = ("BinaryDataByteOrderMSB", "ElementByteOrderMSB")

#: Keys of a scaling of the values, which ITK does not apply either.
SCALING = ("ElementToIntensityFunctionSlope", "ElementToIntensityFunctionOffset")

#: What ElementDataFile says of several files: a list of names, or a format and what it counts.
_LIST = re.compile(r"^LIST\b")
_PATTERN = re.compile(r"^(.*%.*) (-?\d+) (-?\d+) (-?\d+)$")
_PLACE = re.compile(r"%0?\d?d")


def _header(path: Path) -> tuple[Header, int]:
    """The keys of the header, and the byte behind it; `ElementDataFile` is its last line."""
    with path.open("rb") as file:
        text = file.read(LONGEST_HEADER)
    header: Header = {}
    start = 0
    while "ElementDataFile" not in header:
        end = text.find(b"\n", start)
        if end < 0:
            raise HeaderError("it has no line ElementDataFile")
        key, _, value = text[start:end].decode("latin-1").partition("=")
        header[key.strip()] = value.strip()
        start = end + 1
    for key in ("DimSize", "ElementType"):
        if key not in header:
            raise HeaderError(f"it has no line {key}")
    return header, start


def _is_true(header: Header, *keys: str) -> bool:
    return any(header.get(key, "").lower().startswith(("t", "1")) for key in keys)


def _whole_numbers(header: Header, key: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in header[key].split())
    except ValueError as error:
        raise HeaderError(f"{key} is “{header[key][:40]}”, and whole numbers stand there") from (
            error
        )


def _numbers_of(header: Header, keys: tuple[str, ...], default: list[float]) -> list[float]:
    key = next((key for key in keys if key in header), None)
    if key is None:
        return default
    try:
        numbers = [float(word) for word in header[key].split()]
    except ValueError as error:
        raise HeaderError(f"{key} is “{header[key][:40]}”, and numbers stand there") from error
    if len(numbers) < len(default):
        raise HeaderError(f"{key} has {len(numbers)} numbers, and {len(default)} are needed")
    return numbers[: len(default)]


def _type(header: Header) -> np.dtype[np.generic]:
    name = header["ElementType"].removesuffix("_ARRAY")
    channels = header.get("ElementNumberOfChannels", "1")
    if channels != "1" or header["ElementType"].endswith("_ARRAY"):
        raise UnsupportedError(
            f"holds {channels} values a voxel ({header['ElementType']}), which are not single real "
            "numbers. Export it as a grey-value volume."
        )
    if name not in TYPES:
        raise HeaderError(f"its type of numbers “{name[:40]}” does not exist (ElementType)")
    return np.dtype("<>"[_is_true(header, *MSB)] + TYPES[name])


def _voxel_files(path: Path, header: Header, start: int) -> list[Path]:
    """The files that hold the voxels: `path` itself, or others in or below its folder."""
    name = header["ElementDataFile"]
    if name.upper() == "LOCAL":
        return [path]
    names = [name]
    if _LIST.match(name):
        with path.open("rb") as file:
            file.seek(start)
            lines = file.read(LONGEST_LIST).decode("utf-8", "replace").split("\n")
        names = [line.strip() for line in lines if line.strip()]
    elif (match := _PATTERN.match(name)) is not None:
        names = _counted(match)
    elif not name:
        raise HeaderError("it names no file that holds its voxels (ElementDataFile)")
    files = [referenced(path, "ElementDataFile", [one]) for one in names]
    if len(files) > 1 or names != [name]:
        missing = [file.name for file in files if not file.is_file()]
        if missing or not files:
            raise ImageReadError(
                f"{path} has its voxels spread over several files, and "
                f"{missing[0] if missing else 'their list'} is missing. Put all of them beside the "
                "header."
            )
    return files


def _counted(match: re.Match[str]) -> list[str]:
    form, first, last, step = match[1], int(match[2]), int(match[3]), int(match[4])
    if step == 0 or form.count("%") != 1 or len(_PLACE.findall(form)) != 1:
        raise HeaderError(f"its files “{match[0][:60]}” cannot be counted (ElementDataFile)")
    numbers = range(first, last + (1 if step > 0 else -1), step)
    if not 0 < len(numbers) <= 100_000:
        raise HeaderError(f"its files “{match[0][:60]}” are {len(numbers)} in number")
    return [form % number for number in numbers]


def _start(path: Path, header: Header, behind: int) -> int:
    """The byte at which voxels begin: behind the header in one file, else where it says; −1 is any.

    With −1 they are the last bytes of the file.
    """
    if header["ElementDataFile"].upper() == "LOCAL":
        return behind
    (start,) = _whole_numbers(header, "HeaderSize") if "HeaderSize" in header else (0,)
    if start < 0 and _is_true(header, "CompressedData"):
        raise HeaderError("its compressed voxels begin nowhere in particular (HeaderSize −1)")
    return start


def _numbers(
    files: list[Path],
    shape: tuple[int, int, int],
    dtype: np.dtype[np.generic],
    placed: tuple[int, bool],
) -> Numbers:
    """Where the voxels lie: slices in equal numbers in each of `files`, in their order."""
    start, is_compressed = placed
    if shape[0] % len(files):
        raise ImageReadError(
            f"{files[0]} and {len(files) - 1} more files hold {shape[0]} slices, and each should "
            "hold as many as any other. Correct the list of files in the header."
        )
    packing = Packing.DEFLATE if is_compressed else Packing.RAW
    own = (shape[0] // len(files), *shape[1:])
    parts = []
    for file in files:
        numbers = StoredNumbers(file, own, dtype, max(0, start), packing)
        if start < 0:  # whatever stands before the voxels: they are the last bytes
            last = max(0, file.stat().st_size - numbers.bytes)
            numbers = StoredNumbers(file, own, dtype, last, packing)
        parts.append(numbers)
    return parts[0] if len(parts) == 1 else JoinedNumbers(tuple(parts))


def _assumed(path: Path, header: Header) -> tuple[str, ...]:
    """Warnings about what the header does not state and the reader assumes, or does not apply."""
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
    unit = header.get("DistanceUnits", "")
    if unit.lower() not in UNITS_MM:
        warnings.append(f"{path.name} counts lengths in “{unit}”, which is unknown: mm is assumed.")
    scaling = [f"{key} = {header[key]}" for key in SCALING if key in header]
    if scaling and [header.get(SCALING[0], "1"), header.get(SCALING[1], "0")] != ["1", "0"]:
        warnings.append(
            f"{path.name} states a scaling ({', '.join(scaling)}), which is not applied: the "
            "stored numbers were taken as values."
        )
    modality = header.get("Modality", "").removeprefix("MET_MOD_")
    if modality not in ("", "CT", "OTHER", "UNKNOWN"):
        warnings.append(
            f"{path.name} says that its modality is {modality}, not CT: values are not Hounsfield "
            "units, and CT windows will not fit."
        )
    return tuple(warnings)


def _affine(header: Header, axes: int) -> NDArray[np.float64]:
    """The affine from (slice, row, column) to LPS mm.

    The header lists one direction after the other, that of the columns first, of as many numbers as
    there are axes.
    """
    scale = UNITS_MM.get(header.get("DistanceUnits", "").lower(), 1.0)
    matrix = _numbers_of(header, DIRECTIONS, np.eye(axes).ravel().tolist())
    spacing = _numbers_of(header, SPACING, [1.0] * axes)
    directions = np.reshape(matrix, (axes, axes))[:3, :3]
    affine = np.eye(4)
    affine[:3, :3] = (directions * np.reshape(spacing[:3], (3, 1))).T[:, ::-1] * scale
    affine[:3, 3] = np.array(_numbers_of(header, ORIGIN, [0.0] * axes)[:3]) * scale
    return affine
