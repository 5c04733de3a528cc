"""Decode one compressed DICOM frame to stored numbers, and notice damaged ones.

Knows transfer syntaxes and which decoder to trust with each; nothing of values or series.
"""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels import get_decoder, pixel_array
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from med2e3.errors import ImageReadError, ResourceError
from med2e3.io.bounds import Claim, Packing, check_claim
from med2e3.io.dicom.attributes import file_meta
from med2e3.io.dicom.gdcm_frames import decode_frame
from med2e3.io.dicom.quick import first_transfer_syntax, quiet
from med2e3.io.dicom.streams import (
    ITEM,
    Stream,
    check_end,
    check_tiles,
    has_end,
    items_end,
    read_stream,
)

#: The decoders that notice damage, in the order in which they are tried; pydicom would choose
#: others. On a JPEG stream that is cut short, pylibjpeg's libjpeg returns a picture without its
#: lower part and no error; so does its JPEG-LS. Its RLE decoder ends the thread with a panic.
#: For JPEG 2000 it gives the numbers faster than gdcm, which hands pixels on as a text.
STRICT: dict[UID, tuple[str, ...]] = {
    JPEGBaseline8Bit: ("gdcm",),
    JPEGExtended12Bit: ("gdcm",),
    JPEGLossless: ("gdcm",),
    JPEGLosslessSV1: ("gdcm",),
    JPEGLSLossless: ("pyjpegls", "gdcm"),
    JPEGLSNearLossless: ("pyjpegls", "gdcm"),
    RLELossless: ("pydicom",),
    JPEG2000Lossless: ("pylibjpeg", "gdcm"),
    JPEG2000: ("pylibjpeg", "gdcm"),
    HTJ2KLossless: ("pylibjpeg",),
    HTJ2KLosslessRPCL: ("pylibjpeg",),
    HTJ2K: ("pylibjpeg",),
}

#: The first decoder of JPEG samples of 12 bits, which pydicom does not hand to gdcm; and of all
#: JPEG where no process of its own can be had, because gdcm ends the process on some damaged
#: streams. It does not notice a stream that is cut short: `check_end` does.
CANNOT_ABORT = "pylibjpeg"

#: gdcm without pydicom, which decodes what pydicom does not hand to it.
GDCM_ITSELF = "gdcm itself"

#: The syntaxes that it is tried with, where other decoders have failed.
BY_GDCM = frozenset((JPEGExtended12Bit, JPEGLSLossless, JPEGLSNearLossless))

#: What pydicom warns of the header, not of the pixels: that it and the stream state other numbers
#: of bits, say. The stream is right then.
OF_THE_HEADER = "The (0028,"

#: How many times the numbers of a frame are held while it is decoded: by the decoder (4 bytes a
#: pixel), as its result, and on its way to another process.
DECODING = 4

#: Bytes of a frame from which on the free memory is asked for.
LARGE = 64 * 1024**2

#: The last item of packed pixels, which only closes them.
ITEMS_END = b"\xfe\xff\xdd\xe0\0\0\0\0"

#: The tags of Float Pixel Data, Double Float Pixel Data and Pixel Data.
PIXELS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))


class UndecodedError(Exception):
    """No decoder reads a stream that is there to its end."""


class Decoded(NamedTuple):
    """(row, column) stored numbers of one frame, and what the decoder reports of it."""

    numbers: NDArray[np.integer[Any]]
    reports: tuple[str, ...] = ()


def whole_file(path: Path, shown: str = "") -> Dataset:
    """The file with its pixels. Raises `ImageReadError`, which names the file as `shown`."""
    try:
        dataset = _read(path)
        if not file_meta(dataset, "TransferSyntaxUID"):
            raise ValueError("it is no DICOM file any more")
        first = first_transfer_syntax(path)
        if first:  # of two statements the first one counts
            dataset.file_meta.TransferSyntaxUID = UID(first)
        return dataset
    except Exception as error:  # a damaged file can fail in any of pydicom's converters
        raise ImageReadError(
            f"{shown or path} cannot be read to its end. "
            "The file is damaged; copy or send it again, or take it out of the folder."
        ) from error


