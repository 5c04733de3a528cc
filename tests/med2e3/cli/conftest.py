"""Runs the command line in this process and keeps what it printed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from med2e3.cli import main
from med2e3.geometry import Geometry
from med2e3.io.write import write_dicom_series, write_nifti
from med2e3.volume import SeriesInfo, Volume


@dataclass(frozen=True)
class Ran:
    """Exit code and what went to each stream."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """`run("info", path)` → exit code, stdout, stderr."""

    def call(*words: object) -> Ran:
        capsys.readouterr()  # what fixtures printed
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    return call


def make_volume(slices: int = 12, *, description: str = "Body") -> Volume:
    """Axial CT: air around a box of tissue; every slice has its own brightness."""
    voxels = np.full((slices, 24, 20), -1000, np.int16)
    voxels[:, 4:20, 3:17] = 40
    voxels[:, 10, 10] = np.arange(slices) * 10
    geometry = Geometry.from_spacing(voxels.shape, (3.0, 1.5, 1.25), origin_mm=(-12, -18, 90))
    info = SeriesInfo(
        patient_name="PHANTOM^TEST", modality="CT", series_description=description,
        series_number="3",
    )  # fmt: skip
    return Volume(voxels, geometry, info)


@pytest.fixture(name="make_volume")
def make_volume_fixture() -> Callable[..., Volume]:
    """Makes the CT of these tests: `make_volume(slices, description=...)`."""
    return make_volume


@pytest.fixture
def series_folder(tmp_path: Path) -> Path:
    """A DICOM series of twelve slices."""
    folder = tmp_path / "series"
    write_dicom_series(make_volume(), folder)
    return folder


@pytest.fixture
def nifti_file(tmp_path: Path) -> Path:
    """The same as NIfTI."""
    path = tmp_path / "body.nii.gz"
    write_nifti(make_volume(), path)
    return path
