"""DICOM that is no volume, as scanners and cameras write it: made here, with known content."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    MPEG4HP41,
    UID,
    ComputedRadiographyImageStorage,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    MRImageStorage,
    SecondaryCaptureImageStorage,
    TwelveLeadECGWaveformStorage,
    UltrasoundMultiFrameImageStorage,
    VideoEndoscopicImageStorage,
    XRayRadiationDoseSRStorage,
    generate_uid,
)

#: What all these files say of themselves: one patient, one study.
SHARED = {
    "PatientName": "Mixed^Folder", "PatientID": "M1", "StudyInstanceUID": "1.2.826.0.1.1",
    "StudyDate": "20260301",
}  # fmt: skip

#: The colours of the left, middle and right third of every colour image.
THIRDS = ((220, 40, 40), (40, 200, 60), (50, 60, 210))


def thirds(rows: int = 48, columns: int = 96) -> np.ndarray:
    """(rows, columns, 3): red, green and blue side by side."""
    image = np.zeros((rows, columns, 3), np.uint8)
    for k, colour in enumerate(THIRDS):
        image[:, k * columns // 3 : (k + 1) * columns // 3] = colour
    return image


def save(
    path: Path, kind: UID, modality: str, syntax: UID = ExplicitVRLittleEndian, **attributes: Any
) -> Path:
    """A file with these attributes, and new UIDs where none are given."""
    dataset = Dataset()
    for keyword, value in {**SHARED, **attributes}.items():
        setattr(dataset, keyword, value)
    dataset.SOPClassUID, dataset.Modality = kind, modality
    dataset.SOPInstanceUID = generate_uid()
    if "SeriesInstanceUID" not in dataset:
        dataset.SeriesInstanceUID = generate_uid()
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = kind, dataset.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    dataset.file_meta = meta
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def grey(values: np.ndarray, bits: int = 12, signed: bool = False) -> dict[str, Any]:
    """The attributes of a grey image of 16 bits a pixel."""
    return {
        "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2",
        "Rows": values.shape[-2], "Columns": values.shape[-1], "BitsAllocated": 16,
        "BitsStored": bits, "HighBit": bits - 1, "PixelRepresentation": int(signed),
        "PixelData": values.astype("<i2" if signed else "<u2").tobytes(),
    }  # fmt: skip


def colour(image: np.ndarray) -> dict[str, Any]:
    """The attributes of an RGB image."""
    return {
        "SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0,
        "Rows": image.shape[-3], "Columns": image.shape[-2], "BitsAllocated": 8, "BitsStored": 8,
        "HighBit": 7, "PixelRepresentation": 0, "PixelData": image.tobytes(),
    }  # fmt: skip


def ramp(rows: int = 40, columns: int = 60) -> np.ndarray:
    """Numbers from 0 on that differ everywhere."""
    return np.arange(rows * columns).reshape(rows, columns)


def x_ray(folder: Path) -> Path:
    """A radiograph whose low numbers are bright; distances are known at the detector only."""
    return save(
        folder / "xray.dcm", ComputedRadiographyImageStorage, "CR",
        **grey(ramp()) | {"PhotometricInterpretation": "MONOCHROME1"},
        ImagerPixelSpacing=[0.2, 0.1], SeriesNumber=11, SeriesDescription="Chest PA",
        WindowCenter=1200, WindowWidth=2000,
    )  # fmt: skip


def capture(folder: Path) -> Path:
    """A secondary capture in grey, of which nothing says where it lies."""
    return save(
        folder / "capture.dcm", SecondaryCaptureImageStorage, "CT", **grey(ramp()),
        SeriesNumber=12, SeriesDescription="3D view",
    )  # fmt: skip


def dose_page(folder: Path) -> Path:
    """The page of the dose as a picture, as scanners add it."""
    return save(
        folder / "dose_page.dcm", SecondaryCaptureImageStorage, "CT", **colour(thirds()),
        SeriesNumber=13, SeriesDescription="Dose Report",
    )  # fmt: skip


def ultrasound(folder: Path) -> Path:
    """Two frames in colour, packed as JPEG with chroma at half the resolution."""
    frames = []
    for image in (thirds(), thirds()[:, ::-1]):
        packed = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(image)).save(packed, "JPEG", quality=95)
        frames.append(packed.getvalue())
    region = Dataset()
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX, region.PhysicalDeltaY = 0.05, 0.04
    described = colour(thirds()) | {
        "PhotometricInterpretation": "YBR_FULL_422", "NumberOfFrames": 2,
        "PixelData": encapsulate(frames), "SequenceOfUltrasoundRegions": [region],
    }  # fmt: skip
    return save(
        folder / "us.dcm", UltrasoundMultiFrameImageStorage, "US", JPEGBaseline8Bit, **described,
        SeriesNumber=14, SeriesDescription="Liver",
    )  # fmt: skip


def palette(folder: Path) -> Path:
    """Places in a table of colours, of which the three first are those of the thirds."""
    places = np.repeat(np.arange(3, dtype=np.uint8), 32)[None].repeat(48, axis=0)
    tables = {}
    for k, name in enumerate(("Red", "Green", "Blue")):
        entries = np.zeros(256, "<u2")
        entries[:3] = [colour[k] * 257 for colour in THIRDS]
        tables[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        tables[f"{name}PaletteColorLookupTableData"] = entries.tobytes()
    return save(
        folder / "palette.dcm", SecondaryCaptureImageStorage, "OT",
        **colour(thirds()) | tables | {
            "SamplesPerPixel": 1, "PhotometricInterpretation": "PALETTE COLOR",
            "PixelData": places.tobytes(),
        },
        SeriesNumber=15, SeriesDescription="Perfusion map",
    )  # fmt: skip


def magnetic(folder: Path) -> Path:
    """One image of MR, with its position."""
    return save(
        folder / "mr.dcm", MRImageStorage, "MR", **grey(ramp()), PixelSpacing=[1.0, 1.0],
        ImagePositionPatient=[0, 0, 0], ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
        SeriesNumber=16, SeriesDescription="T2 single",
    )  # fmt: skip


def ecg(folder: Path) -> Path:
    return save(
        folder / "ecg.dcm", TwelveLeadECGWaveformStorage, "ECG", SeriesNumber=17,
        SeriesDescription="Rest",
    )  # fmt: skip


def video(folder: Path) -> Path:
    described = colour(thirds()) | {"NumberOfFrames": 30, "PixelData": encapsulate([b"\0" * 64])}
    return save(
        folder / "video.dcm", VideoEndoscopicImageStorage, "ES", MPEG4HP41, **described,
        SeriesNumber=18, SeriesDescription="Bronchoscopy",
    )  # fmt: skip


def _coded(meaning: str) -> list[Dataset]:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "DCM", meaning
    return [code]


def _item(kind: str, name: str, **values: Any) -> Dataset:
    item = Dataset()
    item.ValueType, item.RelationshipType = kind, "CONTAINS"
    item.ConceptNameCodeSequence = _coded(name)
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def measured(name: str, value: float, unit: str) -> Dataset:
    """A number of a report with its unit."""
    amount, of = Dataset(), Dataset()
    amount.NumericValue = str(value)
    of.CodeValue, of.CodingSchemeDesignator, of.CodeMeaning = unit, "UCUM", unit
    amount.MeasurementUnitsCodeSequence = [of]
    return _item("NUM", name, MeasuredValueSequence=[amount])


def dose_report(folder: Path) -> Path:
    """A dose report (PS3.16 TID 10011 in short): the total, and one event below it."""
    event = _item(
        "CONTAINER", "CT Acquisition",
        ContentSequence=[
            _item("TEXT", "Acquisition Protocol", TextValue="Abdomen"),
            _item("CODE", "CT Acquisition Type", ConceptCodeSequence=_coded("Spiral Acquisition")),
            measured("Mean CTDIvol", 8.4, "mGy"),
        ],
    )  # fmt: skip
    return save(
        folder / "dose.dcm", XRayRadiationDoseSRStorage, "SR", SeriesNumber=501,
        SeriesDescription="Dose", ValueType="CONTAINER",
        ConceptNameCodeSequence=_coded("X-Ray Radiation Dose Report"),
        ContentSequence=[measured("CT Dose Length Product Total", 412.5, "mGy.cm"), event],
    )  # fmt: skip


def scout_of(folder: Path, frame_of_reference: str, corner_mm: tuple[float, float, float]) -> Path:
    """A frontal scout: rows run down, columns to the patient's left, 2 mm and 1 mm apart."""
    return save(
        folder / "scout.dcm", UID("1.2.840.10008.5.1.4.1.1.2"), "CT",
        **grey(ramp(120, 90), 16, signed=True),
        ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], PixelSpacing=[2.0, 1.0],
        ImagePositionPatient=list(corner_mm), ImageOrientationPatient=[1, 0, 0, 0, 0, -1],
        FrameOfReferenceUID=frame_of_reference, RescaleSlope=1, RescaleIntercept=-1024,
        SeriesNumber=1, SeriesDescription="Scout", WindowCenter=1200, WindowWidth=2400,
    )  # fmt: skip


ALL = (x_ray, capture, dose_page, ultrasound, palette, magnetic, ecg, video, dose_report)


def everything(folder: Path) -> Path:
    """One of each in a folder."""
    for make in ALL:
        make(folder)
    return folder


def header_of(path: Path) -> Dataset:
    return pydicom.dcmread(path)