def _read(path: Path) -> Dataset:
    """The file as pydicom reads it; packed pixels that lack their last delimiter likewise."""
    with quiet():  # that the delimiter is missing
        dataset = pydicom.dcmread(path, force=True)
        if len(dataset.file_meta) and PIXELS.isdisjoint(dataset.keys()):
            content = path.read_bytes()
            there = next(
                k for k in range(len(ITEMS_END), -1, -1) if content.endswith(ITEMS_END[:k])
            )
            dataset = pydicom.dcmread(BytesIO(content + ITEMS_END[there:]), force=True)
    return dataset


def decode(dataset: Dataset, name: str, number: int, *, isolated: bool = False) -> Decoded:
    """The frame `number` of `dataset`, which was read from the file `name`.

    `isolated` says that this process may end without loss: decoders are used that end it on some
    damaged frames. Raises `ImageReadError` when the frame is damaged, or no decoder for it is
    installed.
    """
    syntax = UID(str(dataset.file_meta.TransferSyntaxUID))
    try:
        if not is_known(syntax):
            raise ImageReadError(
                f"{no_decoder(name, syntax)}. Export the series uncompressed, or as JPEG 2000."
            )
        if not bytes(dataset.PixelData[:4]).startswith(ITEM):
            raise ImageReadError(
                f"{name}: its pixels are not packed although the file says they are "
                f"({syntax.name}). Export the series again."
            )
        return _decode(dataset, name, number, isolated)
    except (ImageReadError, ResourceError):
        raise
    except Exception as error:  # decoders raise whatever they like on damaged data
        if isinstance(error, UndecodedError):
            raise ImageReadError(
                f"{name}: no decoder here can read its pixels ({syntax.name}), although they are "
                "there to their end: they are written in an unusual way, or changed inside. "
                "Export the series uncompressed, or as JPEG 2000."
            ) from error
        raise ImageReadError(
            f"{name}: the pixels ({syntax.name}) cannot be decoded; the file is damaged or cut "
            "short. Copy or send it again, or take it out of the folder."
        ) from error


def _decode(dataset: Dataset, name: str, number: int, isolated: bool) -> Decoded:
    stated = dataset.file_meta.TransferSyntaxUID
    reports = []
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        frame = _frame(dataset, number)
        stream = read_stream(frame)
        _check_claim(dataset, name, len(frame), is_rle=stream is None)
        if stream is not None:
            _check_size(dataset, name, stream)
            if stated not in stream.syntaxes:
                actual = dataset.file_meta.TransferSyntaxUID = stream.syntaxes[0]
                reports.append(f"the file says {UID(stated).name}, the pixels are {actual.name}")
        bits = _raw_bits(dataset) if stream is None else min(stream.precision, _raw_bits(dataset))
        try:
            numbers = _first_that_decodes(dataset, number, frame, bits, isolated)
        finally:
            dataset.file_meta.TransferSyntaxUID = stated
    if number == 0 and items_end(dataset.PixelData) != len(dataset.PixelData):  # once a file
        reports.append("the lengths of its packed parts do not add up to its pixels")
    told = [str(one.message) for one in said]
    reports += [words for words in told if not words.startswith(OF_THE_HEADER)]
    return Decoded(numbers, tuple(dict.fromkeys(reports)))


def _frame(dataset: Dataset, number: int) -> bytes:
    """The packed bytes of a frame, which may lie in several items."""
    offsets = None
    if "ExtendedOffsetTable" in dataset:
        offsets = (dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths)
    frames = int(dataset.get("NumberOfFrames") or 1)
    packed: bytes = get_frame(
        dataset.PixelData, number, extended_offsets=offsets, number_of_frames=frames
    )
    return packed


