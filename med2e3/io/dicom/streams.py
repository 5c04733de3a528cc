"""Read what a compressed frame says of itself: its compression, size and precision, and its end.

A file's header may say something else, and decoders believe the stream. Knows no decoder.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    JPEG2000MC,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEG2000MCLossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
)

#: How a JPEG or JPEG-LS stream begins and ends (ITU-T T.81, B.1.1.3), and JPEG 2000 ends; DICOM may
#: put a zero behind.
JPEG_START, JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"

#: How a JPEG 2000 codestream begins: SOC, then SIZ (ITU-T T.800, A.4 and A.5).
J2K_START = b"\xff\x4f\xff\x51"

#: How a JP2 file begins, which some programs put into DICOM in place of the codestream alone.
JP2_START = b"\x00\x00\x00\x0cjP  "

#: The transfer syntaxes that a JPEG frame header may stand for, by its marker; the first is taken
#: where the file states none of them.
JPEG_FRAMES: dict[int, tuple[UID, ...]] = {
    0xC0: (JPEGBaseline8Bit, JPEGExtended12Bit),
    0xC1: (JPEGExtended12Bit, JPEGBaseline8Bit),
    0xC3: (JPEGLossless, JPEGLosslessSV1),
    0xF7: (JPEGLSLossless, JPEGLSNearLossless),
}

J2K_SYNTAXES = (
    JPEG2000Lossless, JPEG2000, JPEG2000MCLossless, JPEG2000MC,
    HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K,
)  # fmt: skip

#: The marker at the start of a tile-part of JPEG 2000.
SOT = 0xFF90


#: An item of packed pixels begins so, before the four bytes of its length (PS3.5 A.4).
ITEM = b"\xfe\xff\x00\xe0"


class Stream(NamedTuple):
    """What a compressed frame states: its possible syntaxes, rows, columns and bits a sample."""

    syntaxes: tuple[UID, ...]
    rows: int
    columns: int
    precision: int


def items_end(packed: bytes) -> int:
    """The byte at which the last item of packed pixels ends by the lengths that the items state.

    It is the length of `packed` where no byte was lost or inserted.
    """
    at = 0
    while packed[at : at + 4] == ITEM and at + 8 <= len(packed):
        at += 8 + int.from_bytes(packed[at + 4 : at + 8], "little")
    return at


def read_stream(frame: bytes) -> Stream | None:
    """What `frame` states; None for a stream without a header that is known, as RLE.

    Raises `ValueError` where the header is cut short.
    """
    try:
        if frame.startswith(JPEG_START):
            return _jpeg(frame)
        if frame.startswith(J2K_START) or frame.startswith(JP2_START):
            return _j2k(frame, _codestream(frame))
    except (struct.error, IndexError) as error:
        raise ValueError("The header of the stream is cut short.") from error
    return None


def check_end(frame: bytes) -> None:
    """Raise `ValueError` where a JPEG stream has no end."""
    if frame.startswith(JPEG_START) and not has_end(frame):
        raise ValueError("The JPEG stream has no end.")


def has_end(frame: bytes) -> bool:
    """Whether a JPEG or JPEG-LS stream ends as one does.

    Behind its end lie zeros, or one byte of any kind that makes the length even.
    """
    return frame.startswith(JPEG_START) and (
        frame.rstrip(b"\0").endswith(JPEG_END) or frame[:-1].endswith(JPEG_END)
    )


def check_tiles(frame: bytes) -> None:
    """Raise `ValueError` where JPEG 2000 does not end where the lengths of its tiles put the end.

    Bytes that are lost inside shift the end; decoders that look at the tiles alone do not notice.
    """
    if not frame.startswith(J2K_START):
        return
    at = 2
    try:
        while True:
            marker, length = struct.unpack_from(">HH", frame, at)
            if marker == SOT:
                (part,) = struct.unpack_from(">I", frame, at + 6)
                if part == 0:  # the last one, up to the end
                    return
                at += part
                if _ends(frame, at):
                    return
            elif marker >> 8 == 0xFF:
                at += 2 + length
            else:
                break
    except struct.error:
        pass
    raise ValueError("The JPEG 2000 stream does not end where its tiles do.")


def _ends(frame: bytes, at: int) -> bool:
    """Whether the codestream ends at `at`: with its end marker, or whole without one."""
    if frame[at : at + 2] == JPEG_END:
        return True
    return len(frame) in (at, at + 1) and frame[at - 2 : at] != JPEG_END


def _jpeg(frame: bytes) -> Stream | None:
    at = 2
    while True:
        if frame[at] != 0xFF:
            raise ValueError("The header of the stream is damaged.")
        marker = frame[at + 1]
        if marker == 0xFF:  # fill bytes may stand before a marker
            at += 1
            continue
        if marker in JPEG_FRAMES:
            precision, rows, columns = struct.unpack_from(">BHH", frame, at + 4)
            return Stream(JPEG_FRAMES[marker], rows, columns, precision)
        if marker == 0xDA or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            return None  # the scan, or a kind of JPEG that DICOM has retired
        at += 2 + int.from_bytes(frame[at + 2 : at + 4], "big")


def _codestream(frame: bytes) -> int:
    """The byte at which the codestream of JPEG 2000 begins."""
    at = frame.find(J2K_START)
    if at < 0:
        raise ValueError("The JP2 file holds no codestream.")
    return at


def _j2k(frame: bytes, at: int) -> Stream:
    right, bottom, left, top = struct.unpack_from(">4I", frame, at + 8)
    precision = (frame[at + 42] & 0x7F) + 1
    return Stream(J2K_SYNTAXES, bottom - top, right - left, precision)
