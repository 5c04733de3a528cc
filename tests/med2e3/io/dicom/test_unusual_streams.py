"""Compressed frames that are written in an unusual way are read, or named for what they are."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from med2e3.errors import ImageReadError
from med2e3.geometry import Geometry
from med2e3.io import load_volume, open_source, write_dicom_series
from med2e3.volume import SeriesInfo, Volume

ROWS, COLUMNS = 72, 60

#: Smooth values of 12 bits.
_Y, _X = np.mgrid[:ROWS, :COLUMNS]
IMAGE = ((np.sin(_Y / 9) + np.cos(_X / 7) + 2) * 900).astype(np.uint16)

#: What lossy compression may change here.
LOSS = 12


def series(folder: Path, stream: Callable[[int], bytes], syntax: UID, bits: int = 12) -> Path:
    """Six slices of `IMAGE` without sign, each with a compressed stream of the test's own."""
    grid = Geometry.from_spacing((6, ROWS, COLUMNS), (2.0, 0.8, 0.8))
    of = Volume(np.zeros(grid.shape, np.int16), grid, SeriesInfo(modality="CT", series_number="3"))
    for k, path in enumerate(write_dicom_series(of, folder, seed="streams")):
        dataset = pydicom.dcmread(path)
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = bits, bits - 1, 0
        dataset.RescaleIntercept, dataset.RescaleSlope = -1024, 1
        dataset.PixelData = encapsulate([stream(k)])
        dataset["PixelData"].VR = "OB"
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.save_as(path)
    return folder


def jpeg(bits: int = 12) -> bytes:
    return bytes(imagecodecs.jpeg_encode(IMAGE, level=98, bitspersample=bits))


def odd_scan(stream: bytes) -> bytes:
    """A scan header whose spectral end is 0, as early encoders wrote; sequential JPEG has 63."""
    at = stream.index(b"\xff\xda")
    (length,) = struct.unpack_from(">H", stream, at + 2)
    spectral_end = at + 2 + length - 2
    assert stream[spectral_end] == 63
    return stream[:spectral_end] + b"\0" + stream[spectral_end + 1 :]


def values(folder: Path) -> np.ndarray:
    return load_volume(folder).voxels[0].astype(int) + 1024


@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("tail", [b"", b"\0", b"\xff", b"\x7f", b"\0\0\0"])
def test_jpeg_of_twelve_bits_whatever_makes_its_length_even(
    tmp_path: Path, bits: int, tail: bytes
) -> None:
    folder = series(tmp_path, lambda _k: jpeg() + tail, JPEGExtended12Bit, bits)
    np.testing.assert_allclose(values(folder), IMAGE, atol=LOSS)


def test_jpeg_of_twelve_bits_that_one_decoder_refuses_is_read_by_another(tmp_path: Path) -> None:
    folder = series(tmp_path, lambda _k: odd_scan(jpeg()) + b"\xff", JPEGExtended12Bit)
    loaded = load_volume(folder)
    np.testing.assert_allclose(loaded.voxels[0].astype(int) + 1024, IMAGE, atol=LOSS)
    said = " ".join(loaded.warnings)
    assert "The decoder reports of" in said
    assert "Unsupported" not in said  # what the decoder says while it looks for the precision


@pytest.mark.parametrize("level", [0, 2])
@pytest.mark.parametrize("tail", [b"", b"\xff", b"\0"])
@pytest.mark.parametrize("bits", [12, 14, 16])
def test_jpeg_ls(tmp_path: Path, level: int, tail: bytes, bits: int) -> None:
    stream = bytes(imagecodecs.jpegls_encode(IMAGE, level=level)) + tail
    syntax = JPEGLSNearLossless if level else JPEGLSLossless
    np.testing.assert_allclose(
        values(series(tmp_path, lambda _k: stream, syntax, bits)), IMAGE, atol=level
    )


def test_a_stream_cut_short_is_damaged(tmp_path: Path) -> None:
    folder = series(tmp_path, lambda k: jpeg()[: -400 if k == 3 else None], JPEGExtended12Bit)
    with pytest.raises(ImageReadError, match=r"slice_0004.*damaged or cut short"):
        load_volume(folder)


