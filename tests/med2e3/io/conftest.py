"""DICOM series with known answers: written by the product's writer, then changed by each test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from med2e3.geometry import Geometry
from med2e3.io import write_dicom_series
from med2e3.volume import SeriesInfo, Volume

SHAPE = (6, 5, 4)
SPACING = (2.0, 0.8, 0.9)

Edit = Callable[[pydicom.Dataset, int], Any]
Write = Callable[..., Path]


def ramp(**info: Any) -> Volume:
    """Slices from inferior to superior, as DICOM sorts them; every voxel holds its own number."""
    voxels = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE) - 60
    affine = np.eye(4)
    affine[:3, :3] = np.diag((SPACING[2], SPACING[1], SPACING[0]))[:, ::-1]
    affine[:3, 3] = (-31.0, 47.5, 205.25)
    info = {"series_number": "3", "series_description": "Ramp", "modality": "CT", **info}
    return Volume(voxels, Geometry(SHAPE, affine), SeriesInfo(**info))


@pytest.fixture
def volume() -> Volume:
    """The ramp that `series` writes unless told otherwise."""
    return ramp()


@pytest.fixture
def series(tmp_path: Path) -> Write:
    """Writes a series into a folder; `edit(dataset, k)` changes slice k before it is saved.

    An edit that returns False leaves the slice out.
    """

    def write(edit: Edit | None = None, *, name: str = "study", of: Volume | None = None) -> Path:
        folder = tmp_path / name
        paths = write_dicom_series(of or ramp(), folder, seed=name)
        for k, path in enumerate(paths if edit else ()):
            dataset = pydicom.dcmread(path)
            assert edit is not None
            if edit(dataset, k) is False:
                path.unlink()
            else:
                dataset.save_as(path)
        return folder

    return write
