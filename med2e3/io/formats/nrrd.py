"""Read NRRD files (3D Slicer) as volumes. Knows nothing of other formats.

The voxels lie behind the header, in another file, or in several that the header lists or counts.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

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
from med2e3.io.formats.written import WrittenNumbers
from med2e3.io.references import referenced
from med2e3.io.series import ScanResult

#: The signs of x, y and z that take a patient space of NRRD to LPS.
SPACES = {
    "left-posterior-superior": (1.0, 1.0, 1.0),
    "lps": (1.0, 1.0, 1.0),
    "right-anterior-superior": (-1.0, -1.0, 1.0),
    "ras": (-1.0, -1.0, 1.0),
    "left-anterior-superior": (1.0, -1.0, 1.0),
    "las": (1.0, -1.0, 1.0),
}

#: Ends the name of a space whose fourth axis is time.
TIME = ("-time", "t")

#: Units of length, in mm.
UNITS_MM = {
    "mm": 1.0, "millimeter": 1.0, "millimeters": 1.0, "cm": 10.0, "centimeter": 10.0,
    "m": 1000.0, "meter": 1000.0, "um": 0.001, "µm": 0.001, "μm": 0.001, "micron": 0.001,
    "microns": 0.001, "micrometer": 0.001, "nm": 1e-6,
}  # fmt: skip

#: Kinds of axes along which the volume is sampled, and what stands for a kind that is not stated;
#: along any other lie the values of a voxel (NRRD format definition, "kinds").
DOMAINS = frozenset(("domain", "space", "time", "none", "???"))

#: Fields with one entry an axis.
PER_AXIS = (
    "sizes", "space directions", "spacings", "units", "centers", "centerings",
    "axis mins", "axismins", "axis maxs", "axismaxs",
)  # fmt: skip

#: Types of numbers by all their names (format definition, "type").
TYPES = {
    "i1": "signed char, int8, int8_t",
    "u1": "uchar, unsigned char, uint8, uint8_t",
    "i2": "short, short int, signed short, signed short int, int16, int16_t",
    "u2": "ushort, unsigned short, unsigned short int, uint16, uint16_t",
    "i4": "int, signed int, int32, int32_t",
    "u4": "uint, unsigned int, uint32, uint32_t",
    "i8": "longlong, long long, long long int, signed long long, signed long long int, int64, "
    "int64_t",
    "u8": "ulonglong, unsigned long long, unsigned long long int, uint64, uint64_t",
    "f4": "float",
    "f8": "double",
}
_CODES = {name: code for code, names in TYPES.items() for name in names.split(", ")}

#: How voxels are packed, by all names; None for those that are written as letters.
ENCODINGS: dict[str, Packing | None] = {
    "raw": Packing.RAW, "gzip": Packing.DEFLATE, "gz": Packing.DEFLATE, "bzip2": Packing.BZIP2,
    "bz2": Packing.BZIP2, "text": None, "txt": None, "ascii": None, "hex": None,
}  # fmt: skip

#: Most bytes of a header, which may hold a description of many segments.
LONGEST_HEADER = 4 * 1024**2

#: The line that ends a header early: names of files follow it.
_LIST = re.compile(rb"^data ?file:\s*LIST\b", re.IGNORECASE)

#: A format of names and the numbers that go into it: "slice%03d.raw 1 120 1", and the axes a file.
_PATTERN = re.compile(r"^(.*?%.*?) (-?\d+) (-?\d+) (-?\d+)( \d+)?$")

#: The one thing that may be counted in a name.
_PLACE = re.compile(r"%0?\d*d")


def scan_nrrd(path: Path) -> ScanResult:
    """The one volume of an NRRD file, from its header."""
    with header_read(path, "NRRD"):
        header, start, names = _header(path)
        dtype, packing = _type(header), _encoding(header)
        geometric = _without_values_axes(path, header)
        sizes = three_sizes(path, tuple(int(n) for n in geometric["sizes"]))
        affine, said = _affine(geometric)
        geometry = grid_of(path, (sizes[2], sizes[1], sizes[0]), affine)
        files = _files(path, header, names)
        skips = _skips(header, packing)
    with voxels_read(path):
        numbers = _numbers(files or [path], start, skips, (geometry.shape, dtype, packing, header))
    return ArrayFile(
        path, geometry, warnings=said, numbers=numbers, dtype=dtype, files=tuple(files)
    ).scan


def read_header(path: Path) -> Iterator[HeaderField]:
    """All fields of the header, arrays as lists."""
    for key, value in _header(path)[0].items():
        yield HeaderField(str(key), value.tolist() if hasattr(value, "tolist") else value)


def _header(path: Path) -> tuple[dict[str, Any], int, list[str]]:
    """The fields, the byte behind the header, and the names that stand behind it in a list."""
    import nrrd  # here: a DICOM study opens without it

    with path.open("rb") as file:
        text = file.read(LONGEST_HEADER)
    if not text.startswith(b"NRRD"):
        raise HeaderError("it does not begin as NRRD does" if text else "it is empty")
    lines: list[bytes] = []
    start = 0
    is_list = False
    while start < len(text) and not is_list:
        end = text.find(b"\n", start)
        end = len(text) if end < 0 else end
        line = text[start:end].rstrip(b"\r")
        start = end + 1
        if not line.strip():
            break
        lines.append(line)
        is_list = _LIST.match(line) is not None
    names = text[start:].decode("utf-8", "replace").split("\n") if is_list else []
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # of numbers beyond any type: they are judged below
            fields = dict(nrrd.read_header(lines))
    except Exception as error:  # a damaged field can fail in any of its converters
        raise HeaderError(f"a line of its header does not follow the format{_which(error)}") from (
            error
        )
    for field in ("type", "dimension", "sizes", "encoding"):
        if field not in fields:
            raise HeaderError(f"its header has no field “{field}”")
    if int(fields["dimension"]) != len(fields["sizes"]):
        raise HeaderError(
            f"its header states {int(fields['dimension'])} axes and {len(fields['sizes'])} sizes"
        )
    return fields, start, [name.strip() for name in names if name.strip()]


def _which(error: Exception) -> str:
    """The version in brackets, where that is what pynrrd does not know."""
    found = re.search(r"version: (\d+)", str(error))
    return f" (version {found[1]} is not known)" if found else ""


def _type(header: Mapping[str, Any]) -> np.dtype[Any]:
    name = str(header["type"]).lower()
    if name == "block":
        raise UnsupportedError(
            "stores blocks of bytes, which are no numbers. Export it as a grey-value volume."
        )
    if name not in _CODES:
        raise HeaderError(f"its type “{name}” does not exist")
    code = _CODES[name]
    order = str(header.get("endian", "")).lower()
    if code[1] != "1" and ENCODINGS.get(str(header["encoding"]).lower(), Packing.RAW):
        if order not in ("little", "big"):
            raise HeaderError("it does not say in which order bytes are stored (endian)")
        return np.dtype((">" if order == "big" else "<") + code)
    return np.dtype((">" if order == "big" else "<") + code)


def _encoding(header: Mapping[str, Any]) -> Packing | None:
    name = str(header["encoding"]).lower()
    if name not in ENCODINGS:
        raise UnsupportedError(
            f"is packed as “{name}”, which is not read. Save it again as raw or gzip."
        )
    return ENCODINGS[name]


def _skips(header: Mapping[str, Any], packing: Packing | None) -> tuple[int, int]:
    """Lines and bytes to skip before the voxels; −1 bytes are all but those at the end."""
    lines = int(header.get("line skip", header.get("lineskip", 0)))
    count = int(header.get("byte skip", header.get("byteskip", 0)))
    if lines < 0 or count < -1:
        raise HeaderError(f"it skips {lines} lines and {count} bytes, and none is negative but −1")
    if count == -1 and packing is not Packing.RAW:
        raise HeaderError("byte skip −1 is stated, and voxels that are packed have no such place")
    return lines, count


def _files(path: Path, header: Mapping[str, Any], names: list[str]) -> list[Path]:
    """The files that hold the voxels; none where `path` does."""
    stated = header.get("data file", header.get("datafile"))
    if stated is None:
        return []
    text = str(stated).strip()
    if _LIST.match(b"data file:" + text.encode()):
        if not names:
            raise HeaderError("its data file is a list, and no name follows it")
        return [referenced(path, "data file", [name]) for name in names]
    if (counted_names := _PATTERN.match(text)) is not None:
        return [referenced(path, "data file", [name]) for name in _pattern(counted_names)]
    return [referenced(path, "data file", [text])]


def _pattern(match: re.Match[str]) -> list[str]:
    form, first, last, step = match[1], int(match[2]), int(match[3]), int(match[4])
    places = _PLACE.findall(form)
    if step == 0 or len(places) != 1 or form.count("%") != 1 or len(places[0]) > 5:
        raise HeaderError(f"its data files “{match[0]}” cannot be counted")
    numbers = range(first, last + (1 if step > 0 else -1), step)
    if not 0 < len(numbers) <= 100_000:
        raise HeaderError(f"its data files “{match[0]}” are {len(numbers)} in number")
    return [form % number for number in numbers]


def _numbers(
    files: list[Path],
    start: int,
    skips: tuple[int, int],
    stored: tuple[tuple[int, int, int], np.dtype[Any], Packing | None, Mapping[str, Any]],
) -> Numbers:
    """Where the voxels lie: slices in equal numbers in each of `files`, in their order."""
    (slices, rows, columns), dtype, packing, header = stored
    if slices % len(files):
        raise ImageReadError(
            f"{files[0]} and {len(files) - 1} more files hold {slices} slices, and each should "
            "hold as many as any other. Correct the list of data files in the header."
        )
    is_detached = "data file" in header or "datafile" in header
    shape = (slices // len(files), rows, columns)
    parts: list[Numbers] = []
    for file in files:
        begin = _behind_lines(file, 0 if is_detached else start, skips[0])
        if packing is None:
            is_hex = str(header["encoding"]).lower() == "hex"
            parts.append(WrittenNumbers(file, shape, dtype, begin + max(0, skips[1]), is_hex))
            continue
        numbers = StoredNumbers(file, shape, dtype, begin, packing)
        if packing is not Packing.RAW:
            numbers = StoredNumbers(file, shape, dtype, begin, packing, skips[1])
        elif skips[1]:
            last = max(begin, file.stat().st_size - numbers.bytes)
            place = last if skips[1] == -1 else begin + skips[1]
            numbers = StoredNumbers(file, shape, dtype, place, packing)
        parts.append(numbers)
    return parts[0] if len(parts) == 1 else JoinedNumbers(tuple(parts))


def _behind_lines(file: Path, start: int, lines: int) -> int:
    """The byte behind `lines` lines that begin at `start`; the file's end where there are fewer."""
    with file.open("rb") as content:
        content.seek(start)
        while lines and (piece := content.readline(LONGEST_HEADER)):
            lines -= piece.endswith(b"\n")
        return content.tell()


