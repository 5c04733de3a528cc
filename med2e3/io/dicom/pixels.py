"""Read the stored numbers of DICOM images, and their values (HU for CT).

Uncompressed pixels are copied from the file into the volume. Compressed ones are decoded by worker
processes. Knows nothing of geometry.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.uid import DeflatedExplicitVRLittleEndian

from med2e3.errors import ImageReadError
from med2e3.io.bounds import Claim, Packing, check_claim
from med2e3.io.dicom.attributes import NATIVE_SYNTAXES, transfer_syntax
from med2e3.io.dicom.behind import REST_READ, behind_deflated, behind_native
from med2e3.io.dicom.decode import (
    DECODING,
    Decoded,
    decode,
    is_known,
    no_decoder,
    whole_file,
)
from med2e3.io.dicom.decode_pool import (
    FEWEST_FOR_WORKERS,
    decoded_by_one,
    decoded_by_workers,
    request,
)
from med2e3.io.dicom.deflated import dicom_file
from med2e3.io.dicom.facts import may_be_lossy
from med2e3.io.dicom.headers import Frame
from med2e3.io.dicom.observed import Observed
from med2e3.io.dicom.streams import ITEM
from med2e3.io.dicom.values import is_padding
from med2e3.io.voxels import VoxelBuffer, Voxels, middle_out, replaced_sentence
from med2e3.io.watch import Watch
from med2e3.volume import AIR_HU

Stored = NDArray[np.integer[Any]]

#: The sizes of a stored number that can be read, in bits.
ALLOCATED = (8, 16, 32)


def read_voxels(
    frames: Sequence[Frame], watch: Watch, first_look: Callable[[Voxels], object] | None = None
) -> tuple[VoxelBuffer, tuple[str, ...]]:
    """(slice, row, column) values of `frames`, each with its own slope and intercept; and warnings.

    Slices are read from the middle outwards; `first_look` is given the array, still filling, as
    soon as the middle one is there. The warnings are of what was seen on the way: what decoders
    reported, and tissue that counts as padding.
    """
    first = frames[0].pixels
    shape = (len(frames), first.rows, first.columns)
    buffer = VoxelBuffer(shape, shown_early=first_look is not None)
    order = middle_out(len(frames))
    observed = Observed()
    with closing(stored_numbers([frames[k] for k in order])) as numbers:
        for done, (k, decoded) in enumerate(zip(order, numbers, strict=True)):
            watch.step(done / len(frames), "Reading slices")
            observed.add_reports(frames[k], decoded.reports)
            _put(buffer, k, frames[k], decoded.numbers, observed)
            if done == 0 and first_look is not None:
                first_look(buffer.values)
    watch.step(1.0, "Reading slices")
    return buffer, (*observed.warnings(), *replaced_sentence(buffer.replaced))


def stored_numbers(frames: Sequence[Frame]) -> Generator[Decoded, None, None]:
    """(row, column) stored numbers of each frame in order; each is valid until the next is read."""
    compressed = [frame for frame in frames if is_compressed(frame)]
    with closing(_decoded(compressed)) as decoded:
        native, deflated = _Native(), _Deflated()
        after: dict[Path, tuple[str, ...]] = {}  # once a file, however many frames it has
        for frame in frames:
            if is_compressed(frame):
                yield next(decoded)
            elif transfer_syntax(frame.header) in NATIVE_SYNTAXES:
                numbers = native(frame)
                if frame.path not in after:
                    after[frame.path] = behind_native(frame)
                yield Decoded(numbers, after[frame.path])
            else:
                yield deflated(frame)


def _decoded(frames: Sequence[Frame]) -> Generator[Decoded, None, None]:
    """Compressed frames, decoded by other processes where these can be had."""
    if not frames:
        return
    requests = [request(f.path, f.number) for f in frames]
    images = None
    # Frames of one file are decoded by one process, which reads the file once.
    if len(frames) >= FEWEST_FOR_WORKERS and all(f.number == 0 for f in frames):
        images = decoded_by_workers(requests)
    if images is None:
        images = decoded_by_one(requests)
    if images is not None:
        with closing(images):
            yield from images
        return
    decoder = _Decoder()
    for frame in frames:
        yield decoder(frame)


def values_of(frame: Frame) -> NDArray[np.generic]:
    """(row, column) values of one image, with its own slope and intercept."""
    if frame.table is not None:
        return frame.table(_stored(frame))
    slope, intercept = frame.rescale or (1.0, 0.0)
    with np.errstate(all="ignore"):  # what is not finite is said when the volume is read
        values: NDArray[np.generic] = _stored(frame) * np.float32(slope) + intercept
    return values


def stored_bytes(frame: Frame) -> bytes:
    """The stored numbers of one image as bytes, to compare it with others."""
    return _stored(frame).tobytes()


def _stored(frame: Frame) -> Stored:
    (decoded,) = stored_numbers([frame])  # to its end: the process that decodes is kept
    return decoded.numbers


def unreadable(frame: Frame) -> str:
    """Why the pixels cannot be read, as far as the header tells; empty where they may be."""
    syntax = transfer_syntax(frame.header)
    if syntax in NATIVE_SYNTAXES:
        return why_not_native(frame)
    if syntax == DeflatedExplicitVRLittleEndian or is_known(syntax):
        return ""
    return no_decoder(frame.path, syntax)


def is_compressed(frame: Frame) -> bool:
    """Whether a decoder must read the frame, or refuse it because its syntax is not known."""
    syntax = transfer_syntax(frame.header)
    return syntax not in NATIVE_SYNTAXES and syntax != DeflatedExplicitVRLittleEndian


class _Native:
    """Reads uncompressed frames one after another into the same memory.

    To allocate new memory for each would take as long as to read it.
    """

    def __init__(self) -> None:
        self._memory = np.empty(0, dtype=np.uint8)

    def __call__(self, frame: Frame) -> Stored:
        pixels = frame.pixels
        dtype = _dtype(frame)
        count, size = pixels.rows * pixels.columns, pixels.frame_bytes
        _check_file(frame)
        if self._memory.size < size:
            self._memory = np.empty(size, dtype=np.uint8)
        read = _read(frame.path, pixels.offset + frame.number * size, self._memory[:size])
        if read < size:  # it was cut just now
            raise _cut(frame, f"the file ends after {read // dtype.itemsize} of {count} pixels")
        stored: Stored = self._memory[:size].view(dtype)
        return _used_bits(stored.reshape(pixels.rows, pixels.columns), frame)


class _Deflated:
    """Inflates the pixels of a file, as many as its frames need; those of many frames once."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._content = b""
        self._reports: tuple[str, ...] = ()

    def __call__(self, frame: Frame) -> Decoded:
        pixels = frame.pixels
        dtype = _dtype(frame)
        if frame.path != self._path:
            self._path, self._content = None, b""
            self._content, self._reports = _inflated(frame)
            self._path = frame.path
        size = pixels.frame_bytes
        stored: Stored = np.frombuffer(
            self._content, dtype, pixels.rows * pixels.columns, frame.number * size
        )
        used = _used_bits(stored.reshape(pixels.rows, pixels.columns), frame)
        return Decoded(used, self._reports)


