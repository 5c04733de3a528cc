"""Stored numbers of DICOM images, and their values (HU for CT).

Native pixels are copied from the file into the volume; compressed ones go through pydicom's
decoders. Knows nothing of geometry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.pixels import pixel_array
from pydicom.uid import DeflatedExplicitVRLittleEndian

from med2e3.errors import ImageReadError
from med2e3.io.dicom_headers import Frame, transfer_syntax
from med2e3.io.voxels import VoxelBuffer, Voxels
from med2e3.io.watch import Watch
from med2e3.volume import AIR_HU


def read_voxels(
    frames: Sequence[Frame], watch: Watch, first_look: Callable[[Voxels], object] | None = None
) -> Voxels:
    """(slice, row, column) values of `frames`, each with its own slope and intercept.

    Slices are read from the middle outwards; `first_look` is given the array, still filling, as
    soon as the middle one is there.
    """
    first = frames[0].pixels
    buffer = VoxelBuffer((len(frames), first.rows, first.columns))
    order = middle_out(len(frames))
    numbers = stored_numbers([frames[k] for k in order])
    for done, (k, stored) in enumerate(zip(order, numbers, strict=True)):
        watch.step(done / len(frames), "Reading slices")
        buffer.put(k, *_with_padding_as_air(frames[k], stored))
        if done == 0 and first_look is not None:
            first_look(buffer.values)
    watch.step(1.0, "Reading slices")
    return buffer.values


def middle_out(count: int) -> list[int]:
    """0 … count − 1 by distance from the middle: a viewer shows the middle slice first."""
    return sorted(range(count), key=lambda k: abs(k - count // 2))


def stored_numbers(frames: Sequence[Frame]) -> Iterator[NDArray[np.generic]]:
    """(row, column) stored numbers of each frame, in order."""
    for frame in frames:
        yield _native(frame) if _is_native(frame) else _decoded(frame)


def stored_bytes(frame: Frame) -> bytes:
    """What tells one image's pixels from another's."""
    return next(stored_numbers([frame])).tobytes()


def _is_native(frame: Frame) -> bool:
    syntax = transfer_syntax(frame.header)
    compressed = syntax.is_compressed if syntax.is_transfer_syntax else False
    return not compressed and syntax != DeflatedExplicitVRLittleEndian


def _native(frame: Frame) -> NDArray[np.generic]:
    pixels = frame.pixels
    if pixels.allocated not in (8, 16, 32):
        raise ImageReadError(
            f"{frame.path}: {pixels.allocated} bits a pixel cannot be read (8, 16 and 32 can). "
            "Export the series as uncompressed 16-bit CT images."
        )
    kind = f"{'>' if pixels.big_endian else '<'}{'i' if pixels.signed else 'u'}"
    dtype = np.dtype(f"{kind}{pixels.allocated // 8}")
    count = pixels.rows * pixels.columns
    start = (pixels.offset or 0) + frame.number * count * dtype.itemsize
    stored = np.fromfile(frame.path, dtype=dtype, count=count, offset=start)
    if stored.size < count:
        raise ImageReadError(
            f"{frame.path}: the file ends after {stored.size} of {count} pixels; it is truncated. "
            "Copy or send the file again, or take it out of the folder."
        )
    return _used_bits(stored.reshape(pixels.rows, pixels.columns), frame)


def _used_bits(stored: NDArray[np.generic], frame: Frame) -> NDArray[np.generic]:
    """Stored numbers without what lies in the bits above or below them (old overlays)."""
    pixels = frame.pixels
    unused_high = pixels.allocated - 1 - pixels.high_bit
    unused_low = pixels.high_bit + 1 - pixels.stored
    if unused_high <= 0 and unused_low <= 0:
        return stored
    native = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    shifted = np.left_shift(native, max(0, unused_high))
    return np.right_shift(shifted, max(0, unused_high) + max(0, unused_low))


def _decoded(frame: Frame) -> NDArray[np.generic]:
    try:
        return np.asarray(pixel_array(_whole(frame.path), index=frame.number, raw=True))
    except Exception as error:  # decoders raise whatever they like on damaged data
        name = transfer_syntax(frame.header).name
        raise ImageReadError(
            f"{frame.path}: the pixels ({name}) cannot be decoded: {error}. "
            "The file is damaged; copy or send it again, or take it out of the folder."
        ) from error


def _whole(path: Path) -> pydicom.Dataset:
    return pydicom.dcmread(path, force=True)


def _with_padding_as_air(
    frame: Frame, stored: NDArray[np.generic]
) -> tuple[NDArray[np.generic], float, float]:
    """Stored numbers, slope and intercept; for CT, declared padding becomes air."""
    slope, intercept = frame.rescale
    padding = frame.pixels.padding
    if padding is None or frame.header.get("Modality") != "CT":
        return stored, slope, intercept
    low, high = padding
    empty = (stored >= low) & (stored <= high)
    if not empty.any():
        return stored, slope, intercept
    values = stored.astype(np.float64) * slope + intercept
    values[empty] = AIR_HU
    if np.array_equal(values, np.rint(values)) and abs(values).max() < 2**15:
        return values.astype(np.int16), 1.0, 0.0
    return values, 1.0, 0.0
