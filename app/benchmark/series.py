"""Synthetic CT series on disk for the benchmark: uncompressed, and in JPEG 2000."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from med2e3.geometry import Geometry
from med2e3.io import write_dicom_series
from med2e3.volume import SeriesInfo, Volume

#: mm between slices, rows and columns: a chest and abdomen.
SPACING_MM = (1.5, 0.8, 0.8)

#: Slices that differ; the series repeats them, for their content does not change any time.
DIFFERENT = 8


def synthetic(shape: tuple[int, int, int]) -> Volume:
    """An int16 volume (slices, rows, columns) of noise around water in an elliptic body of air."""
    slices, rows, columns = shape
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    body = np.where((x / 0.8) ** 2 + (y / 0.6) ** 2 < 1, 40, -1000).astype(np.int16)
    noise = rng.integers(-30, 30, (DIFFERENT, rows, columns), dtype=np.int16)
    voxels = np.empty(shape, dtype=np.int16)
    for k in range(slices):
        np.add(body, noise[k % DIFFERENT], out=voxels[k])
    info = SeriesInfo(modality="CT", series_description="Benchmark", patient_name="Synthetic")
    return Volume(voxels, Geometry.from_spacing(shape, SPACING_MM), info)


def write_series(shape: tuple[int, int, int], folder: Path) -> Path:
    """The synthetic volume as one file a slice; the folder."""
    write_dicom_series(synthetic(shape), folder, synthetic=True, seed=folder.name)
    return folder


def write_jpeg2000(series: Path, folder: Path, count: int) -> Path:
    """The first `count` files of a series, their pixels losslessly in JPEG 2000 (PS3.5 A.4.4)."""
    from openjpeg.utils import encode_array
    from pydicom import dcmread
    from pydicom.encaps import encapsulate
    from pydicom.uid import JPEG2000Lossless

    folder.mkdir()
    encoded: list[bytes] = []
    for k, path in enumerate(sorted(series.iterdir())[:count]):
        image = dcmread(path)
        if k < DIFFERENT:
            encoded.append(encode_array(image.pixel_array))
        image.PixelData = encapsulate([encoded[k % DIFFERENT]])
        image["PixelData"].is_undefined_length = True
        image.file_meta.TransferSyntaxUID = JPEG2000Lossless
        image.save_as(folder / path.name, enforce_file_format=True)
    return folder
