"""Read wanted attributes of a DICOM header in about a tenth of pydicom's time.

Reads files with a preamble, little endian and without functional groups, which nearly all are.
Answers None for any other file, and for anything unexpected in one: pydicom then reads it. Knows no
attribute's meaning.
"""

from __future__ import annotations

import os
import struct
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
)

#: Bytes of one read: most headers fit, and larger reads cost more than a second one.
PIECE = 12 * 1024

#: Where the file meta information begins: behind the preamble and its four letters (PS3.10 7.1).
START = 132

#: General Electric's private syntax: the header is little endian, the pixels are big endian.
GE_SWAPPED_PIXELS = UID("1.2.840.113619.5.2")

#: How the UIDs of the transfer syntaxes of the standard begin (PS3.6 A).
STANDARD = "1.2.840.10008.1.2"

FLOAT_PIXELS, DOUBLE_PIXELS, PIXEL_DATA = 0x7FE00008, 0x7FE00009, 0x7FE00010
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
UNDEFINED = 0xFFFFFFFF

#: The group of the file meta information, as it is written in the file.
META_GROUP = b"\x02\x00"

#: Sequences that say where frames of an enhanced file lie, or hold a table of values: files with
#: them are left to pydicom.
SEQUENCES = frozenset((0x52009229, 0x52009230, 0x00283000))

#: Value representations whose length takes four bytes, after two reserved ones (PS3.5 7.1.2).
LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
SHORT = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())

_NAMES = {vr: vr.decode() for vr in LONG | SHORT}

#: The longest beginning of an element: tag, representation, two reserved bytes, length.
LARGEST_START = 12
_SHORT_START = struct.Struct("<HH2sH").unpack_from
_LONG_LENGTH = struct.Struct("<I").unpack_from

#: Binary numbers: how `struct` writes them, and their bytes.
BINARY = {"US": ("H", 2), "SS": ("h", 2), "UL": ("I", 4), "SL": ("i", 4), "FL": ("f", 4)}
BINARY |= {"FD": ("d", 8), "US or SS": ("H", 2)}

#: Texts in the file's own character set, and those that may hold a backslash.
LOCAL = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))
ONE_VALUE = frozenset(("LT", "ST", "UT", "UR"))

#: What images are measured by, as decimal numbers in text (PS3.6).
DECIMALS = frozenset(
    (
        "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope",
        "RescaleIntercept", "SliceThickness",
    )
)  # fmt: skip

#: Begins an escape sequence that changes the character set on the way (ISO 2022).
ESCAPE = b"\x1b"


class _NotQuickError(Exception):
    """The file is not of the kind that the quick reader reads."""


class QuickHeader(Mapping[str, Any]):
    """Attributes by keyword, with the values that pydicom's `Dataset.get` gives.

    `file_meta` holds the file meta information in the same way. `pixel_length` is the length of the
    pixels in bytes; None where it is undefined (packed in items) or there are none. `pixel_tag` is
    the tag of the pixels. `has_commas` says that numbers are written with a decimal comma,
    `has_binary` that decimal numbers are binary, which DICOM writes as text.
    """

    original_encoding: tuple[bool, bool]
    pixel_length: int | None = None
    pixel_tag: int = PIXEL_DATA
    has_commas: bool = False
    has_binary: bool = False

    def __init__(self, values: dict[str, Any], meta: dict[str, Any], *, implicit: bool) -> None:
        self._values = values
        self.file_meta = meta
        self.original_encoding = (implicit, True)

    def get(self, keyword: str, default: Any = None) -> Any:
        """The attribute's value, or `default` where the file does not have it."""
        return self._values.get(keyword, default)

    def __getitem__(self, keyword: str) -> Any:
        return self._values[keyword]

    def __contains__(self, keyword: object) -> bool:
        return keyword in self._values

    def __iter__(self) -> Any:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def quick_header(
    path: Path, wanted: Mapping[int, tuple[str, str]]
) -> tuple[QuickHeader, int | None] | None:
    """The `wanted` attributes (`tags_of`) and the byte at which the pixels begin.

    The byte is None for a file without pixels. The result is None where pydicom must read.
    """
    try:
        with path.open("rb", buffering=0) as file:
            return _parse(_Bytes(file), wanted)
    except (_NotQuickError, struct.error, ValueError, LookupError, OverflowError):
        return None


