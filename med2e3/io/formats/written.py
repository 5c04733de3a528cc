"""Stored numbers that are written as letters: decimal numbers, or bytes as hexadecimal digits.

They are read piece by piece, up to the number that the header needs. Knows no format.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from med2e3.io.bounds import Claim, check_claim
from med2e3.io.formats.stored import PIECE, Slices
from med2e3.io.watch import Watch

#: Most letters of one number.
LONGEST_NUMBER = 400


@dataclass(frozen=True)
class WrittenNumbers:
    """Numbers of some slices in the file `path` from byte `start` on, as letters.

    They are decimal numbers with spaces between them, or with `is_hex` two digits a byte. `shape`
    is (slices, rows, columns).
    """

    path: Path
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    start: int = 0
    is_hex: bool = False

    @property
    def count(self) -> int:
        """Number of voxels."""
        return self.shape[0] * self.shape[1] * self.shape[2]

    @property
    def held(self) -> int:
        """Bytes of memory that the numbers take beside the volume."""
        return self.count * self.dtype.itemsize

    def check(self) -> None:
        """Raise `ImageReadError` where the file cannot hold the numbers."""
        least = 2 * self.held if self.is_hex else 2 * self.count - 1
        holds = "{} slices of {} × {} voxels as letters".format(*self.shape[:1], *self.shape[:0:-1])
        there = max(0, self.path.stat().st_size - self.start)
        check_claim(Claim(self.path, holds, least, there))

    def read(self, watch: Watch, said: list[str]) -> Slices:
        """The slices."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            parts = self._bytes(file) if self.is_hex else self._numbers(file)
            return _filled(parts, self.dtype, self.count, watch).reshape(self.shape)

    def _numbers(self, file: BinaryIO) -> Iterator[NDArray[Any]]:
        """Arrays of numbers; one that is cut at the end of a piece goes to the next."""
        rest = b""
        while piece := file.read(PIECE):
            words = (rest + piece).replace(b",", b" ").split()
            is_cut = not piece[-1:].isspace()
            rest = words.pop() if words and is_cut else b""
            if len(rest) > LONGEST_NUMBER:
                raise ValueError("no number is that long")
            yield np.array(words or [], dtype=bytes).astype(self.dtype)
        yield np.array([rest] if rest else [], dtype=bytes).astype(self.dtype)

    def _bytes(self, file: BinaryIO) -> Iterator[NDArray[Any]]:
        rest = b""
        while piece := file.read(PIECE):
            digits = rest + b"".join(piece.split())
            whole = len(digits) // (2 * self.dtype.itemsize) * 2 * self.dtype.itemsize
            yield np.frombuffer(bytes.fromhex(digits[:whole].decode("ascii")), self.dtype)
            rest = digits[whole:]


def _filled(
    parts: Iterator[NDArray[Any]], dtype: np.dtype[Any], count: int, watch: Watch
) -> NDArray[Any]:
    numbers = np.empty(count, dtype=dtype)
    done = 0
    for part in parts:
        part = part[: count - done]
        numbers[done : done + part.size] = part
        done += part.size
        watch.step(done / count, "Reading voxels")
        if done == count:
            return numbers
    raise EOFError(f"{done} of {count} numbers are there")