def _without_values_axes(path: Path, header: Mapping[str, Any]) -> dict[str, Any]:
    """The header without the axes that are none of space or time.

    Their kind says so, or that they have no direction where others have. Along such an axis lie the
    values of one voxel: the parts of a vector or a colour. Raises `ImageReadError` where there are
    several.
    """
    shown = dict(header)
    sizes = [int(n) for n in header["sizes"]]
    kinds = [str(kind).lower() for kind in header.get("kinds") or ()]
    directions = header.get("space directions")
    if len(kinds) != len(sizes):
        kinds = ["none"] * len(sizes)
        if directions is not None and len(directions) == len(sizes):
            kinds = ["none" if _is_direction(one) else "no direction" for one in directions]
    for size, kind in zip(sizes, kinds, strict=True):
        if kind not in DOMAINS and size != 1:
            raise ImageReadError(
                f"{path} holds {size} values a voxel (an axis of kind {kind}), which are not "
                "single real numbers. Export it as a grey-value volume."
            )
    kept = [k for k, kind in enumerate(kinds) if kind in DOMAINS]
    for field in PER_AXIS:
        if (stated := header.get(field)) is not None and len(stated) == len(sizes):
            shown[field] = [stated[k] for k in kept]
    return shown


def _is_direction(stated: Any) -> bool:
    return stated is not None and bool(np.isfinite(np.asarray(stated, dtype=float)).all())


