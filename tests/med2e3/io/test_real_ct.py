"""Real CT against independent readers, and the right way round by its own anatomy."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813 - the name its manual uses

from med2e3.geometry import Plane
from med2e3.io import load_volume
from med2e3.volume import Volume

#: Classes of TotalSegmentator that the label file holds.
SPLEEN, LIVER, STOMACH, T12, T11, AORTA, BACK_MUSCLE_LEFT, BACK_MUSCLE_RIGHT = (
    1, 5, 6, 32, 33, 52, 86, 87
)  # fmt: skip


def itk_series(folder: Path) -> sitk.Image:
    """The folder as ITK reads it, its files sorted by position alone."""
    heads = [(pydicom.dcmread(p, stop_before_pixels=True), p) for p in folder.iterdir()]
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(
        [str(p) for head, p in sorted(heads, key=lambda h: float(h[0].ImagePositionPatient[2]))]
    )
    return reader.Execute()


def test_jpeg_2000_series_equals_itks_in_values_and_places(shared: Path) -> None:
    folder = shared / "ct" / "body_j2k_dicom"
    loaded, image = load_volume(folder), itk_series(folder)
    np.testing.assert_array_equal(loaded.voxels, sitk.GetArrayFromImage(image))
    assert loaded.voxels.dtype == np.int16
    assert loaded.geometry.spacing_mm == pytest.approx((2.0, 0.9765625, 0.9765625))
    for k, j, i in ((0, 0, 0), (19, 0, 0), (0, 511, 0), (0, 0, 511)):
        np.testing.assert_allclose(
            loaded.geometry.to_patient_mm((k, j, i)),
            image.TransformIndexToPhysicalPoint((i, j, k)),
            atol=1e-6,
        )
    assert len(set(loaded.slice_uids)) == 20
    assert loaded.warnings == ()


def test_nifti_equals_nibabels_and_itks(shared: Path) -> None:
    path = shared / "ct" / "abdomen_3mm.nii.gz"
    loaded, other, itk = load_volume(path), nibabel.load(path), sitk.ReadImage(str(path))
    np.testing.assert_array_equal(loaded.voxels.T, other.get_fdata())
    np.testing.assert_array_equal(loaded.voxels, sitk.GetArrayFromImage(itk))
    assert loaded.value_range == (-1207, 3382)
    for k, j, i in ((0, 0, 0), (111, 0, 0), (0, 100, 0), (0, 0, 121)):
        mm = loaded.geometry.to_patient_mm((k, j, i))
        np.testing.assert_allclose(itk.TransformIndexToPhysicalPoint((i, j, k)), mm, atol=1e-4)
        ras = nibabel.affines.apply_affine(other.affine, (i, j, k))
        np.testing.assert_allclose(ras * (-1, -1, 1), mm, atol=1e-4)


class TestTiltedHead:
    def test_each_slice_equals_itks_resampling_of_the_acquired_one(self, shared: Path) -> None:
        folder = shared / "ct" / "head_tilt_dicom"
        loaded = load_volume(folder)
        files = {str(pydicom.dcmread(p, stop_before_pixels=True).SOPInstanceUID): p
                 for p in folder.iterdir()}  # fmt: skip
        geometry = loaded.geometry
        for k in (0, 17, 53):
            reference = sitk.Image(loaded.shape[2], loaded.shape[1], 1, sitk.sitkFloat32)
            reference.SetOrigin(geometry.to_patient_mm((float(k), 0, 0)).tolist())
            reference.SetSpacing(geometry.spacing_mm[::-1])
            reference.SetDirection(geometry.directions[:, ::-1].ravel().tolist())
            acquired = sitk.Cast(sitk.ReadImage(str(files[loaded.slice_uids[k]])), sitk.sitkFloat32)
            expected = sitk.Resample(acquired, reference, defaultPixelValue=-1024.0)
            expected = sitk.GetArrayFromImage(expected)[0]
            inside = expected > -1024
            assert inside.sum() > 100_000
            difference = np.abs(loaded.voxels[k] - expected)[inside]
            # Rounded to whole HU; ITK leaves out the border row that blends with air.
            assert np.quantile(difference, 0.99) <= 0.51
            assert np.median(difference) <= 0.26

    def test_tilt_is_undone_in_the_open(self, shared: Path) -> None:
        loaded = load_volume(shared / "ct" / "head_tilt_dicom")
        assert loaded.geometry.spacing_mm == pytest.approx((2.371, 0.4824, 0.4824), abs=1e-3)
        assert not loaded.geometry.is_tilted
        assert loaded.geometry.obliquity_degrees == pytest.approx(18.5, abs=0.01)
        assert loaded.shape[0] == 54
        assert len(set(loaded.slice_uids)) == 54
        (warning,) = loaded.warnings
        assert warning.startswith("Gantry tilt of 18.5°")

    def test_nothing_acquired_is_lost(self, shared: Path) -> None:
        folder = shared / "ct" / "head_tilt_dicom"
        grid = load_volume(folder).geometry
        for path in folder.iterdir():
            head = pydicom.dcmread(path, stop_before_pixels=True)
            row, column = np.array(head.ImageOrientationPatient[:3]), np.array(
                head.ImageOrientationPatient[3:])  # fmt: skip
            for across in (0, 511):
                for down in (0, 511):
                    corner = np.array(head.ImagePositionPatient) + 0.482421875 * (
                        across * row + down * column)  # fmt: skip
                    assert grid.contains(grid.to_index(corner))


@pytest.fixture(scope="module")
def labels(shared: Path) -> Volume:
    """Organ labels on the grid of the JPEG 2000 series."""
    return load_volume(shared / "ct" / "body_j2k_labels.nii.gz")


def middle(shown: Volume, *classes: int) -> np.ndarray:
    """Mean (slice, row, column) of some classes, as shown."""
    return np.argwhere(np.isin(shown.voxels, classes)).mean(axis=0)


class TestTheRightWayRound:
    def test_labels_and_images_share_their_places(self, shared: Path, labels: Volume) -> None:
        """Stored in opposite row order, the two must meet through patient_mm."""
        image = load_volume(shared / "ct" / "body_j2k_dicom").in_plane(Plane.AXIAL)
        shown = labels.in_plane(Plane.AXIAL)
        np.testing.assert_allclose(shown.geometry.affine_lps, image.geometry.affine_lps, atol=1e-3)
        for organ, low, high in ((LIVER, 60, 160), (AORTA, 100, 300), (T12, 100, 400)):
            assert low < np.median(image.voxels[shown.voxels == organ]) < high
        gas = np.quantile(image.voxels[shown.voxels == STOMACH], 0.01)
        assert gas < 40 < np.median(image.voxels[shown.voxels == SPLEEN])

    @pytest.mark.parametrize("plane", [Plane.AXIAL, Plane.CORONAL])
    def test_the_patients_right_is_on_the_viewers_left(self, labels: Volume, plane: Plane) -> None:
        shown = labels.in_plane(plane)
        assert middle(shown, LIVER)[2] < shown.shape[2] / 2 < middle(shown, SPLEEN)[2]
        assert middle(shown, BACK_MUSCLE_RIGHT)[2] < middle(shown, BACK_MUSCLE_LEFT)[2]

    def test_axial_shows_the_spine_below(self, labels: Volume) -> None:
        shown = labels.in_plane(Plane.AXIAL)
        assert middle(shown, T12, T11)[1] > middle(shown, LIVER)[1] + 30

    def test_sagittal_shows_the_spine_on_the_right(self, labels: Volume) -> None:
        shown = labels.in_plane(Plane.SAGITTAL)
        assert middle(shown, T12, T11)[2] > middle(shown, LIVER)[2] + 30

    @pytest.mark.parametrize("plane", [Plane.CORONAL, Plane.SAGITTAL])
    def test_the_eleventh_thoracic_vertebra_is_above_the_twelfth(
        self, labels: Volume, plane: Plane
    ) -> None:
        shown = labels.in_plane(plane)
        assert middle(shown, T11)[1] < middle(shown, T12)[1] - 2

    def test_slices_run_from_superior_anterior_and_right(self, labels: Volume) -> None:
        axial, coronal, sagittal = (labels.in_plane(plane) for plane in Plane)
        assert middle(axial, T11)[0] < middle(axial, T12)[0]
        assert middle(coronal, LIVER)[0] < middle(coronal, T12, T11)[0]
        assert middle(sagittal, LIVER)[0] < middle(sagittal, SPLEEN)[0]
