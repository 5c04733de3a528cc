"""DICOM Segmentations with known voxels, written element by element."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from med2e3.geometry import Geometry

#: Red and green as CIELab in DICOM's packing; D50 values of sRGB's primaries.
RED, GREEN = (35580, 53667, 50865), (57555, 12522, 53620)

SEGMENTS = {1: ("Liver", RED), 2: ("Lesion", GREEN)}


def item(**values: Any) -> Dataset:
    made = Dataset()
    for name, value in values.items():
        setattr(made, name, value)
    return made


def write(
    path: Path,
    geometry: Geometry,
    masks: Mapping[int, np.ndarray],
    *,
    kind: str = "BINARY",
    frame_of_reference: str = "1.2.826.0.1.9",
    segments: Mapping[int, tuple[str, Sequence[int] | None]] = SEGMENTS,
    **changes: Any,
) -> Path:
    """A segmentation of `masks` (slice, row, column) by segment; empty slices have no frame.

    `LABELMAP`: one mask, 0, that holds the numbers of segments. `FRACTIONAL`: masks of 0 to 255.
    """
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.66." + (
        "7" if kind == "LABELMAP" else "4"
    )
    meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.55"
    made = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = meta.MediaStorageSOPClassUID, "1.2.826.0.1.55"
    made.Modality, made.SeriesDescription, made.PatientName = "SEG", "organs", "Test^Phantom"
    made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.826.0.1.56", "1.2.826.0.1.57"
    made.FrameOfReferenceUID, made.SegmentationType = frame_of_reference, kind
    made.SegmentSequence = []
    for number, (name, colour) in segments.items():
        one = item(SegmentNumber=number, SegmentLabel=name, SegmentAlgorithmType="MANUAL")
        if colour is not None:
            one.RecommendedDisplayCIELabValue = list(colour)
        made.SegmentSequence.append(one)
    slices, rows, columns = geometry.shape
    affine, spacing = geometry.affine_lps, geometry.spacing_mm
    made.SharedFunctionalGroupsSequence = [
        item(
            PlaneOrientationSequence=[
                item(ImageOrientationPatient=[
                    *(affine[:3, 2] / spacing[2]), *(affine[:3, 1] / spacing[1])])
            ],
            PixelMeasuresSequence=[
                item(PixelSpacing=[spacing[1], spacing[2]], SliceThickness=spacing[0],
                     SpacingBetweenSlices=spacing[0])
            ],
        )
    ]  # fmt: skip
    made.PerFrameFunctionalGroupsSequence, frames = [], []
    for number, mask in masks.items():
        for k in range(slices):
            if kind != "LABELMAP" and not mask[k].any():
                continue
            at = geometry.to_patient_mm(np.array([float(k), 0.0, 0.0]))
            groups = item(PlanePositionSequence=[item(ImagePositionPatient=[float(x) for x in at])])
            if number:
                groups.SegmentIdentificationSequence = [item(ReferencedSegmentNumber=number)]
            made.PerFrameFunctionalGroupsSequence.append(groups)
            frames.append(mask[k])
    stacked = np.array(frames)
    made.Rows, made.Columns, made.NumberOfFrames = rows, columns, len(frames)
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelRepresentation = (
        1,
        "MONOCHROME2",
        0,
    )
    bits = 1 if kind == "BINARY" else 8
    made.BitsAllocated = made.BitsStored = bits
    made.HighBit = bits - 1
    if kind == "FRACTIONAL":
        made.MaximumFractionalValue, made.SegmentationFractionalType = 255, "PROBABILITY"
    if bits == 1:
        raw = np.packbits((stacked > 0).reshape(-1), bitorder="little").tobytes()
    else:
        raw = stacked.astype(np.uint8).tobytes()
    made.PixelData = raw + b"\0" * (len(raw) % 2)
    for name, value in changes.items():
        if value is None:
            delattr(made, name)
        else:
            setattr(made, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, made, enforce_file_format=True)
    return path
