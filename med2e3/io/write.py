"""Write volumes as uncompressed DICOM CT series (PS3.3 A.3) or as NIfTI.

Knows nothing of the origin of the values; the caller says whether they are synthetic.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pydicom.valuerep import format_number_as_ds

from med2e3.errors import GeometryError
from med2e3.geometry import Float
from med2e3.io.deidentify import PROFILE, deidentified
from med2e3.volume import WINDOWS, SeriesInfo, Volume

#: Identifies this writer in the files (PS3.10 7.1); derived from a UUID as PS3.5 B.2 allows.
IMPLEMENTATION_UID = f"2.25.{uuid.UUID('6f1d6a0e-0d6b-4b39-9d0b-1f0e3c1a5b52').int}"
IMPLEMENTATION_NAME = "MED2E3"

#: Rows and columns of a DICOM image are perpendicular (PS3.3 C.7.6.2.1.1); cosines up to rounding.
PERPENDICULAR = 1e-4


def write_nifti(volume: Volume, path: str | Path) -> Path:
    """Write `volume` to a .nii or .nii.gz file, voxel for voxel, and return the path."""
    import nibabel  # here: reading a DICOM study does without it

    nibabel.save(nifti_image(volume), path)
    return Path(path)


def nifti_image(volume: Volume) -> Any:
    """`volume` as an image of nibabel: (i, j, k) in RAS."""
    import nibabel

    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.geometry.affine_lps
    # (slice, row, column) become (k, j, i).
    image = nibabel.Nifti1Image(volume.voxels.T, affine[:, [2, 1, 0, 3]])
    image.header.set_xyzt_units("mm")
    return image


def write_dicom_series(
    volume: Volume,
    folder: str | Path,
    *,
    synthetic: bool = False,
    seed: str | None = None,
    deidentify: bool = False,
) -> tuple[Path, ...]:
    """Write `volume` as one file a slice into `folder`, and return the paths in slice order.

    int16 voxels are stored as they are; float32 ones in 65 536 steps between their extremes. The
    images are marked as derived, and as a phantom if `synthetic`. The series and its instances get
    new UIDs, always the same ones if `seed` is given; study and frame of reference keep theirs, and
    get new ones where they have none. `deidentify` leaves out who the patient is, and says so in
    the files (PS3.15 E.1.1, `med2e3.io.deidentify`). Raises `GeometryError` for rows and columns
    that are not perpendicular.
    """
    rows, columns = volume.geometry.directions[:, 1], volume.geometry.directions[:, 2]
    if abs(float(rows @ columns)) > PERPENDICULAR:
        raise GeometryError(
            f"Rows and columns of the volume meet at a cosine of {float(rows @ columns):.4f}, and "
            "DICOM knows only perpendicular ones. Resample the volume onto a rectangular grid."
        )
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    uids = _Uids(seed)
    if deidentify:
        volume = replace(volume, info=deidentified(volume.info).info)
    series = _series(volume, synthetic, uids)
    if deidentify:
        _mark_deidentified(series)
    stored, slope, intercept = _stored(volume.voxels)
    series.RescaleSlope, series.RescaleIntercept = _ds(slope), _ds(intercept)
    paths = []
    for k in range(volume.shape[0]):
        image = _image(series, volume.geometry.to_patient_mm((float(k), 0, 0)), k, uids)
        image.PixelData = np.ascontiguousarray(stored[k]).astype("<i2").tobytes()
        path = target / f"slice_{k + 1:04d}.dcm"
        image.save_as(path, enforce_file_format=True)
        paths.append(path)
    return tuple(paths)


def slice_headers(volume: Volume) -> tuple[Dataset, ...]:
    """A header for each slice, without pixels: for objects that refer to the volume's images.

    Series and instances have the volume's own UIDs; where it has none they are new.
    """
    series = _series(volume, False, _Uids(None))
    series.SeriesInstanceUID = volume.info.series_uid or series.SeriesInstanceUID
    headers = []
    for k in range(volume.shape[0]):
        place = volume.geometry.to_patient_mm((float(k), 0, 0))
        header = _image(series, place, k, _Uids(None))
        if volume.slice_uids:
            header.SOPInstanceUID = volume.slice_uids[k]
        headers.append(header)
    return tuple(headers)


def _mark_deidentified(series: Dataset) -> None:
    """Say that identity was removed, and by what (PS3.3 C.7.1.1 and C.12.1.1)."""
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = PROFILE
    series.PatientIdentityRemoved = "YES"
    series.DeidentificationMethod = PROFILE[2]
    series.DeidentificationMethodCodeSequence = [code]
    series.LongitudinalTemporalInformationModified = "REMOVED"
    for keyword in ("StudyDescription", "SeriesDescription"):
        delattr(series, keyword)


class _Uids:
    """New UIDs from UUIDs (PS3.5 B.2): random, or fixed by a seed."""

    def __init__(self, seed: str | None) -> None:
        self.seed = seed

    def __call__(self, what: str) -> str:
        if self.seed is None:
            return f"2.25.{uuid.uuid4().int}"
        return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, f'{self.seed}/{what}').int}"


def _ds(value: float) -> Any:
    """A decimal string of at most 16 characters (PS3.5 6.2)."""
    return format_number_as_ds(float(value))


def _stored(voxels: NDArray[Any]) -> tuple[NDArray[np.int16], float, float]:
    """Voxels as int16 numbers, with the slope and intercept that give their values back."""
    if voxels.dtype == np.int16:
        return voxels, 1.0, 0.0
    low, high = float(voxels.min()), float(voxels.max())
    slope = float(_ds((high - low) / 65535)) or 1.0
    intercept = float(_ds(low + 32768 * slope))
    steps = np.rint((voxels - np.float64(intercept)) / slope)
    return np.clip(steps, -32768, 32767).astype(np.int16), slope, intercept


def _series(volume: Volume, synthetic: bool, uids: _Uids) -> Dataset:
    """The attributes that all images of the series share."""
    header = Dataset()
    _describe(header, volume.info, uids)
    header.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
    if synthetic:
        header.ImageComments = "Synthetic phantom: no patient was imaged"
    header.PatientPosition = "HFS" if synthetic else ""
    header.KVP = None
    header.AcquisitionNumber = None
    header.SliceThickness = _ds(volume.geometry.spacing_mm[0])
    header.PixelSpacing = [_ds(d) for d in volume.geometry.spacing_mm[1:]]
    directions = volume.geometry.directions
    header.ImageOrientationPatient = [_ds(x) for x in (*directions[:, 2], *directions[:, 1])]
    header.SamplesPerPixel = 1
    header.PhotometricInterpretation = "MONOCHROME2"
    _, header.Rows, header.Columns = volume.shape
    header.BitsAllocated = header.BitsStored = 16
    header.HighBit = 15
    header.PixelRepresentation = 1
    header.RescaleType = volume.info.unit or ("HU" if volume.info.may_be_ct else "US")
    window = (*volume.info.windows, WINDOWS["soft tissue"])[0]
    header.WindowCenter, header.WindowWidth = _ds(window.centre), _ds(window.width)
    return header


def _describe(header: Dataset, info: SeriesInfo, uids: _Uids) -> None:
    """Set patient, study, series and equipment; unknown attributes of type 2 stay empty."""
    header.SpecificCharacterSet = "ISO_IR 192"
    header.SOPClassUID = CTImageStorage
    header.PatientName = info.patient_name
    header.PatientID = info.patient_id
    header.PatientBirthDate = info.patient_birth_date
    header.PatientSex = info.patient_sex
    header.StudyInstanceUID = info.study_uid or uids("study")
    header.StudyDate = info.study_date
    header.StudyTime = ""
    header.StudyID = ""
    header.AccessionNumber = info.accession_number
    header.ReferringPhysicianName = ""
    header.StudyDescription = info.study_description
    header.Modality = "CT"
    header.SeriesInstanceUID = uids("series")
    header.SeriesNumber = info.series_number or None
    header.SeriesDescription = info.series_description
    header.Manufacturer = info.manufacturer
    header.FrameOfReferenceUID = info.frame_of_reference_uid or uids("frame of reference")
    header.PositionReferenceIndicator = ""
    if info.body_part:
        header.BodyPartExamined = info.body_part
    else:
        header.Laterality = ""  # demanded where the body part might be a paired one
    if info.kernel:
        header.ConvolutionKernel = info.kernel


def _image(series: Dataset, position: Float, k: int, uids: _Uids) -> Dataset:
    """The header of slice `k`, with its file meta information."""
    image = Dataset()
    image.update(series)
    image.SOPInstanceUID = uids(f"instance {k}")
    image.InstanceNumber = k + 1
    image.ImagePositionPatient = [_ds(x) for x in position]
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    meta.ImplementationVersionName = IMPLEMENTATION_NAME
    image.file_meta = meta
    return image
