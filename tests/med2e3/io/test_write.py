"""What the product writes, others read; and it reads the same back."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813 - the name its manual uses

from med2e3.errors import GeometryError
from med2e3.geometry import Geometry
from med2e3.io import load_volume, write_dicom_series, write_nifti
from med2e3.volume import SeriesInfo, Volume, Window

#: Type 1 attributes of the CT image IOD (PS3.3 A.3.3) for an image with orientation: present, with
#: a value.
TYPE_1 = (
    "SOPClassUID SOPInstanceUID StudyInstanceUID SeriesInstanceUID Modality FrameOfReferenceUID "
    "ImageType PixelSpacing ImageOrientationPatient ImagePositionPatient SamplesPerPixel "
    "PhotometricInterpretation Rows Columns BitsAllocated BitsStored HighBit PixelRepresentation "
    "PixelData RescaleIntercept RescaleSlope RescaleType"
)

#: Type 2 attributes: present, perhaps empty.
TYPE_2 = (
    "PatientName PatientID PatientBirthDate PatientSex StudyDate StudyTime ReferringPhysicianName "
    "StudyID AccessionNumber SeriesNumber PatientPosition PositionReferenceIndicator Manufacturer "
    "InstanceNumber SliceThickness KVP AcquisitionNumber"
)


def oblique() -> Volume:
    a = np.radians(25)
    affine = np.array([[0, 0, 0.7, -31], [0, 0.9, 0, 47], [2.5, 0, 0, 205], [0, 0, 0, 1]])
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]
    voxels = np.random.default_rng(0).integers(-1024, 3000, (5, 6, 7)).astype(np.int16)
    info = SeriesInfo(
        patient_name="Müller^Änne",
        patient_id="7",
        study_uid="1.2.3",
        series_number="4",
        series_description="Phantom",
        modality="CT",
        body_part="CHEST",
        windows=(Window(50, 350),),
    )
    return Volume(voxels, Geometry((5, 6, 7), turn @ affine), info)


class TestDicom:
    def test_an_independent_reader_finds_values_and_positions(self, tmp_path: Path) -> None:
        volume = oblique()
        paths = write_dicom_series(volume, tmp_path)
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames([str(p) for p in paths])
        image = reader.Execute()
        np.testing.assert_array_equal(sitk.GetArrayFromImage(image), volume.voxels)
        for k, j, i in ((0, 0, 0), (4, 0, 0), (0, 5, 0), (0, 0, 6)):
            np.testing.assert_allclose(
                image.TransformIndexToPhysicalPoint((i, j, k)),
                volume.geometry.to_patient_mm((k, j, i)),
                atol=1e-4,
            )

    @pytest.mark.parametrize(
        ("modality", "unit", "written"),
        [("CT", "mgml", "mgml"), ("CT", "", "HU"), ("", "", "HU"), ("MR", "", "US")],
    )
    def test_values_are_written_in_their_own_unit(
        self, tmp_path: Path, modality: str, unit: str, written: str
    ) -> None:
        volume = oblique()
        named = replace(volume, info=replace(volume.info, modality=modality, unit=unit))
        write_dicom_series(named, tmp_path)
        assert load_volume(tmp_path).info.unit == written

    def test_it_comes_back_as_it_was(self, tmp_path: Path) -> None:
        volume = oblique()
        write_dicom_series(volume, tmp_path)
        loaded = load_volume(tmp_path)
        np.testing.assert_array_equal(loaded.voxels, volume.voxels)
        np.testing.assert_allclose(
            loaded.geometry.affine_lps, volume.geometry.affine_lps, atol=1e-6
        )
        for field in ("patient_name", "patient_id", "study_uid", "series_number", "body_part"):
            assert getattr(loaded.info, field) == getattr(volume.info, field)
        assert loaded.info.windows == volume.info.windows

    def test_every_attribute_that_the_standard_demands_is_there(self, tmp_path: Path) -> None:
        plain = Volume(
            np.zeros((3, 4, 5), np.int16), Geometry((3, 4, 5), np.eye(4)[:, [2, 1, 0, 3]])
        )
        for path in write_dicom_series(plain, tmp_path, synthetic=True):
            dataset = pydicom.dcmread(path)
            assert not [word for word in TYPE_1.split() if dataset.get(word) in (None, "")]
            assert not [word for word in TYPE_2.split() if word not in dataset]

    @pytest.mark.parametrize("synthetic", [True, False])
    def test_the_standards_own_checker_finds_no_error(
        self, tmp_path: Path, synthetic: bool
    ) -> None:
        checker = shutil.which("dciodvfy")
        if checker is None:
            pytest.skip("needs dciodvfy (Debian: dicom3tools)")
        for volume in (oblique(), Volume(oblique().voxels, oblique().geometry)):
            for path in write_dicom_series(volume, tmp_path, synthetic=synthetic):
                result = subprocess.run(
                    [checker, "-new", str(path)], capture_output=True, text=True, check=False
                )
                errors = [line for line in result.stderr.splitlines() if line.startswith("Error")]
                assert errors == []

    def test_phantoms_are_marked_as_such(self, tmp_path: Path) -> None:
        path = write_dicom_series(oblique(), tmp_path, synthetic=True)[0]
        dataset = pydicom.dcmread(path)
        assert "Synthetic phantom" in dataset.ImageComments
        assert list(dataset.ImageType) == ["DERIVED", "SECONDARY", "AXIAL"]

    def test_derived_images_never_take_the_uids_of_their_source(self, tmp_path: Path) -> None:
        write_dicom_series(oblique(), tmp_path / "a")
        first = load_volume(tmp_path / "a")
        write_dicom_series(first, tmp_path / "b")
        second = load_volume(tmp_path / "b")
        assert second.info.study_uid == first.info.study_uid
        assert second.info.series_uid != first.info.series_uid
        assert not set(second.slice_uids) & set(first.slice_uids)
        assert len(set(second.slice_uids)) == 5

    def test_a_seed_makes_the_same_files_again(self, tmp_path: Path) -> None:
        one, two = (
            [p.read_bytes() for p in write_dicom_series(oblique(), tmp_path / name, seed="demo")]
            for name in ("a", "b")
        )
        assert one == two
        other = [p.read_bytes() for p in write_dicom_series(oblique(), tmp_path / "c", seed="x")]
        assert one != other

    def test_fractions_are_kept_to_a_65536th_of_their_range(self, tmp_path: Path) -> None:
        values = np.random.default_rng(1).normal(0, 0.3, (5, 6, 7)).astype(np.float32)
        write_dicom_series(Volume(values, oblique().geometry, SeriesInfo(modality="CT")), tmp_path)
        step = float(np.ptp(values)) / 65535
        np.testing.assert_allclose(load_volume(tmp_path).voxels, values, atol=0.51 * step)

    def test_a_flat_volume_of_fractions_is_written_too(self, tmp_path: Path) -> None:
        values = np.full((5, 6, 7), 0.25, np.float32)
        write_dicom_series(Volume(values, oblique().geometry, SeriesInfo(modality="CT")), tmp_path)
        np.testing.assert_allclose(load_volume(tmp_path).voxels, 0.25)

    def test_rows_that_are_not_perpendicular_to_columns_are_refused(self, tmp_path: Path) -> None:
        affine = np.eye(4)[:, [2, 1, 0, 3]]
        affine[0, 1] = 0.2
        skewed = Volume(np.zeros((3, 4, 5), np.int16), Geometry((3, 4, 5), affine))
        with pytest.raises(GeometryError, match="perpendicular"):
            write_dicom_series(skewed, tmp_path)


class TestNifti:
    @pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
    def test_nibabel_finds_each_voxel_where_it_was(self, tmp_path: Path, ending: str) -> None:
        volume = oblique()
        path = write_nifti(volume, tmp_path / f"scan{ending}")
        image = nibabel.load(path)
        assert image.get_data_dtype() == np.int16
        for k, j, i in ((0, 0, 0), (4, 0, 0), (0, 5, 0), (0, 0, 6), (1, 2, 3)):
            assert image.dataobj[i, j, k] == volume.voxels[k, j, i]
            np.testing.assert_allclose(
                nibabel.affines.apply_affine(image.affine, (i, j, k)) * (-1, -1, 1),
                volume.geometry.to_patient_mm((k, j, i)),
                atol=1e-4,
            )

    def test_it_comes_back_as_it_was(self, tmp_path: Path) -> None:
        volume = oblique()
        loaded = load_volume(write_nifti(volume, tmp_path / "scan.nii.gz"))
        np.testing.assert_array_equal(loaded.voxels, volume.voxels)
        np.testing.assert_allclose(
            loaded.geometry.affine_lps, volume.geometry.affine_lps, atol=1e-5
        )
        assert loaded.warnings == ()
