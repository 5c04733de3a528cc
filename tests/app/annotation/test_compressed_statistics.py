"""Statistics of the tools on JPEG and HTJ2K slices, against what another decoder makes of them.

The files are written, and decoded for comparison, by imagecodecs (libjpeg-turbo, OpenJPH), which
the viewer does not use.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    HTJ2K,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
)

from med2e3.geometry import Geometry, Plane
from med2e3.io import write_dicom_series
from med2e3.volume import SeriesInfo, Volume
from tests.app.annotating import Pen

codecs = pytest.importorskip("imagecodecs")

#: Decoders of lossy DCT streams may round differently by one stored number (T.83 allows it).
STEPS = 1

#: Such differences fall to both sides: means of thousands of pixels agree much better.
MEAN_WITHIN = 0.6

SHAPE = (3, 96, 128)

#: Stored numbers are these HU less; 12 bits hold them all, 8 bits of them in steps of 16.
AIR = -1024


@dataclass(frozen=True)
class Way:
    """How slices are compressed: the syntax, its bits, and both directions of the other library."""

    syntax: UID
    bits: int
    encode: Callable[[np.ndarray], bytes]
    decode: Callable[[bytes], np.ndarray]
    lossy: bool


WAYS = (
    Way(JPEGBaseline8Bit, 8, partial(codecs.jpeg8_encode, level=70), codecs.jpeg8_decode, True),
    Way(
        JPEGExtended12Bit,
        12,
        partial(codecs.jpeg8_encode, level=80, bitspersample=12),
        codecs.jpeg8_decode,
        True,
    ),
    Way(HTJ2KLossless, 12, codecs.htj2k_encode, codecs.htj2k_decode, False),
    # OpenJPH writes its packets by resolution first (RPCL) where nothing else is asked for.
    Way(HTJ2KLosslessRPCL, 12, codecs.htj2k_encode, codecs.htj2k_decode, False),
    Way(
        HTJ2K,
        12,
        partial(codecs.htj2k_encode, reversible=False, level=0.002),
        codecs.htj2k_decode,
        True,
    ),
)


def body() -> Volume:
    """A body with a gradient, a dense vessel and noise: what a lossy codec has to change."""
    rng = np.random.default_rng(3)
    rows, columns = np.indices(SHAPE[1:])
    inside = ((rows - 48) / 40) ** 2 + ((columns - 64) / 56) ** 2 < 1
    plane = np.where(inside, 40 + columns - 64, -1000)
    plane = np.where((rows - 40) ** 2 + (columns - 70) ** 2 < 60, 900, plane)
    voxels = (plane + rng.normal(0, 12, SHAPE)).clip(AIR, 2000).astype(np.int16)
    geometry = Geometry.from_spacing(SHAPE, (3.0, 0.8, 0.7), origin_mm=(-40.0, -30.0, 90.0))
    return Volume(voxels, geometry, SeriesInfo(modality="CT", series_description="compressed"))


def write(folder: Path, way: Way) -> None:
    """The body as a compressed CT series."""
    volume = body()
    paths = write_dicom_series(volume, folder, seed="compressed")
    slope = 2 ** (12 - way.bits)
    for path, voxels in zip(paths, volume.voxels, strict=True):
        dataset = pydicom.dcmread(path)
        stored = (voxels.astype(int) - AIR) // slope
        frame = way.encode(stored.astype(np.uint8 if way.bits == 8 else np.uint16))
        dataset.PixelData = encapsulate([frame])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = way.syntax
        dataset.BitsAllocated = 8 if way.bits == 8 else 16
        dataset.BitsStored, dataset.HighBit = way.bits, way.bits - 1
        dataset.PixelRepresentation = 0
        dataset.RescaleSlope, dataset.RescaleIntercept = str(slope), str(AIR)
        if way.lossy:
            dataset.LossyImageCompression = "01"
        dataset.save_as(path)


def values_of(dataset: Any, way: Way) -> np.ndarray:
    """HU of a file, (row, column), by the other decoder."""
    (frame,) = generate_frames(dataset.PixelData, number_of_frames=1)
    stored = way.decode(frame).astype(float)
    return np.asarray(stored * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept))


def in_rectangle(dataset: Any, corners_mm: Any) -> np.ndarray:
    """Which pixels' centres lie in it, by the attributes of the file (PS3.3 C.7.6.2.1.1)."""
    right, down = np.reshape([float(v) for v in dataset.ImageOrientationPatient], (2, 3))
    spacing = [float(v) for v in dataset.PixelSpacing]
    origin = np.array([float(v) for v in dataset.ImagePositionPatient])
    rows, columns = np.indices((dataset.Rows, dataset.Columns))
    a, b = np.asarray(corners_mm)
    inside = np.ones(rows.shape, bool)
    for axis, along in ((right, columns * spacing[1]), (down, rows * spacing[0])):
        low, high = sorted(((a - origin) @ axis, (b - origin) @ axis))
        inside &= (along >= low) & (along <= high)
    return inside


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.syntax.name)
def test_statistics_of_compressed_slices_are_those_of_another_decoder(
    gui: Any, tmp_path: Path, way: Way
) -> None:
    write(tmp_path / "series", way)
    assert gui.open(tmp_path / "series")
    pen = Pen(gui)
    pen.tool("rectangle")
    pen.drag((22.3, 41.2), (63.6, 92.9))
    uid = gui.viewer.volume.in_plane(Plane.AXIAL).slice_uids[pen.view.state.slice_index]
    files = [pydicom.dcmread(path) for path in (tmp_path / "series").iterdir()]
    (dataset,) = [f for f in files if f.SOPInstanceUID == uid]
    assert dataset.file_meta.TransferSyntaxUID == way.syntax
    values = values_of(dataset, way)
    picked, found = values[in_rectangle(dataset, pen.last.points_mm)], pen.numbers()
    within = MEAN_WITHIN if way.lossy else 1e-3
    assert found["pixels"] == picked.size > 1500
    assert found["mean"] == pytest.approx(picked.mean(), abs=within)
    assert found["SD"] == pytest.approx(picked.std(), abs=within)
    step = float(dataset.RescaleSlope) * STEPS if way.lossy else 0
    assert found["min"] == pytest.approx(picked.min(), abs=step)
    assert found["max"] == pytest.approx(picked.max(), abs=step)
    # Lossy is lossy: the numbers are those of the file, and not those before it was compressed.
    drawn = body().voxels[pen.view.state.slice_index]
    assert bool(np.abs(values - drawn).max() > 1) is way.lossy


def test_an_extended_jpeg_that_is_cut_short_is_refused(gui: Any, tmp_path: Path) -> None:
    (whole,) = (way for way in WAYS if way.syntax == JPEGExtended12Bit)
    half = replace(whole, encode=lambda pixels: whole.encode(pixels)[:900])
    write(tmp_path / "series", half)
    assert not gui.open(tmp_path / "series")
    assert "cut short" in gui.workspace.notices.message.sentence