def first_transfer_syntax(path: Path) -> str:
    """The first transfer syntax that the file meta information states; empty for none."""
    try:
        with path.open("rb", buffering=0) as file:
            return str(_meta(_Bytes(file))[1].get("TransferSyntaxUID") or "")
    except (_NotQuickError, struct.error, ValueError, LookupError, OverflowError):
        return ""


def data_set_begin(path: Path, syntax: str) -> int:
    """The byte at which the data set begins in a file of a transfer syntax; 0 for any other."""
    try:
        with path.open("rb", buffering=0) as file:
            position, meta = _meta(_Bytes(file))
            return position if meta.get("TransferSyntaxUID") == syntax else 0
    except (_NotQuickError, struct.error, ValueError, LookupError, OverflowError):
        return 0


def list_is_whole(path: Path, tag: int) -> bool:
    """Whether the sequence `tag` of a little-endian file with a preamble ends within the file.

    So it does where the file has none, or is of another kind.
    """
    try:
        with path.open("rb", buffering=0) as file:
            return _ends_within(_Bytes(file), tag)
    except (_NotQuickError, struct.error, ValueError, LookupError, OverflowError):
        return False


def _ends_within(source: _Bytes, wanted: int) -> bool:
    position, meta = _meta(source)
    implicit = meta.get("TransferSyntaxUID") == ImplicitVRLittleEndian
    while not source.ends_at(position):
        tag, _, length, position = _element(source, position, implicit)
        if length == UNDEFINED:
            position = _behind_sequence(source, position, implicit)
        elif tag == wanted:
            source.ends_at(position + length)  # raises where the file ends before
            position += length
        else:
            position += length
    return True


def tags_of(keywords: str) -> dict[int, tuple[str, str]]:
    """Keyword and value representation of each of the attributes named in `keywords`, by tag."""
    tags = [int(tag_for_keyword(word) or 0) for word in keywords.split()]
    return {tag: (keyword_for_tag(tag), dictionary_VR(tag)) for tag in tags}


_META = tags_of("MediaStorageSOPClassUID MediaStorageSOPInstanceUID TransferSyntaxUID")


