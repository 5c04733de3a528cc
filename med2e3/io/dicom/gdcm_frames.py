"""Decode one JPEG or JPEG-LS frame with gdcm itself, where pydicom's use of it does not go.

pydicom hands gdcm no samples of 12 bits, and gdcm decodes them. It may end its process on a damaged
frame. Knows nothing of files.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

#: What gdcm prints while it looks for the number of bits; it decodes all the same.
NOISE = "Unsupported JPEG data precision"


def decode_frame(dataset: Dataset, frame: bytes) -> NDArray[np.integer[Any]]:
    """(row, column) stored numbers of a packed `frame` of `dataset`.

    Raises `ValueError` where gdcm cannot decode it, and `ImportError` without gdcm.
    """
    import gdcm

    allocated, signed = int(dataset.BitsAllocated), int(dataset.PixelRepresentation)
    pixels = gdcm.PixelFormat()
    pixels.SetSamplesPerPixel(1)
    pixels.SetBitsAllocated(allocated)
    pixels.SetBitsStored(int(dataset.BitsStored))
    pixels.SetHighBit(int(dataset.BitsStored) - 1)
    pixels.SetPixelRepresentation(signed)
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    for axis, count in enumerate((int(dataset.Columns), int(dataset.Rows))):
        image.SetDimension(axis, count)
    image.SetPixelFormat(pixels)
    grey = gdcm.PhotometricInterpretation.MONOCHROME2
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(grey))
    syntax = gdcm.TransferSyntax.GetTSType(str(dataset.file_meta.TransferSyntaxUID))
    image.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(frame)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image.SetDataElement(element)
    text = image.GetBuffer()
    count = int(dataset.Rows) * int(dataset.Columns)
    content = b"" if text is None else text.encode("utf-8", errors="surrogateescape")
    if len(content) != count * allocated // 8:
        raise ValueError(f"gdcm gives {len(content)} bytes of {count} pixels.")
    kind = np.dtype(f"<{'i' if signed else 'u'}{allocated // 8}")
    return np.frombuffer(content, kind).reshape(int(dataset.Rows), int(dataset.Columns))
