"""Open DICOM files, deflated ones as if they were not, and inflated no further than is read.

A few bytes may inflate to a thousand times as many (PS3.5 A.5). Knows no attribute's meaning.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from med2e3.io.dicom.quick import data_set_begin

#: Most bytes of a header that are inflated; one with many private elements has some megabytes.
LONGEST_HEADER = 64 * 1024**2

#: Bytes that are read or inflated at once.
PIECE = 64 * 1024

#: The syntax that the file states, and the one of what it inflates to, in the same length.
_STATED = str(DeflatedExplicitVRLittleEndian).encode()
_MEANT = str(ExplicitVRLittleEndian).encode().ljust(len(_STATED), b"\0")


@contextmanager
def dicom_file(path: Path, most: int = LONGEST_HEADER) -> Iterator[BinaryIO]:
    """The file at `path`; a deflated one as Explicit VR Little Endian, up to `most` bytes of it.

    Reading further raises `ValueError`, a stream that is cut or damaged `EOFError` or `zlib.error`.
    """
    with path.open("rb") as file:
        begin = data_set_begin(path, DeflatedExplicitVRLittleEndian)
        yield cast(BinaryIO, _Inflated(file, begin, most)) if begin else file


class _Inflated(io.RawIOBase):
    """A deflated file that is inflated as far as somebody has read."""

    def __init__(self, file: BinaryIO, begin: int, most: int) -> None:
        self._file, self._most = file, most
        self._content = bytearray(file.read(begin).replace(_STATED, _MEANT))
        self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_END:
            raise io.UnsupportedOperation("the end of a deflated file is not known")
        self._position = offset + (self._position if whence == io.SEEK_CUR else 0)
        return self._position

    def read(self, size: int = -1) -> bytes:
        end = self._most if size is None or size < 0 else self._position + size
        self._inflate_to(end)
        piece = bytes(memoryview(self._content)[self._position : end])
        self._position += len(piece)
        return piece

    def _inflate_to(self, end: int) -> None:
        """Inflate until `end` bytes are there, or all. Raises beyond `most`."""
        while len(self._content) < end and not self._stream.eof:
            if len(self._content) >= self._most:
                raise ValueError(f"it unpacks to more than {self._most // 1024**2} MB")
            pending = self._stream.unconsumed_tail or self._file.read(PIECE)
            piece = self._stream.decompress(pending, min(PIECE, self._most - len(self._content)))
            if not piece and not pending:
                raise EOFError("it ends early")
            self._content += piece
