"""Folders as scanners and CDs make them: several stacks in one series, and other things."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.uid import XRayRadiationDoseSRStorage, generate_uid

from med2e3.geometry import Geometry, Plane
from med2e3.io import write_dicom_series
from med2e3.volume import SeriesInfo, Volume

#: The one SeriesInstanceUID that several stacks share.
SHARED_UID = "1.2.826.0.1.77"

INFO = SeriesInfo(
    patient_name="Mixed^Folder", patient_id="M1", study_uid="1.2.826.0.1.1", modality="CT",
    series_number="4", series_description="Abdomen portal venous", study_date="20260301",
    study_description="CT abdomen", frame_of_reference_uid="1.2.826.0.1.9",
)  # fmt: skip


def body(slices: int = 12, value: int = 40, plane: Plane = Plane.AXIAL, **info: Any) -> Volume:
    """A block of one value in air, 32 × 28 pixels."""
    voxels = np.full((slices, 32, 28), -1000, np.int16)
    voxels[:, 8:24, 8:20] = value
    geometry = Geometry.from_spacing(voxels.shape, (3.0, 1.0, 1.0), plane=plane)
    return Volume(voxels, geometry, SeriesInfo(**{**INFO.__dict__, **info}))


def add(
    folder: Path, name: str, of: Volume, edit: Callable[[pydicom.Dataset, int], Any] | None = None,
    uid: str = SHARED_UID,
) -> list[Path]:  # fmt: skip
    """Write a stack into `folder` under a UID of the test's choice, each slice edited."""
    paths = []
    for k, path in enumerate(write_dicom_series(of, folder / "new", seed=name)):
        dataset = pydicom.dcmread(path)
        dataset.SeriesInstanceUID = uid
        if edit is not None:
            edit(dataset, k)
        target = folder / f"{name}_{k:03d}.dcm"
        dataset.save_as(target)
        path.unlink()
        paths.append(target)
    (folder / "new").rmdir()
    return paths


def kernel(name: str) -> Callable[[pydicom.Dataset, int], Any]:
    return lambda dataset, _k: setattr(dataset, "ConvolutionKernel", name)


def two_kernels(folder: Path) -> Path:
    """One series UID, two kernels at the same positions."""
    folder.mkdir(parents=True, exist_ok=True)
    add(folder, "soft", body(), kernel("B30f"))
    add(folder, "sharp", body(value=60), kernel("B70f"))
    return folder


def scout(folder: Path) -> Path:
    def edit(dataset: pydicom.Dataset, _k: int) -> None:
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]

    path, *rest = add(folder, "scout", body(2, plane=Plane.CORONAL), edit)
    for other in rest:
        other.unlink()
    return path


def dose_report(folder: Path) -> Path:
    path, *rest = add(folder, "dose", body(2), uid="1.2.826.0.1.500")
    for other in rest:
        other.unlink()
    report = pydicom.dcmread(path)
    for keyword in ("PixelData", "Rows", "Columns", "ImagePositionPatient"):
        delattr(report, keyword)
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = XRayRadiationDoseSRStorage
    report.SOPInstanceUID = report.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    report.Modality, report.SeriesNumber = "SR", 501
    report.SeriesDescription = "Dose report"
    report.save_as(path)
    return path


def phases(folder: Path) -> None:
    """Two acquisitions of one series at the same places, a minute apart."""
    for number, time, value in ((1, "101500", 80), (2, "101600", 120)):

        def edit(dataset: pydicom.Dataset, _k: int, n: int = number, t: str = time) -> None:
            dataset.AcquisitionNumber, dataset.AcquisitionTime = n, t
            dataset.SeriesNumber = 7
            dataset.SeriesDescription = "Liver dynamic"

        add(folder, f"phase{number}", body(10, value), edit, uid="1.2.826.0.1.78")


def mixed(folder: Path) -> Path:
    """Two kernels, a scout and coronal images under one UID; two phases; a dose report; a text."""
    two_kernels(folder)
    scout(folder)
    add(folder, "coronal", body(8, plane=Plane.CORONAL), kernel("B30f"))
    phases(folder)
    dose_report(folder)
    (folder / "readme.txt").write_text("viewer on this disc", encoding="utf-8")
    return folder
