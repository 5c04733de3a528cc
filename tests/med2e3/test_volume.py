"""A volume: what it accepts, how it is turned, how small it is kept."""

from __future__ import annotations

import numpy as np
import pytest

from med2e3.errors import GeometryError, ImageReadError
from med2e3.geometry import Geometry, Plane
from med2e3.volume import WINDOWS, SeriesInfo, Volume, Window, compact

SHAPE = (3, 4, 5)
GRID = Geometry.from_spacing(SHAPE, (2.0, 1.0, 1.0))
UIDS = ("1.1", "1.2", "1.3")


def numbered(geometry: Geometry = GRID, **more: object) -> Volume:
    voxels = np.arange(np.prod(geometry.shape), dtype=np.int16).reshape(geometry.shape)
    return Volume(voxels, geometry, **more)  # type: ignore[arg-type]


class TestTurning:
    def test_a_stack_stored_feet_first_is_shown_head_first_with_its_instances(self) -> None:
        affine = np.diag([1.0, 1.0, 2.0, 1.0])[:, [2, 1, 0, 3]]  # slices run to superior
        volume = numbered(Geometry(SHAPE, affine), slice_uids=UIDS)
        shown = volume.in_plane(Plane.AXIAL)
        np.testing.assert_array_equal(shown.voxels, volume.voxels[::-1])
        assert shown.slice_uids == UIDS[::-1]
        np.testing.assert_allclose(shown.geometry.to_patient_mm((0, 0, 0)), (0, 0, 4))

    @pytest.mark.parametrize("plane", [Plane.CORONAL, Plane.SAGITTAL])
    def test_slices_of_another_plane_are_no_instances(self, plane: Plane) -> None:
        assert numbered(slice_uids=UIDS).in_plane(plane).slice_uids == ()

    def test_turning_copies_no_voxels(self) -> None:
        volume = numbered()
        assert np.shares_memory(volume.in_plane(Plane.SAGITTAL).voxels, volume.voxels)

    def test_what_else_is_known_stays(self) -> None:
        volume = numbered(info=SeriesInfo(patient_id="7"), source="here", warnings=("w",))
        shown = volume.in_plane(Plane.CORONAL)
        assert (shown.info.patient_id, shown.source, shown.warnings) == ("7", "here", ("w",))


class TestRefusals:
    def test_other_types_than_int16_and_float32_are_refused(self) -> None:
        with pytest.raises(ImageReadError, match="uint8"):
            Volume(np.zeros(SHAPE, np.uint8), GRID)  # type: ignore[arg-type]

    def test_voxels_must_have_the_shape_of_the_geometry(self) -> None:
        with pytest.raises(GeometryError, match=r"\(3, 4, 6\)"):
            Volume(np.zeros((3, 4, 6), np.int16), GRID)

    def test_there_is_one_instance_a_slice_or_none(self) -> None:
        with pytest.raises(GeometryError, match="2 SOP Instance UIDs for 3 slices"):
            numbered(slice_uids=UIDS[:2])


class TestDescription:
    @pytest.mark.parametrize(
        ("info", "source", "name"),
        [
            (SeriesInfo(series_description="Thorax 1.0"), "/x/y", "Thorax 1.0"),
            (SeriesInfo(series_number="4"), "/x/y", "Series 4"),
            (SeriesInfo(), "/x/scan.nii.gz", "scan.nii.gz"),
            (SeriesInfo(), "C:\\x\\study\\", "study"),
            (SeriesInfo(), "", "volume"),
        ],
    )
    def test_the_name_is_the_best_that_is_known(
        self, info: SeriesInfo, source: str, name: str
    ) -> None:
        assert numbered(info=info, source=source).name == name

    @pytest.mark.parametrize(
        ("modality", "is_ct", "may_be"),
        [("CT", True, True), ("", False, True), ("PT", False, False)],
    )
    def test_only_a_stated_modality_makes_it_ct_or_something_else(
        self, modality: str, is_ct: bool, may_be: bool
    ) -> None:
        info = SeriesInfo(modality=modality)
        assert (info.is_ct, info.may_be_ct) == (is_ct, may_be)

    def test_warnings_are_added_to_a_new_volume(self) -> None:
        volume = numbered(warnings=("a",))
        assert volume.with_warnings("b", "c").warnings == ("a", "b", "c")
        assert volume.warnings == ("a",)

    def test_the_value_range_is_that_of_all_voxels(self) -> None:
        assert numbered().value_range == (0.0, 59.0)

    def test_a_window_runs_half_its_width_to_both_sides(self) -> None:
        assert (WINDOWS["lung"].low, WINDOWS["lung"].high) == (-1350, 150)
        assert Window(0.5, 1).low == 0


class TestCompact:
    def test_int16_passes_through_untouched(self) -> None:
        values = np.zeros(SHAPE, np.int16)
        assert compact(values) is values

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64, bool])
    def test_whole_numbers_that_fit_become_int16(self, dtype: type) -> None:
        values = np.array([[[0, 1, 1]]]).astype(dtype)
        small = compact(values)
        assert small.dtype == np.int16
        np.testing.assert_array_equal(small, values)

    @pytest.mark.parametrize("value", [0.5, 32768, -32769, 1e6])
    def test_anything_else_becomes_float32(self, value: float) -> None:
        assert compact(np.array([[[0.0, value]]])).dtype == np.float32

    def test_the_extremes_of_int16_still_fit(self) -> None:
        assert compact(np.array([[[-32768.0, 32767.0]]])).dtype == np.int16

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_what_is_no_number_is_counted_and_refused(self, value: float) -> None:
        with pytest.raises(ImageReadError, match="1 of 3 voxels"):
            compact(np.array([[[0.0, value, 2.0]]]))