@pytest.mark.parametrize("marker", [0xC2, 0xCA])
def test_a_whole_stream_that_no_decoder_reads_is_not_called_damaged(
    tmp_path: Path, marker: int
) -> None:
    """Progressive JPEG, by Huffman and by arithmetic: DICOM has retired it."""
    stream = jpeg()
    at = stream.index(b"\xff\xc1")
    other = stream[: at + 1] + bytes([marker]) + stream[at + 2 :]
    with pytest.raises(ImageReadError) as caught:
        load_volume(series(tmp_path, lambda _k: other, JPEGExtended12Bit))
    assert "no decoder here can read its pixels" in str(caught.value)
    assert "damaged" not in str(caught.value)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless])
def test_more_bits_than_the_header_has_room_for_are_refused(tmp_path: Path, syntax: UID) -> None:
    """They would be cut off, and the rest be taken for the values."""
    encode = imagecodecs.jpegls_encode if syntax == JPEGLSLossless else None
    stream = bytes(encode(IMAGE, level=0)) if encode else _j2k()
    folder = series(tmp_path, lambda _k: stream, syntax, 8)
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.BitsAllocated = 8
        dataset.save_as(path)
    with pytest.raises(ImageReadError, match="says 8 bits a pixel, and the compressed image has"):
        load_volume(folder)


def _j2k() -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(IMAGE, codecformat="j2k", level=0))


def rle(_k: int) -> bytes:
    from pydicom.pixels import get_encoder

    encoder = get_encoder(RLELossless)
    return bytes(
        encoder.encode(
            IMAGE, encoding_plugin="pydicom", rows=ROWS, columns=COLUMNS, samples_per_pixel=1,
            photometric_interpretation="MONOCHROME2", bits_allocated=16, bits_stored=12,
            pixel_representation=0, number_of_frames=1,
        )
    )  # fmt: skip


STREAMS: dict[str, tuple[Callable[[int], bytes], UID]] = {
    "RLE": (rle, RLELossless),
    "JPEG-LS": (lambda _k: bytes(imagecodecs.jpegls_encode(IMAGE, level=0)), JPEGLSLossless),
    "JPEG 2000": (lambda _k: _j2k(), JPEG2000Lossless),
}


class TestNoClosingDelimiter:
    """The sequence of items ends without its last item (PS3.5 A.4), where the file ends."""

    def cut(self, folder: Path, by: int) -> Path:
        for path in folder.iterdir():
            raw = path.read_bytes()
            assert raw.endswith(b"\xfe\xff\xdd\xe0\0\0\0\0")
            path.write_bytes(raw[:-by])
        return folder

    @pytest.mark.parametrize("kind", list(STREAMS))
    def test_all_frames_are_there(self, tmp_path: Path, kind: str) -> None:
        folder = self.cut(series(tmp_path, *STREAMS[kind]), 8)
        np.testing.assert_array_equal(values(folder), IMAGE)

    @pytest.mark.parametrize("kind", list(STREAMS))
    def test_half_of_the_delimiter_is_none(self, tmp_path: Path, kind: str) -> None:
        np.testing.assert_array_equal(values(self.cut(series(tmp_path, *STREAMS[kind]), 4)), IMAGE)

    @pytest.mark.parametrize("kind", list(STREAMS))
    def test_a_frame_cut_short_is_still_damaged(self, tmp_path: Path, kind: str) -> None:
        with pytest.raises(ImageReadError, match="damaged"):
            load_volume(self.cut(series(tmp_path, *STREAMS[kind]), 200))


def test_a_frame_on_which_gdcm_aborts_costs_its_own_file_alone(
    tmp_path: Path, fixtures: Path
) -> None:
    """Two bytes are inserted: gdcm throws past Python, which ends the process that decodes."""
    stream = (fixtures / "dicom" / "two_bytes_inserted.jpg").read_bytes()
    folder = series(tmp_path, lambda _k: stream, JPEGBaseline8Bit, 8)
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.BitsAllocated = 8
        dataset.save_as(path)
    (indexed,) = open_source(folder).scan.series
    assert indexed.middle is not None
    with pytest.raises(ImageReadError, match=r"slice_000\d\.dcm"):
        indexed.middle()
