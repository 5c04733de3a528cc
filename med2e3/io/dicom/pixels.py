"""Read the stored numbers of DICOM images, and their values (HU for CT).

Uncompressed pixels are copied from the file into the volume. Compressed ones go through pydicom's
decoders, in worker processes where these save time. Knows nothing of geometry.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from med2e3.errors import ImageReadError
from med2e3.io.dicom.attributes import transfer_syntax
from med2e3.io.dicom.decode import decode, whole_file
from med2e3.io.dicom.decode_pool import FEWEST_FOR_WORKERS, decoded_by_workers
from med2e3.io.dicom.headers import Frame
from med2e3.io.voxels import VoxelBuffer, Voxels, middle_out
from med2e3.io.watch import Watch
from med2e3.volume import AIR_HU

Stored = NDArray[np.integer[Any]]


def read_voxels(
    frames: Sequence[Frame], watch: Watch, first_look: Callable[[Voxels], object] | None = None
) -> VoxelBuffer:
    """(slice, row, column) values of `frames`, each with its own slope and intercept.

    Slices are read from the middle outwards; `first_look` is given the array, still filling, as
    soon as the middle one is there.
    """
    first = frames[0].pixels
    shape = (len(frames), first.rows, first.columns)
    buffer = VoxelBuffer(shape, shown_early=first_look is not None)
    order = middle_out(len(frames))
    with closing(stored_numbers([frames[k] for k in order])) as numbers:
        for done, (k, stored) in enumerate(zip(order, numbers, strict=True)):
            watch.step(done / len(frames), "Reading slices")
            _put(buffer, k, frames[k], stored)
            if done == 0 and first_look is not None:
                first_look(buffer.values)
    watch.step(1.0, "Reading slices")
    return buffer


def stored_numbers(frames: Sequence[Frame]) -> Generator[Stored, None, None]:
    """(row, column) stored numbers of each frame in order; each is valid until the next is read."""
    classic = all(f.number == 0 for f in frames) and not any(_is_native(f) for f in frames)
    if classic and len(frames) >= FEWEST_FOR_WORKERS:
        images = decoded_by_workers([f.path for f in frames])
        if images is not None:
            yield from images
            return
    native, decode = _Native(), _Decoder()
    for frame in frames:
        yield native(frame) if _is_native(frame) else decode(frame)


def values_of(frame: Frame) -> NDArray[np.generic]:
    """(row, column) values of one image, with its own slope and intercept."""
    slope, intercept = frame.rescale or (1.0, 0.0)
    values: NDArray[np.generic] = next(stored_numbers([frame])) * np.float32(slope) + intercept
    return values


def stored_bytes(frame: Frame) -> bytes:
    """The stored numbers of one image as bytes, to compare it with others."""
    return next(stored_numbers([frame])).tobytes()


def _is_native(frame: Frame) -> bool:
    return _is_uncompressed(transfer_syntax(frame.header))


@lru_cache(maxsize=64)
def _is_uncompressed(syntax: UID) -> bool:
    compressed = syntax.is_compressed if syntax.is_transfer_syntax else False
    return not compressed and syntax != DeflatedExplicitVRLittleEndian


class _Native:
    """Reads uncompressed frames one after another into the same memory.

    To allocate new memory for each would take as long as to read it.
    """

    def __init__(self) -> None:
        self._memory = np.empty(0, dtype=np.uint8)

    def __call__(self, frame: Frame) -> Stored:
        pixels = frame.pixels
        if pixels.allocated not in (8, 16, 32):
            raise ImageReadError(
                f"{frame.path}: {pixels.allocated} bits a pixel cannot be read (8, 16 and 32 can). "
                "Export the series as uncompressed 16-bit CT images."
            )
        kind = f"{'>' if pixels.big_endian else '<'}{'i' if pixels.signed else 'u'}"
        dtype: np.dtype[Any] = np.dtype(f"{kind}{pixels.allocated // 8}")
        count = pixels.rows * pixels.columns
        size = count * dtype.itemsize
        if self._memory.size < size:
            self._memory = np.empty(size, dtype=np.uint8)
        read = _read(frame.path, pixels.offset + frame.number * size, self._memory[:size])
        if read < size:
            raise ImageReadError(
                f"{frame.path}: the file ends after {read // dtype.itemsize} of {count} pixels; it "
                "is truncated. Copy or send the file again, or take it out of the folder."
            )
        stored: Stored = self._memory[:size].view(dtype)
        return _used_bits(stored.reshape(pixels.rows, pixels.columns), frame)


def _read(path: Path, start: int, memory: NDArray[np.uint8]) -> int:
    """Fill `memory` from byte `start` of a file on, and return the number of bytes read."""
    done = 0
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a third faster than path.open
        file.seek(start)
        while done < memory.size and (more := file.readinto(memory[done:].data)):
            done += more
    return done


def _used_bits(stored: Stored, frame: Frame) -> Stored:
    """Stored numbers without the bits above and below them, which hold old overlays."""
    pixels = frame.pixels
    above = max(0, pixels.allocated - 1 - pixels.high_bit)
    below = max(0, pixels.high_bit + 1 - pixels.stored)
    if not above + below:
        return stored
    # Shifting up and down again clears unsigned numbers and extends the sign of signed ones.
    return np.right_shift(np.left_shift(stored, above), above + below)


class _Decoder:
    """Decodes compressed or deflated frames; a file of many frames is read once."""

    def __init__(self) -> None:
        self.path: Path | None = None
        self.dataset = pydicom.Dataset()

    def __call__(self, frame: Frame) -> Stored:
        if frame.path != self.path:
            self.dataset = whole_file(frame.path)
            self.path = frame.path
        return decode(self.dataset, frame.path, frame.number)


def _put(buffer: VoxelBuffer, k: int, frame: Frame, stored: Stored) -> None:
    """Put the values of slice `k` into `buffer`; in CT, declared padding becomes air."""
    slope, intercept = frame.rescale or (1.0, 0.0)
    padding = frame.pixels.padding
    if padding is not None and frame.header.get("Modality") == "CT":
        empty = (stored >= padding[0]) & (stored <= padding[1])
        if empty.any():
            values = stored * slope + intercept
            values[empty] = AIR_HU
            buffer.put(k, values)
            return
    buffer.put(k, stored, slope, intercept)
