"""DICOM geometry comes from positions and orientations, and from nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest

from med2e3.errors import GapError, GeometryError, ImageReadError
from med2e3.geometry import Geometry, Plane
from med2e3.io import list_series, load_volume
from med2e3.volume import SeriesInfo, Volume

Write = Callable[..., Path]


def rotated(degrees: float) -> np.ndarray:
    a = np.radians(degrees)
    matrix = np.eye(4)
    matrix[1:3, 1:3] = [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]
    return matrix


def test_voxels_and_positions_come_back_as_they_were(series: Write, volume: Volume) -> None:
    loaded = load_volume(series())
    np.testing.assert_array_equal(loaded.voxels, volume.voxels)
    assert loaded.voxels.dtype == np.int16
    np.testing.assert_allclose(loaded.geometry.affine_lps, volume.geometry.affine_lps, atol=1e-9)
    assert loaded.warnings == ()


def test_file_names_and_instance_numbers_do_not_order_the_slices(
    series: Write, volume: Volume
) -> None:
    def shuffle(dataset: pydicom.Dataset, k: int) -> None:
        dataset.InstanceNumber = (k * 5) % 7

    folder = series(shuffle)
    names = sorted(p.name for p in folder.iterdir())
    for path, name in zip(sorted(folder.iterdir()), random.Random(1).sample(names, 6), strict=True):
        path.rename(folder / f"x{name}")
    loaded = load_volume(folder)
    np.testing.assert_array_equal(loaded.voxels, volume.voxels)


def test_thickness_and_declared_spacing_are_not_the_step_between_slices(series: Write) -> None:
    def lie(dataset: pydicom.Dataset, _k: int) -> None:
        dataset.SliceThickness = "5"
        dataset.SpacingBetweenSlices = "-1"
        dataset.SliceLocation = "0"

    assert load_volume(series(lie)).geometry.spacing_mm == pytest.approx((2.0, 0.8, 0.9))


def test_each_slice_keeps_its_instance_uid(series: Write) -> None:
    folder = series()
    by_position = {
        float(d.ImagePositionPatient[2]): str(d.SOPInstanceUID)
        for d in map(pydicom.dcmread, folder.iterdir())
    }
    assert load_volume(folder).slice_uids == tuple(by_position[z] for z in sorted(by_position))


def test_a_uid_that_was_removed_from_the_header_is_taken_from_the_file_meta(series: Write) -> None:
    folder = series()
    kept = load_volume(folder).slice_uids
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.SOPInstanceUID = ""
        pydicom.dcmwrite(path, dataset)
    assert load_volume(folder).slice_uids == kept


@pytest.mark.parametrize("plane", list(Plane))
def test_series_of_every_plane_come_back_in_the_patient(series: Write, plane: Plane) -> None:
    voxels = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    geometry = Geometry.from_spacing((3, 4, 5), (3, 0.7, 0.9), plane=plane, origin_mm=(1, 2, 3))
    loaded = load_volume(series(of=Volume(voxels, geometry, SeriesInfo(modality="CT"))))
    assert loaded.geometry.plane is plane
    shown = loaded.in_plane(plane)
    np.testing.assert_array_equal(shown.voxels, voxels)
    np.testing.assert_allclose(shown.geometry.affine_lps, geometry.affine_lps, atol=1e-9)


def test_an_oblique_series_keeps_its_oblique_grid(series: Write, volume: Volume) -> None:
    geometry = Geometry(volume.shape, rotated(23) @ volume.geometry.affine_lps)
    loaded = load_volume(series(of=Volume(volume.voxels, geometry, volume.info)))
    np.testing.assert_allclose(loaded.geometry.affine_lps, geometry.affine_lps, atol=1e-6)
    assert loaded.geometry.is_oblique
    assert not loaded.geometry.is_tilted


def test_rows_lie_where_the_column_cosines_point(series: Write, volume: Volume) -> None:
    """Pixel spacing is (between rows, between columns); orientation names the row first."""
    loaded = load_volume(series())
    for index, value in (((0, 1, 0), volume.voxels[0, 1, 0]), ((0, 0, 1), volume.voxels[0, 0, 1])):
        assert loaded.voxels[index] == value
    np.testing.assert_allclose(loaded.geometry.to_patient_mm((0, 1, 0)), (-31, 48.3, 205.25))
    np.testing.assert_allclose(loaded.geometry.to_patient_mm((0, 0, 1)), (-30.1, 47.5, 205.25))


@pytest.mark.parametrize("wobble", [0.0, 0.04])
def test_positions_rounded_by_the_scanner_are_even(series: Write, wobble: float) -> None:
    def shift(dataset: pydicom.Dataset, k: int) -> None:
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, y, z + wobble * (-1) ** k]

    assert load_volume(series(shift)).geometry.spacing_mm[0] == pytest.approx(2, abs=0.02)


class TestMissingSlices:
    def test_a_gap_is_refused_with_its_size_and_the_way_out(self, series: Write) -> None:
        folder = series(lambda _d, k: k not in (2, 3))
        with pytest.raises(
            GapError,
            match=r'Series 3 "Ramp": 1 gap between slices \(6\.00 mm where 2\.00 mm is usual\), '
            r"between slice_0002\.dcm and slice_0005\.dcm \(207\.2 to 213\.2 mm\); "
            r"instances are probably missing\. Open it anyway with resampling",
        ):
            load_volume(folder)

    def test_several_gaps_are_counted(self, series: Write) -> None:
        voxels = np.zeros((12, 3, 3), np.int16)
        grid = Geometry.from_spacing((12, 3, 3), (2, 1, 1))
        folder = series(lambda _d, k: k not in (2, 5, 9), of=Volume(voxels, grid))
        with pytest.raises(GapError, match=r"3 gaps between slices \(4\.00 mm"):
            load_volume(folder)

    def test_resampling_fills_a_gap_linearly_and_says_where(
        self, series: Write, volume: Volume
    ) -> None:
        """The ramp is linear along z, so that the missing slices come back exactly."""
        loaded = load_volume(series(lambda _d, k: k not in (2, 3)), resample_gaps=True)
        np.testing.assert_array_equal(loaded.voxels, volume.voxels)
        np.testing.assert_allclose(
            loaded.geometry.affine_lps, volume.geometry.affine_lps, atol=1e-9
        )
        assert loaded.slice_uids == ()
        (warning,) = loaded.warnings
        assert "2 slices interpolated" in warning
        assert "3–4 at 209.2 to 211.2 mm" in warning

    def test_acquired_slices_are_not_blurred_by_filling_a_gap(self, series: Write) -> None:
        voxels = np.random.default_rng(2).integers(-1000, 1000, (8, 3, 3)).astype(np.int16)
        affine = np.diag([1.0, 1.0, 2.0, 1.0])[:, [2, 1, 0, 3]]
        of = Volume(voxels, Geometry((8, 3, 3), affine))
        loaded = load_volume(series(lambda _d, k: k != 4, of=of), resample_gaps=True)
        kept = [0, 1, 2, 3, 5, 6, 7]
        np.testing.assert_array_equal(loaded.voxels[kept], voxels[kept])

    def test_spacing_that_changes_on_the_way_is_refused_and_can_be_evened_out(
        self, series: Write
    ) -> None:
        """Old head scans: thin slices at the base, thick ones at the vertex."""
        place = [0.0, 2.5, 5.0, 7.5, 11.0, 14.5, 18.0]
        values = [round(100 * z) for z in place]
        voxels = np.repeat(values, 9).astype(np.int16).reshape(7, 3, 3)

        def spread(dataset: pydicom.Dataset, k: int) -> None:
            dataset.ImagePositionPatient = [0, 0, place[k]]
            dataset.PixelData = voxels[k].tobytes()

        grid = Geometry.from_spacing((7, 3, 3), (2, 1, 1))
        folder = series(spread, of=Volume(voxels, grid))
        with pytest.raises(GapError, match=r"unevenly spaced \(2\.50 to 3\.50 mm"):
            load_volume(folder)
        loaded = load_volume(folder, resample_gaps=True)
        z = loaded.geometry.to_patient_mm(np.array([(k, 0, 0) for k in range(len(loaded.voxels))]))
        np.testing.assert_allclose(np.diff(z[:, 2]), 18 / 7, atol=1e-9)
        # Values are a hundred times the position; a slice within 0.06 mm of its place is kept.
        np.testing.assert_allclose(loaded.voxels[:, 0, 0], 100 * z[:, 2], atol=6.5)

    def test_a_stray_image_far_away_is_not_bridged(self, series: Write) -> None:
        def stray(dataset: pydicom.Dataset, k: int) -> None:
            if k == 5:
                dataset.ImagePositionPatient = [-31, 47.5, 900]

        with pytest.raises(GeometryError, match="most of the volume would be invented"):
            load_volume(series(stray), resample_gaps=True)

    def test_a_stray_image_between_two_others_is_left_out_with_a_word(self, series: Write) -> None:
        """The even grid is the usual one; every other slice stays the instance that it is."""
        heights = (0.0, 2.0, 4.0, 4.4, 6.0, 8.0)

        def stray(dataset: pydicom.Dataset, k: int) -> None:
            dataset.ImagePositionPatient = [-31, 47.5, heights[k]]
            dataset.SOPInstanceUID = f"1.2.{k}"

        loaded = load_volume(series(stray), resample_gaps=True)
        np.testing.assert_array_equal(loaded.voxels[:, 0, 0], [-60, -40, -20, 20, 40])
        assert loaded.slice_uids == ("1.2.0", "1.2.1", "1.2.2", "1.2.4", "1.2.5")
        assert loaded.geometry.spacing_mm == pytest.approx((2, 0.8, 0.9))
        (warning,) = loaded.warnings
        assert "1 acquired slice between those of the even grid not shown (at 4.4 mm)" in warning

    def test_a_stray_image_beside_a_gap_is_left_out_with_a_word_too(self, series: Write) -> None:
        heights = (0.0, 2.0, 2.5, 4.0, 6.0, 10.0)

        def stray(dataset: pydicom.Dataset, k: int) -> None:
            dataset.ImagePositionPatient = [-31, 47.5, heights[k]]

        loaded = load_volume(series(stray), resample_gaps=True)
        np.testing.assert_array_equal(loaded.voxels[:, 0, 0], [-60, -40, 0, 20, 30, 40])
        assert loaded.slice_uids == ()
        assert "1 slice interpolated" in loaded.warnings[0]
        assert "not shown (at 2.5 mm)" in loaded.warnings[1]

    def test_slices_beside_each_other_are_put_where_they_belong(self, series: Write) -> None:
        """The table moved sideways by one pixel under two slices, and back."""

        def sideways(dataset: pydicom.Dataset, k: int) -> None:
            x, y, z = (float(v) for v in dataset.ImagePositionPatient)
            dataset.ImagePositionPatient = [x + 0.9 * (k in (2, 3)), y, z]

        folder = series(sideways)
        with pytest.raises(GapError, match="unevenly"):
            load_volume(folder)
        loaded = load_volume(folder, resample_gaps=True)
        assert loaded.shape == (6, 5, 5)
        np.testing.assert_array_equal(loaded.voxels[2, :, 0], -1024)
        np.testing.assert_array_equal(loaded.voxels[2, :, 1], -60 + 40 + 4 * np.arange(5))
        assert "do not lie straight" in " ".join(loaded.warnings)

    def test_images_that_are_no_stack_are_refused(self, series: Write) -> None:
        """Parallel images that wander off sideways, as some reformats do."""

        def wander(dataset: pydicom.Dataset, k: int) -> None:
            dataset.ImagePositionPatient = [10 * k, 0, 2 * k]

        folder = series(wander)
        assert not list_series(folder)[0].is_volume
        with pytest.raises(ImageReadError, match=r"up to 50 mm beside each other.*no stack"):
            load_volume(folder)


class TestTilt:
    """A gantry tilted by 18.5°: images are perpendicular to the beam, the table moves along z."""

    degrees = 18.5

    def tilted(self, voxels: np.ndarray) -> Volume:
        """Slices turned about x, each 2 mm further along the table."""
        affine = rotated(-self.degrees) @ np.diag([0.9, 0.8, 1.0, 1.0])[:, [2, 1, 0, 3]]
        affine[:3, 0] = (0, 0, 2)
        affine[:3, 3] = (-31, 47.5, 205.25)
        return Volume(voxels, Geometry(voxels.shape, affine), SeriesInfo(modality="CT"))

    def linear(self, shape: tuple[int, int, int]) -> Volume:
        """Values linear in the patient's y and z: interpolation gives them back exactly."""
        grid = self.tilted(np.zeros(shape, np.float32)).geometry
        where = grid.to_patient_mm(np.stack(np.indices(shape), axis=-1).astype(float))
        return self.tilted((10 * where[..., 1] + 7 * where[..., 2]).astype(np.float32))

    def test_the_grid_becomes_rectangular_with_the_step_along_the_normal(
        self, series: Write
    ) -> None:
        loaded = load_volume(series(of=self.tilted(np.zeros((9, 20, 6), np.int16))))
        geometry = loaded.geometry
        assert not geometry.is_tilted
        assert geometry.spacing_mm == pytest.approx((2 * np.cos(np.radians(18.5)), 0.8, 0.9))
        assert geometry.obliquity_degrees == pytest.approx(18.5)
        (warning,) = loaded.warnings
        assert warning.startswith("Gantry tilt of 18.5°")
        assert "9 × 27 × 6 voxels" in warning

    def test_values_stay_where_they_were_in_the_patient(self, series: Write) -> None:
        original = self.linear((9, 20, 6))
        loaded = load_volume(series(of=original))
        inside = loaded.voxels > -1000
        where = loaded.geometry.to_patient_mm(np.argwhere(inside).astype(float))
        np.testing.assert_allclose(
            loaded.voxels[inside][:, None][:, 0][self.well_inside(original.geometry, where)],
            (10 * where[:, 1] + 7 * where[:, 2])[self.well_inside(original.geometry, where)],
            atol=0.1,
        )
        assert self.well_inside(original.geometry, where).sum() > 500

    @staticmethod
    def well_inside(geometry: Geometry, where: np.ndarray) -> np.ndarray:
        index = geometry.to_index(where)
        return ((index >= 0) & (index <= np.array(geometry.shape) - 1)).all(axis=1)

    def test_nothing_that_was_acquired_is_cut_off(self, series: Write) -> None:
        original = self.tilted(np.zeros((9, 20, 6), np.int16))
        grid = load_volume(series(of=original)).geometry
        corners = np.array([(k, r, c) for k in (0, 8) for r in (0, 19) for c in (0, 5)], float)
        for corner in original.geometry.to_patient_mm(corners):
            assert grid.contains(grid.to_index(corner))

    def test_air_is_put_where_nothing_was_acquired(self, series: Write) -> None:
        """The first slice moves least, the last most; a border row blends with what is outside."""
        loaded = load_volume(series(of=self.tilted(np.full((9, 20, 6), 500, np.int16))))
        first, last = sorted((loaded.voxels[0], loaded.voxels[-1]), key=lambda image: image[0, 0])
        assert (last[:20] == 500).all()
        assert (last[20:] == -1024).all()
        assert (first[:6] == -1024).all()
        assert (first[7:26] == 500).all()
        assert loaded.voxels.min() == -1024
        assert loaded.voxels.max() == 500

    def test_slices_stay_the_acquired_instances(self, series: Write) -> None:
        folder = series(of=self.tilted(np.zeros((9, 20, 6), np.int16)))
        uids = {str(pydicom.dcmread(p).SOPInstanceUID) for p in folder.iterdir()}
        assert set(load_volume(folder).slice_uids) == uids

    def test_a_tilted_series_with_a_gap_is_straightened_and_filled(self, series: Write) -> None:
        original = self.linear((9, 20, 6))
        loaded = load_volume(series(lambda _d, k: k != 4, of=original), resample_gaps=True)
        whole = load_volume(series(of=original, name="whole"))
        np.testing.assert_allclose(loaded.geometry.affine_lps, whole.geometry.affine_lps, atol=1e-6)
        where = whole.geometry.to_patient_mm(np.stack(np.indices(whole.shape), -1).astype(float))
        inner = self.well_inside(original.geometry, where.reshape(-1, 3)).reshape(whole.shape)
        inner[4] &= inner[3] & inner[5]
        np.testing.assert_allclose(loaded.voxels[4][inner[4]], whole.voxels[4][inner[4]], atol=0.2)


class TestBrokenGeometry:
    def test_an_orientation_that_is_no_rotation_is_named(self, series: Write) -> None:
        def skew(dataset: pydicom.Dataset, _k: int) -> None:
            dataset.ImageOrientationPatient = [1, 0, 0, 0.5, 0.8, 0]

        with pytest.raises(ImageReadError, match="two perpendicular directions"):
            load_volume(series(skew))

    @pytest.mark.parametrize(
        "keyword", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"]
    )
    def test_images_without_a_place_are_no_volume(self, series: Write, keyword: str) -> None:
        folder = series(lambda d, _k: delattr(d, keyword))
        (summary,) = list_series(folder)
        assert not summary.is_volume
        with pytest.raises(ImageReadError, match="without position, orientation or pixel spacing"):
            load_volume(folder)
