"""The stored numbers of a volume: read slice by slice, or unpacked up to what the header needs.

A file that is not packed is read as slices are asked for, so that only the volume takes memory. It
is not mapped: a mapped file that is cut while it is read ends the process. Knows no format.
"""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from med2e3.io.bounds import Claim, Packing, check_claim
from med2e3.io.watch import Watch
from med2e3.words import counted

#: Bytes of a file that are read at once, and of unpacked ones that are held beside the volume.
PIECE = 1 << 20

#: How a gzip stream begins (RFC 1952).
GZIP = b"\x1f\x8b"


class Slices(Protocol):
    """The stored numbers of a volume, one (row, column) array a slice."""

    def __len__(self) -> int: ...

    def __getitem__(self, k: int, /) -> NDArray[Any]: ...


class Unpacker:
    """A packed stream, read piece by piece; several streams in a row count as one.

    Deflate is read with the header of gzip or of zlib, whichever is there.
    """

    def __init__(self, file: BinaryIO, packing: Packing) -> None:
        self._file = file
        self._packing = packing
        self._stream: Any = self._new()
        self._pending = b""

    def _new(self) -> Any:
        return bz2.BZ2Decompressor() if self._packing is Packing.BZIP2 else zlib.decompressobj(47)

    def read(self, most: int) -> bytes:
        """Up to `most` bytes, at least one; none at the end, where checksums have been compared.

        Raises `EOFError` where the stream ends early, `OSError` or `zlib.error` where it is
        damaged.
        """
        while True:
            if self._stream.eof:
                rest = (self._stream.unused_data or self._file.read(PIECE)).lstrip(b"\0")
                if not rest.startswith((GZIP, b"BZh")):
                    return b""  # the end, or what is not of this stream
                self._stream, self._pending = self._new(), rest
            is_over = False
            if not self._pending and getattr(self._stream, "needs_input", True):
                self._pending = self._file.read(PIECE)
                is_over = not self._pending
            data: bytes = self._stream.decompress(self._pending, most)
            self._pending = getattr(self._stream, "unconsumed_tail", b"")
            if data:
                return data
            if is_over and not self._stream.eof:
                raise EOFError("the packed data ends early")


@contextmanager
def opened(path: Path, packing: Packing, start: int = 0) -> Iterator[Unpacker | BinaryIO]:
    """The bytes of a file from `start` on, unpacked."""
    with path.open("rb") as file:
        file.seek(start)
        yield file if packing is Packing.RAW else Unpacker(file, packing)


def beginning(path: Path, count: int) -> bytes:
    """The first `count` bytes of a file, or fewer; unpacked where it is a gzip file."""
    with opened(path, packing_of(path)) as file:
        content = b""
        while len(content) < count and (more := file.read(count - len(content))):
            content += more
        return content


def packing_of(path: Path) -> Packing:
    """Whether a file is a gzip file, by its first bytes, whatever its name says."""
    with path.open("rb") as file:
        return Packing.DEFLATE if file.read(2) == GZIP else Packing.RAW


class Numbers(Protocol):
    """Numbers that lie in one file or several."""

    @property
    def held(self) -> int:
        """Bytes of memory that the numbers take beside the volume."""

    def check(self) -> None:
        """Raise `ImageReadError` where a file cannot hold its numbers."""

    def read(self, watch: Watch, said: list[str], /) -> Slices:
        """The slices; what follows them in a file is put into `said` in words."""