def _check_size(dataset: Dataset, name: str, stream: Stream) -> None:
    """Raise where a stream is of another size than its header: a decoder would believe it."""
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    if stream.precision > int(dataset.BitsAllocated):
        raise ImageReadError(
            f"{name}: its header says {dataset.BitsAllocated} bits a pixel, and the compressed "
            f"image has {stream.precision}. Export the series again."
        )
    if (stream.rows or rows, stream.columns) != (rows, columns):  # JPEG may state 0 rows at first
        raise ImageReadError(
            f"{name}: its header says {columns} × {rows} pixels, and the compressed image has "
            f"{stream.columns} × {stream.rows}. Export the series again."
        )


def _check_claim(dataset: Dataset, name: str, packed: int, *, is_rle: bool) -> None:
    """Raise where a packed frame or the free memory cannot hold what the header says."""
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    need = rows * columns * int(dataset.BitsAllocated) // 8
    packing = Packing.RLE if is_rle else Packing.IMAGE
    memory = DECODING * need if need > LARGE else 0
    check_claim(Claim(name, f"an image of {columns} × {rows}", need, packed, packing, memory))


def _first_that_decodes(
    dataset: Dataset, number: int, frame: bytes, bits: int, isolated: bool
) -> NDArray[np.integer[Any]]:
    check_tiles(frame)
    failed: Exception | None = None
    for plugin in _decoders(dataset, isolated):
        try:
            if plugin == CANNOT_ABORT:
                check_end(frame)
            if plugin == GDCM_ITSELF:
                return _shifted(decode_frame(dataset, frame), bits, int(dataset.BitsStored))
            return _numbers(dataset, number, plugin, bits)
        except Exception as error:  # decoders raise whatever they like on damaged data
            failed = failed or error
    if has_end(frame):
        raise UndecodedError from failed
    raise failed or NotImplementedError("no decoder")


def _decoders(dataset: Dataset, isolated: bool) -> tuple[str, ...]:
    syntax = UID(str(dataset.file_meta.TransferSyntaxUID))
    known = STRICT.get(syntax, ("",))
    if syntax == JPEGExtended12Bit and dataset.BitsStored > 8:
        known = (CANNOT_ABORT, "gdcm")
    if not isolated:
        return tuple(name for name in known if name != "gdcm") or (CANNOT_ABORT,)
    return (*known, GDCM_ITSELF) if syntax in BY_GDCM else known


def _raw_bits(dataset: Dataset) -> int:
    """Bits up to the High Bit: a cell of that many is what RLE has packed."""
    high_bit = dataset.get("HighBit")
    return int(dataset.BitsStored if high_bit is None else high_bit + 1)


def _numbers(dataset: Dataset, number: int, plugin: str, bits: int) -> NDArray[np.integer[Any]]:
    """The stored numbers of a frame whose samples have `bits` bits, of which the upper ones count.

    pydicom takes the lowest BitsStored bits, wherever the High Bit is.
    """
    stored = int(dataset.BitsStored)
    below = max(0, bits - stored)
    dataset.BitsStored = stored + below
    try:
        numbers = pixel_array(dataset, index=number, raw=True, decoding_plugin=plugin)
    finally:
        dataset.BitsStored = stored
    return _shifted(np.asarray(numbers), bits, stored)


def _shifted(numbers: NDArray[np.integer[Any]], bits: int, stored: int) -> NDArray[np.integer[Any]]:
    below = max(0, bits - stored)
    return np.asarray(np.right_shift(numbers, below) if below else numbers)


def no_decoder(name: str | Path, syntax: UID) -> str:
    """That the pixels of the file `name` are of a kind that nothing here reads."""
    return f"{name}: its pixels are stored as {syntax.name}, and no decoder for that is installed"


def is_known(syntax: UID) -> bool:
    """Whether a decoder for the transfer syntax is installed."""
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        return False
    wanted = STRICT.get(syntax)
    if wanted:
        return any(name in decoder.available_plugins for name in wanted)
    return bool(decoder.is_available)
