"""Decode one compressed DICOM frame to stored numbers, and notice damaged ones.

Knows transfer syntaxes and which decoder to trust with each; nothing of values or series.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels import get_decoder, pixel_array
from pydicom.uid import (
    JPEG2000,
    UID,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from med2e3.errors import ImageReadError

#: The decoders that notice damage, where pydicom would choose one that does not. On a file that is
#: cut short, pylibjpeg's libjpeg returns a picture without its lower part and no error; its RLE
#: decoder ends the interpreter's thread with a panic.
TRUSTED: dict[UID, str] = {
    JPEGBaseline8Bit: "gdcm",
    JPEGExtended12Bit: "gdcm",
    JPEGLossless: "gdcm",
    JPEGLosslessSV1: "gdcm",
    JPEGLSLossless: "pyjpegls",
    JPEGLSNearLossless: "pyjpegls",
    RLELossless: "pydicom",
}

#: The decoder of JPEG samples of 12 bits, which gdcm does not decode. It does not notice a stream
#: that is cut short: `_check_end` does.
TWELVE_BITS = "pylibjpeg"

#: The last bytes of a JPEG stream (ITU-T T.81, B.1.1.3); DICOM may put a zero after them.
JPEG_END = b"\xff\xd9"

#: The decoders that are asked first because pydicom's first choice gives the same numbers more
#: slowly (gdcm hands pixels on as a text, and copies them). Frames they refuse go to others.
FIRST: dict[UID, str] = {JPEG2000: "pylibjpeg", JPEG2000Lossless: "pylibjpeg"}


def whole_file(path: Path) -> Dataset:
    """The file with its pixels. Raises `ImageReadError` when it is damaged."""
    try:
        return pydicom.dcmread(path, force=True)
    except Exception as error:  # a damaged file can fail in any of pydicom's converters
        raise ImageReadError(
            f"{path} cannot be read to its end: {error}. "
            "The file is damaged; copy or send it again, or take it out of the folder."
        ) from error


def decode(dataset: Dataset, path: Path, number: int) -> NDArray[np.integer[Any]]:
    """(row, column) stored numbers of frame `number` of the file at `path`, read as `dataset`.

    Raises `ImageReadError` when the frame is damaged, or no decoder for it is installed.
    """
    syntax = UID(str(dataset.file_meta.TransferSyntaxUID))
    try:
        if (first := FIRST.get(syntax)) is not None:
            with suppress(Exception):  # the others say what is wrong, if they cannot either
                return _decoded(dataset, number, first)
        if syntax == JPEGExtended12Bit and dataset.BitsStored > 8:
            _check_end(dataset, number)
            return _decoded(dataset, number, TWELVE_BITS)
        return _decoded(dataset, number, TRUSTED.get(syntax, ""))
    except Exception as error:  # decoders raise whatever they like on damaged data
        if not _is_known(syntax):
            raise ImageReadError(
                f"{path}: its pixels are stored as {syntax.name}, and no decoder for that is "
                "installed. Export the series uncompressed, or as JPEG 2000."
            ) from error
        raise ImageReadError(
            f"{path}: the pixels ({syntax.name}) cannot be decoded; the file is damaged or cut "
            "short. Copy or send it again, or take it out of the folder."
        ) from error


def _decoded(dataset: Dataset, number: int, plugin: str) -> NDArray[np.integer[Any]]:
    return np.asarray(pixel_array(dataset, index=number, raw=True, decoding_plugin=plugin))


def _check_end(dataset: Dataset, number: int) -> None:
    frames = int(dataset.get("NumberOfFrames") or 1)
    frame = get_frame(dataset.PixelData, number, number_of_frames=frames)
    if not frame.rstrip(b"\0").endswith(JPEG_END):
        raise ValueError("The JPEG stream has no end.")


def _is_known(syntax: UID) -> bool:
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        return False
    wanted = TRUSTED.get(syntax)
    return wanted in decoder.available_plugins if wanted else bool(decoder.is_available)