def _inflated(frame: Frame) -> tuple[bytes, tuple[str, ...]]:
    """The pixels of all frames of a deflated file, and what is odd behind them."""
    pixels = frame.pixels
    need = _frame_count(frame) * pixels.frame_bytes
    there = frame.path.stat().st_size
    holds = f"{_frame_count(frame)} images of {pixels.columns} × {pixels.rows}"
    check_claim(Claim(frame.path, holds, need, there, Packing.DEFLATE, 2 * need))
    try:
        with dicom_file(frame.path, pixels.offset + need + 1 + REST_READ) as file:
            file.seek(pixels.offset)
            content = file.read(need)
            reports = _behind(file, frame, need) if len(content) == need else ()
    except (EOFError, zlib.error, ValueError) as error:
        raise _cut(frame, "its deflated pixels end early or are damaged") from error
    if len(content) < need:
        raise _cut(frame, f"{len(content)} of {need} bytes of its pixels are there")
    return content, reports


def _behind(file: BinaryIO, frame: Frame, need: int) -> tuple[str, ...]:
    """What is odd behind deflated pixels of `need` bytes; longer ones are said elsewhere."""
    if is_too_long(frame):
        return ()
    file.seek(frame.pixels.offset + max(need, frame.pixels.length or 0))
    return behind_deflated(file, transfer_syntax(frame.header))


def _cut(frame: Frame, why: str) -> ImageReadError:
    return ImageReadError(
        f"{frame.path}: {why}; it is truncated. Copy or send the file again, or take it out of the "
        "folder."
    )