def _affine(header: Any) -> tuple[Any, tuple[str, ...]]:
    """The affine from (slice, row, column) to LPS mm, and warnings about what it assumes.

    The axes of the file are (column, row, slice).
    """
    signs = _signs(str(header.get("space", "")).lower())
    said: tuple[str, ...] = ()
    if signs is None or "space directions" not in header:
        unknown = (
            f"The file names no patient space (space: {header.get('space', 'none')}); axes along "
            "the patient are assumed. Left and right may be swapped."
        )
        said = (unknown,)
    if "space directions" not in header:
        affine, more = _plain_affine(header)
        return affine, (*said, *more)
    signs = (1.0, 1.0, 1.0) if signs is None else signs  # as if it were LPS
    scale, odd = _units_mm(header.get("space units"))
    affine = np.eye(4)
    directions = np.asarray(header["space directions"], dtype=float)[:3, :3]
    affine[:3, :3] = (directions * signs * scale).T[:, ::-1]
    origin = np.asarray(header.get("space origin", (0, 0, 0)), dtype=float)[:3]
    affine[:3, 3] = np.where(np.isfinite(origin), origin, 0.0) * signs * scale
    return affine, (*said, *odd)


def _signs(space: str) -> tuple[float, float, float] | None:
    """The signs of a space by its name, with or without time; None for one that is not known."""
    names = [space, *(space.removesuffix(end) for end in TIME)]
    return next((SPACES[name] for name in names if name in SPACES), None)