class _Bytes:
    """A part of a file in memory, replaced by a later part when that is asked for."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file.fileno()
        self._size = -1
        self.data = os.read(self._file, PIECE)
        self.start = 0
        if self.data[128:START] != b"DICM":
            raise _NotQuickError

    def at(self, position: int, count: int) -> int:
        """Index in `data` from which `count` bytes at `position` of the file are there."""
        index = position - self.start
        if index + count > len(self.data):
            os.lseek(self._file, position, os.SEEK_SET)
            self.data, self.start, index = os.read(self._file, max(PIECE, count)), position, 0
            if len(self.data) < count:
                raise _NotQuickError  # cut short; pydicom knows what to say
        return index

    def ends_at(self, position: int) -> bool:
        """Whether the file has no byte at `position` or behind it."""
        if position - self.start < len(self.data):
            return False
        if self._size < 0:
            self._size = os.fstat(self._file).st_size
        if position > self._size:
            raise _NotQuickError
        return position == self._size


def _parse(source: _Bytes, wanted: Mapping[int, tuple[str, str]]) -> tuple[QuickHeader, int | None]:
    position, meta = _meta(source)
    syntax = str(meta.get("TransferSyntaxUID") or ImplicitVRLittleEndian)
    if (
        # A private syntax may write its header in any way.
        not syntax.startswith((STANDARD, GE_SWAPPED_PIXELS))
        or syntax in (ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
        or meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage
    ):
        raise _NotQuickError
    implicit = syntax == ImplicitVRLittleEndian
    if syntax == GE_SWAPPED_PIXELS:  # both kinds of header are in use
        at = source.at(position, 8)
        implicit = source.data[at + 4 : at + 6] not in SHORT | LONG
    raw: dict[str, tuple[str, bytes]] = {}
    first_read = source.data
    if implicit:
        pixels = _collect(source, position, wanted, raw)
    else:
        pixels = _collect_explicit(source, position, wanted, raw)
    header = QuickHeader(_converted(raw), meta, implicit=implicit)
    end = len(first_read) if pixels is None else pixels[0]
    # One look at all bytes is a tenth of a look at each value; few headers have any comma.
    if source.data is not first_read or first_read.find(b",", position, end) >= 0:
        header.has_commas = any(vr == "DS" and b"," in value for vr, value in raw.values())
    if not implicit:
        header.has_binary = any(
            vr in BINARY and keyword in DECIMALS for keyword, (vr, _) in raw.items()
        )
    if pixels is None:
        return header, None
    begin, length, header.pixel_tag = pixels
    header.pixel_length = None if length == UNDEFINED else length
    return header, begin


def _collect(
    source: _Bytes,
    position: int,
    wanted: Mapping[int, tuple[str, str]],
    raw: dict[str, tuple[str, bytes]],
    implicit: bool = True,
) -> tuple[int, int, int] | None:
    """Put the wanted elements from `position` on into `raw`.

    Returns the byte at which the pixels begin, their length as the file states it, and their tag.
    """
    while not source.ends_at(position):
        tag, vr, length, position = _element(source, position, implicit)
        if tag >= FLOAT_PIXELS:
            return (position, length, tag) if tag <= PIXEL_DATA else None
        if tag in SEQUENCES:
            raise _NotQuickError
        if length == UNDEFINED:
            position = _behind_sequence(source, position, implicit)
            continue
        if (known := wanted.get(tag)) is not None:
            at = source.at(position, length)
            raw[known[0]] = (vr or known[1], source.data[at : at + length])
        position += length
    return None


def _collect_explicit(
    source: _Bytes,
    position: int,
    wanted: Mapping[int, tuple[str, str]],
    raw: dict[str, tuple[str, bytes]],
) -> tuple[int, int, int] | None:
    """Do what `_collect` does for elements of known length within the first read.

    The first other element, and all behind it, go to `_collect`. The loop calls no other function:
    it takes most of the time of a scan.
    """
    data, offset = source.data, source.start
    index, last = position - offset, len(data) - LARGEST_START
    while index <= last:
        group, element, vr, length = _SHORT_START(data, index)
        begin = index + 8
        if vr in SHORT:
            pass
        elif vr in LONG:
            (length,) = _LONG_LENGTH(data, begin)
            begin += 4
        else:
            raise _NotQuickError
        tag = group << 16 | element
        if tag >= FLOAT_PIXELS or length == UNDEFINED or begin + length > len(data):
            break
        if tag in wanted:
            raw[wanted[tag][0]] = (_NAMES[vr], data[begin : begin + length])
        index = begin + length
    return _collect(source, index + offset, wanted, raw, implicit=False)


def _meta(source: _Bytes) -> tuple[int, dict[str, Any]]:
    """The file meta information, and where the data set begins.

    Where a file has the information twice, what comes first counts: a program that copies a file
    may put its own before the old one.
    """
    position, values = _quick_meta(source)
    while True:
        at = source.at(position, 8)
        if source.data[at : at + 2] != META_GROUP:
            return position, values
        tag, vr, length, behind = _element(source, position, implicit=False)
        if (known := _META.get(tag)) is not None:
            at = source.at(behind, length)
            values.setdefault(known[0], _value(vr, source.data[at : at + length], ""))
        position = behind + length


def _quick_meta(source: _Bytes) -> tuple[int, dict[str, Any]]:
    """What `_meta` gives as far as elements of short lengths within the first read go."""
    data, values = source.data, dict[str, Any]()
    index, last = START, len(data) - LARGEST_START
    while index <= last and data.startswith(META_GROUP, index):
        group, element, vr, length = _SHORT_START(data, index)
        begin = index + 8
        if vr not in SHORT:
            if vr not in LONG:
                break
            (length,) = _LONG_LENGTH(data, begin)
            begin += 4
        if begin + length > len(data):
            break
        if (known := _META.get(group << 16 | element)) is not None:
            values.setdefault(known[0], _value(_NAMES[vr], data[begin : begin + length], ""))
        index = begin + length
    return index, values


def _element(source: _Bytes, position: int, implicit: bool) -> tuple[int, str, int, int]:
    """Tag, representation ("" if implicit), length, and where the value begins."""
    at = source.at(position, 8)
    data = source.data
    group, element = struct.unpack_from("<HH", data, at)
    tag = group << 16 | element
    if implicit or group == 0xFFFE:
        return tag, "", struct.unpack_from("<I", data, at + 4)[0], position + 8
    vr = data[at + 4 : at + 6]
    if vr in SHORT:
        return tag, vr.decode(), data[at + 6] | data[at + 7] << 8, position + 8
    if vr not in LONG:
        raise _NotQuickError
    at = source.at(position, 12)
    return tag, vr.decode(), struct.unpack_from("<I", source.data, at + 8)[0], position + 12


def _behind_sequence(source: _Bytes, position: int, implicit: bool) -> int:
    """The position behind a sequence of undefined length whose items begin at `position`."""
    while True:
        tag, _, length, position = _element(source, position, implicit)
        if tag == SEQUENCE_END:
            return position
        if tag != ITEM:
            raise _NotQuickError
        if length != UNDEFINED:
            position += length
            continue
        while True:
            tag, _, length, position = _element(source, position, implicit)
            if tag == ITEM_END:
                break
            if length == UNDEFINED:
                position = _behind_sequence(source, position, implicit)
            else:
                position += length


# --- values ------------------------------------------------------------------------------------


def _converted(raw: dict[str, tuple[str, bytes]]) -> dict[str, Any]:
    stated = raw.get("SpecificCharacterSet")
    charset = _value(*stated, "") if stated else ""
    name = "\\".join(charset) if isinstance(charset, tuple) else charset
    return {keyword: _value(vr, value, name) for keyword, (vr, value) in raw.items()}


@lru_cache(maxsize=8192)
def _value(vr: str, raw: bytes, charset: str) -> Any:
    """One value, a tuple of several, or "" or None for none.

    Cached: most values repeat in every file of a series.
    """
    if vr in BINARY:
        kind, size = BINARY[vr]
        values = struct.unpack(f"<{len(raw) // size}{kind}", raw)
        return _one_or_all(values)
    if vr == "SQ" or vr not in _TEXTS:
        raise _NotQuickError
    text = _decoded(vr, raw, charset).rstrip("\0 ")
    if vr in ONE_VALUE:
        return text
    parts = [part.strip() for part in text.split("\\")]
    if vr == "DS":
        return _one_or_all(tuple(float(part.replace(",", ".")) for part in parts if part))
    if vr == "IS":
        return _one_or_all(tuple(_whole(part) for part in parts if part))
    return parts[0] if len(parts) == 1 else tuple(parts)


_TEXTS = frozenset(vr.decode() for vr in SHORT) | {"UC", "UR", "UT"}


def _one_or_all(values: tuple[Any, ...]) -> Any:
    return values if len(values) > 1 else values[0] if values else None


def _whole(text: str) -> int:
    value = float(text)
    if value != int(value):
        raise ValueError(text)
    return int(value)


def _decoded(vr: str, raw: bytes, charset: str) -> str:
    if raw.isascii() and ESCAPE not in raw:
        return raw.decode("ascii")
    if vr not in LOCAL:
        return raw.decode("latin-1")
    ends = {"\\", "^", "="} if vr == "PN" else {"\\", "\n", "\r"}
    with quiet():  # an unknown character set, or escape sequence
        encodings = convert_encodings(charset.split("\\") if charset else None)
        return str(decode_bytes(raw, encodings, ends))


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what pydicom warns of off the terminal: what is odd is judged where it matters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
