"""Look at what lies behind the pixels of a file: bytes that are lost or inserted before shift it.

What is written after the pixels is an element (PS3.5 7.1), or zeros that fill a medium up. Knows
nothing of the pixels themselves.
"""

from __future__ import annotations

import zlib
from typing import BinaryIO, Literal

from pydicom.uid import UID, ExplicitVRBigEndian, ImplicitVRLittleEndian

from med2e3.io.dicom.attributes import transfer_syntax
from med2e3.io.dicom.headers import Frame
from med2e3.io.dicom.quick import PIXEL_DATA
from med2e3.words import counted

#: Bytes read behind the pixels, and those of the shortest element.
REST_READ, ELEMENT = 64, 8

#: Zeros that are read at once, and most of them: a medium fills up its last block.
ZEROS_READ, MOST_ZEROS = 1 << 16, 1 << 22


def behind_native(frame: Frame) -> tuple[str, ...]:
    """A report where bytes follow uncompressed pixels that begin no element."""
    end = frame.pixels.offset + (frame.pixels.length or 0)
    with frame.path.open("rb") as file:
        file.seek(end)
        rest = file.read(REST_READ)
        if _is_filled_up(file, rest):
            return ()
    more = frame.path.stat().st_size - end
    if _begins_an_element(rest, more, transfer_syntax(frame.header)):
        return ()
    return (f"{counted(more, 'byte')} after the pixels are no DICOM",)


def behind_deflated(file: BinaryIO, syntax: UID) -> tuple[str, ...]:
    """A report where what a deflated stream holds behind its pixels is no element, or has no end.

    `file` is one of `deflated.dicom_file`, read up to the end of the pixels. A deflated stream has
    no checksum of its own.
    """
    try:
        rest = file.read(REST_READ)
    except (EOFError, zlib.error):
        return ("the deflated stream does not end where its pixels do",)
    if rest.strip(b"\0") and not _begins_an_element(rest, None, syntax):
        return ("the bytes that are inflated after the pixels are no DICOM",)
    return ()


def _is_filled_up(file: BinaryIO, rest: bytes) -> bool:
    """Whether zeros alone follow: `rest`, and what is read behind it."""
    read = 0
    while rest and not rest.strip(b"\0") and read < MOST_ZEROS:
        read += len(rest)
        rest = file.read(ZEROS_READ)
    return not rest.strip(b"\0")


def _begins_an_element(rest: bytes, more: int | None, syntax: UID) -> bool:
    """Whether the first of `more` bytes, or of unknown many, can be an element (PS3.5 7.1)."""
    order: Literal["big", "little"] = "big" if syntax == ExplicitVRBigEndian else "little"
    group, element = (int.from_bytes(rest[k : k + 2], order) for k in (0, 2))
    if len(rest) < ELEMENT or group << 16 | element <= PIXEL_DATA:
        return False
    if syntax == ImplicitVRLittleEndian:
        return more is None or int.from_bytes(rest[4:8], order) <= more - ELEMENT
    return rest[4:6].isalpha() and rest[4:6].isupper()
