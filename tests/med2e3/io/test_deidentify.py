"""A series that is saved without identity says nothing of whom it is, and can be read again."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pydicom

from med2e3.geometry import Plane
from med2e3.io import load_volume, write_dicom_series
from med2e3.io.deidentify import EMPTIED, KEPT, REPLACED, STAYS, deidentified
from med2e3.volume import SeriesInfo, Window
from tests.app.bodies import phantom

#: A description in which every attribute says something that can be searched for.
TELLING = SeriesInfo(
    patient_name="Roe^Jane", patient_id="ID-4711", patient_birth_date="19610203", patient_sex="F",
    study_uid="1.2.3.1001", study_date="20260102", study_description="CT for Jane",
    accession_number="ACC-77", series_uid="1.2.3.1002", series_number="4",
    series_description="Jane portal", modality="CT", body_part="ABDOMEN", kernel="B30f",
    manufacturer="Maker", frame_of_reference_uid="1.2.3.1003", unit="HU",
    windows=(Window(40, 400),), study_time="111213", peak_kilovolts="120",
)  # fmt: skip

SECRET = ("Roe", "Jane", "4711", "19610203", "1.2.3.100", "20260102", "ACC-77", "111213")


def test_every_attribute_is_emptied_replaced_or_kept_by_name() -> None:
    named = [*EMPTIED, *REPLACED, *KEPT]
    assert sorted(named) == sorted(field.name for field in fields(SeriesInfo))


def test_the_files_hold_nothing_of_the_patient_and_the_same_voxels(tmp_path: Path) -> None:
    volume = replace(phantom(), info=TELLING)
    files = write_dicom_series(volume, tmp_path / "out", deidentify=True)
    for path in files:
        content = path.read_bytes()
        assert not [word for word in SECRET if word.encode() in content]
    header = pydicom.dcmread(files[0])
    assert header.PatientIdentityRemoved == "YES"
    assert header.DeidentificationMethodCodeSequence[0].CodeValue == "113100"
    assert header.LongitudinalTemporalInformationModified == "REMOVED"
    assert (header.PatientName, header.PatientID, header.StudyDate) == ("", "", "")
    assert "StudyDescription" not in header
    again = load_volume(tmp_path / "out")
    seen, was = (one.in_plane(Plane.AXIAL).voxels for one in (again, volume))
    assert np.array_equal(seen, was)
    assert again.info.kernel == "B30f"


def test_series_of_one_study_stay_in_one_study(tmp_path: Path) -> None:
    first = deidentified(TELLING).info
    second = deidentified(replace(TELLING, series_uid="1.2.3.2002")).info
    assert first.study_uid == second.study_uid != TELLING.study_uid
    assert first.frame_of_reference_uid == second.frame_of_reference_uid
    assert first.series_uid != second.series_uid


def test_what_goes_is_listed_and_what_is_drawn_into_pixels_is_warned_of() -> None:
    removed, new, _kept, warning = deidentified(TELLING).sentences
    assert all(words in removed for words in EMPTIED.values())
    assert all(words in new for words in REPLACED.values())
    assert warning == STAYS
    assert "none was there" in deidentified(SeriesInfo()).sentences[0]