def _dtype(frame: Frame) -> np.dtype[Any]:
    """The stored numbers' type. Raises `ImageReadError` where the header forbids reading them."""
    if reason := why_not_native(frame):
        raise ImageReadError(
            f"{reason}. Export the series again, or take the file out of the folder."
        )
    pixels = frame.pixels
    kind = "f" if pixels.is_float else "i" if pixels.signed else "u"
    return np.dtype(f"{'>' if pixels.big_endian else '<'}{kind}{pixels.allocated // 8}")


def _frame_count(frame: Frame) -> int:
    return max(1, int(frame.header.get("NumberOfFrames") or 1))


def check_claims(frames: Sequence[Frame]) -> None:
    """Raise where a file cannot hold its images, before memory for all of them is taken."""
    for frame in frames:
        pixels = frame.pixels
        if not is_compressed(frame):
            _dtype(frame)
            if transfer_syntax(frame.header) in NATIVE_SYNTAXES:
                _check_file(frame)
    largest = max(frames, key=lambda f: f.pixels.frame_bytes)
    if is_compressed(largest):
        pixels = largest.pixels
        holds = f"an image of {pixels.columns} × {pixels.rows}"
        check_claim(Claim(largest.path, holds, 0, memory=DECODING * pixels.frame_bytes))


def _check_file(frame: Frame) -> None:
    """Raise where the file ends before the frame does."""
    pixels = frame.pixels
    there = frame.path.stat().st_size - pixels.offset - frame.number * pixels.frame_bytes
    if there < pixels.frame_bytes:
        cell = pixels.allocated // 8
        count = pixels.rows * pixels.columns
        raise _cut(frame, f"the file ends after {max(0, there) // cell} of {count} pixels")


def why_not_native(frame: Frame) -> str:
    """Why uncompressed pixels cannot be read, as far as the header tells; empty where they can."""
    pixels = frame.pixels
    if pixels.allocated not in ALLOCATED and not pixels.is_float:
        return (
            f"{frame.path}: {pixels.allocated} bits a pixel cannot be read "
            f"({', '.join(map(str, ALLOCATED))} can)"
        )
    if pixels.length is None or (is_too_long(frame) and _begins_with_item(frame)):
        return (
            f"{frame.path}: its pixels are packed although the file says they are not "
            f"({transfer_syntax(frame.header).name})"
        )
    end = (frame.number + 1) * pixels.frame_bytes
    if pixels.length < end:
        return (
            f"{frame.path}: its Pixel Data has {pixels.length} bytes, and {pixels.columns} × "
            f"{pixels.rows} pixels of {pixels.allocated} bits need {end}; the header does not fit "
            "the pixels"
        )
    return ""


def is_too_long(frame: Frame) -> bool:
    """Whether uncompressed Pixel Data holds more than its frames and the byte that makes it even.

    A length that is undefined, or not known, is none.
    """
    if frame.pixels.length is None:
        return False
    return frame.pixels.length > _frame_count(frame) * frame.pixels.frame_bytes + 1


def _begins_with_item(frame: Frame) -> bool:
    with frame.path.open("rb") as file:
        file.seek(frame.pixels.offset)
        return file.read(len(ITEM)) == ITEM


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
    if pixels.is_float or not above + below:
        return stored
    # Shifting up and down again clears unsigned numbers and extends the sign of signed ones.
    return np.right_shift(np.left_shift(stored, above), above + below)


class _Decoder:
    """Decodes frames in this process; a file of many frames is read once."""

    def __init__(self) -> None:
        self.path: Path | None = None
        self.dataset = pydicom.Dataset()

    def __call__(self, frame: Frame) -> Decoded:
        if frame.path != self.path:
            self.dataset = whole_file(frame.path)
            self.path = frame.path
        return decode(self.dataset, str(frame.path), frame.number)


def _put(buffer: VoxelBuffer, k: int, frame: Frame, stored: Stored, observed: Observed) -> None:
    """Put the values of slice `k` into `buffer`; in CT, declared padding becomes air."""
    slope, intercept = rescale = frame.rescale or (1.0, 0.0)
    padding = frame.pixels.padding
    if padding is not None and frame.is_ct:
        empty = is_padding(stored, padding, rescale, is_lossy=may_be_lossy(frame.header))
        if empty.any():
            values = stored * slope + intercept if frame.table is None else frame.table(stored)
            observed.add_padding(values, empty)
            values[empty] = AIR_HU
            buffer.put(k, values)
            return
    if frame.table is not None:
        buffer.put(k, frame.table(stored))
        return
    buffer.put(k, stored, slope, intercept)