@dataclass(frozen=True)
class StoredNumbers:
    """Where the numbers of some slices lie: `path` from byte `start` on, packed or not.

    `skip` bytes of what is unpacked stand before them. `shape` is (slices, rows, columns).
    """

    path: Path
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    start: int = 0
    packing: Packing = Packing.RAW
    skip: int = 0

    @property
    def bytes(self) -> int:
        """Bytes of all numbers, unpacked."""
        return self.slice_bytes * self.shape[0]

    @property
    def slice_bytes(self) -> int:
        """Bytes of one slice, unpacked."""
        return self.shape[1] * self.shape[2] * self.dtype.itemsize

    @property
    def held(self) -> int:
        """Bytes of memory that the numbers take beside the volume."""
        return self.slice_bytes if self.packing is Packing.RAW else self.bytes

    def check(self) -> None:
        """Raise `ImageReadError` where the file cannot hold the numbers."""
        size = self.path.stat().st_size
        holds = "{} slices of {} × {} voxels".format(*self.shape[:1], *self.shape[:0:-1])
        there = max(0, size - self.start)
        check_claim(Claim(self.path, holds, self.skip + self.bytes, there, self.packing))

    def read(self, watch: Watch, said: list[str]) -> Slices:
        """The slices; what follows them in the file is put into `said` in words."""
        if self.packing is Packing.RAW:
            beyond = self.path.stat().st_size - self.start - self.bytes
            if beyond > 0:
                said.append(self._longer(beyond))
            return _FileSlices(self)
        content = np.empty(self.bytes, dtype=np.uint8)
        with self.path.open("rb") as file:
            file.seek(self.start)
            stream = Unpacker(file, self.packing)
            size = max(1, self.path.stat().st_size)
            _skip(stream, self.skip, watch)
            done = 0
            while done < self.bytes:
                piece = stream.read(min(PIECE, self.bytes - done))
                if not piece:
                    raise EOFError(f"{done} of {self.bytes} bytes are there")
                content[done : done + len(piece)] = np.frombuffer(piece, np.uint8)
                done += len(piece)
                watch.step(min(1.0, file.tell() / size), "Unpacking voxels")
            if beyond := _more(stream, self.slice_bytes):
                said.append(self._longer(beyond))
        return content.view(self.dtype).reshape(self.shape)

    def _longer(self, beyond: int) -> str:
        least = "at least " if self.packing is not Packing.RAW else ""
        return (
            f"{self.path.name} holds {least}{counted(beyond, 'byte')} behind the "
            f"{counted(self.shape[0], 'slice')} that its header describes, and they were not read: "
            "the header is of another file, or bytes came in on the way and displaced the voxels."
        )


@dataclass(frozen=True)
class JoinedNumbers:
    """The numbers of a volume in several files, in the order of the slices."""

    parts: tuple[Numbers, ...]

    @property
    def held(self) -> int:
        """Bytes of memory that the numbers take beside the volume."""
        return sum(part.held for part in self.parts)

    def check(self) -> None:
        """Raise `ImageReadError` where a file cannot hold its numbers."""
        for part in self.parts:
            part.check()

    def read(self, watch: Watch, said: list[str]) -> Slices:
        """The slices; what follows them in a file is put into `said` in words."""
        count = len(self.parts)
        return _JoinedSlices(
            [part.read(watch.stage(k / count, (k + 1) / count), said)
             for k, part in enumerate(self.parts)]
        )  # fmt: skip


class _FileSlices:
    """Slices that are read from a file when they are asked for."""

    def __init__(self, numbers: StoredNumbers) -> None:
        self._numbers = numbers

    def __len__(self) -> int:
        return self._numbers.shape[0]

    def __getitem__(self, k: int) -> NDArray[Any]:
        numbers = self._numbers
        content = np.empty(numbers.slice_bytes, dtype=np.uint8)
        done = 0
        with numbers.path.open("rb", buffering=0) as file:
            file.seek(numbers.start + k * numbers.slice_bytes)
            while done < content.size and (more := file.readinto(content[done:].data)):
                done += more
        if done < content.size:
            raise EOFError(f"slice {k + 1} of {len(self)} is not there")
        return content.view(numbers.dtype).reshape(numbers.shape[1:])


class _JoinedSlices:
    def __init__(self, parts: Sequence[Slices]) -> None:
        self._parts = parts
        self._ends = list(accumulate(len(part) for part in parts))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, k: int) -> NDArray[Any]:
        which = next(n for n, end in enumerate(self._ends) if k < end)
        before = self._ends[which] - len(self._parts[which])
        return self._parts[which][k - before]


def _skip(stream: Unpacker, count: int, watch: Watch) -> None:
    while count > 0:
        piece = stream.read(min(PIECE, count))
        if not piece:
            raise EOFError("it ends before the voxels begin")
        count -= len(piece)
        watch.check("Unpacking voxels")


def _more(stream: Unpacker, enough: int) -> int:
    """Bytes that a stream goes on for, up to `enough`; a shorter rest is read to its checksum."""
    found = 0
    while found < enough:
        piece = stream.read(min(PIECE, enough - found))
        if not piece:
            return found
        found += len(piece)
    return found