def _plain_affine(header: Any) -> tuple[Any, tuple[str, ...]]:
    """The affine of a file without directions: axes along x, y and z; and warnings.

    Spacing is stated, or follows from where the axes begin and end. They do so at the outer faces
    of cells, or at nodes, which are the centres of voxels ("axis mins", "centers").
    """
    scale, odd = _units_mm(header.get("units"))
    counts = np.asarray(header["sizes"], dtype=float)[:3]
    begin, end = (_three(header, name) for name in ("mins", "maxs"))
    centers = header.get("centers", header.get("centerings", ()))
    centers = centers.split() if isinstance(centers, str) else centers
    nodes = [str(one).lower() == "node" for one in centers][:3]
    is_node = np.array([*nodes, False, False, False][:3])
    spacing = _three(header, "spacings")
    spans = np.abs(end - begin) / np.where(is_node, counts - 1, counts)
    spans[spans == 0] = np.nan
    spacing = np.where(np.isfinite(spacing), spacing, spans) * scale
    said: tuple[str, ...] = ()
    if not np.isfinite(spacing).all():
        said = ("The file states no spacing of voxels: 1 mm is assumed.",)
    spacing = np.where(np.isfinite(spacing), spacing, 1.0)
    first = begin * scale + np.where(is_node, 0.0, spacing / 2)
    affine = np.eye(4)
    affine[:3, :3] = np.diag(spacing)[:, ::-1]
    affine[:3, 3] = np.where(np.isfinite(first), first, 0.0)
    return affine, (*said, *odd)


def _three(header: Any, name: str) -> Any:
    """Three numbers of a field, by its names in all versions of the format; NaN where none are."""
    fields = (name, f"axis {name}", f"axis{name}")
    stated = next((header[field] for field in fields if field in header), ())
    return np.array([*(float(n) for n in stated), np.nan, np.nan, np.nan][:3])


def _units_mm(stated: Any) -> tuple[Any, tuple[str, ...]]:
    """Millimetres (3,) in each of three stated units, and a warning that names unknown units."""
    words = [str(word).strip('"').strip() for word in (stated or ())][:3]
    known = [UNITS_MM.get(word.lower(), 1.0) for word in words]
    odd = sorted({word for word in words if word and word.lower() not in UNITS_MM})
    warning = f"The file counts lengths in “{', '.join(odd)}”, which is unknown: mm is assumed."
    return np.array([*known, 1.0, 1.0, 1.0][:3]), (warning,) if odd else ()
