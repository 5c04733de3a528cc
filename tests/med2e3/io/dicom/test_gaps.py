"""What fits a gap is named, what is joined says so, and two regions are two stacks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from med2e3.cli import main
from med2e3.errors import GapError, SeriesChoiceError
from med2e3.io import Watch, list_series, load_volume, open_source
from med2e3.io.series import Grouping
from tests.med2e3.io.mixed import add, body, kernel, two_kernels

#: The slice that differs from the others.
ODD = 5

Edit = Callable[[pydicom.Dataset], Any]


def one_odd(folder: Path, odd: Edit) -> Path:
    """Twelve slices, of which one is changed."""
    add(folder, "s", body(), lambda d, k: odd(d) if k == ODD else None)
    return folder


def smaller(dataset: pydicom.Dataset) -> None:
    dataset.Rows, dataset.PixelData = 16, dataset.PixelData[: 16 * 28 * 2]


DIFFERENT: dict[str, tuple[Edit, str, bool]] = {
    "image type": (
        lambda d: setattr(d, "ImageType", ["ORIGINAL", "PRIMARY", "OTHER"]),
        "image type ORIGINAL PRIMARY OTHER instead of", True,
    ),
    "kernel": (
        lambda d: setattr(d, "ConvolutionKernel", "B70f"), "kernel B70f instead of none", True
    ),
    "thickness": (
        lambda d: setattr(d, "SliceThickness", 5),
        "slice thickness 5 mm instead of 3 mm", True,
    ),
    "size": (smaller, "image size 28 × 16 instead of 28 × 32", False),
    "pixels": (
        lambda d: setattr(d, "PixelSpacing", [2, 2]),
        "pixel spacing 2 mm instead of 1 mm", False,
    ),
    "series": (lambda d: setattr(d, "SeriesInstanceUID", "1.2.3"), "another series UID", False),
    "series number": (
        lambda d: (setattr(d, "SeriesInstanceUID", "1.2.3"), setattr(d, "SeriesNumber", 9)),
        "series number 9 instead of 4", False,
    ),
}  # fmt: skip


class TestOneSliceDiffers:
    @pytest.mark.parametrize("what", list(DIFFERENT))
    def test_the_image_that_fits_is_named_with_what_it_differs_in(
        self, tmp_path: Path, what: str
    ) -> None:
        edit, words, can_join = DIFFERENT[what]
        with pytest.raises(GapError) as caught:
            load_volume(one_odd(tmp_path, edit))
        said = str(caught.value)
        assert f"what fits there lies apart (s_005.dcm, with {words}" in said
        assert "missing" not in said
        assert ("Join the series to take it in" in said) == can_join

    @pytest.mark.parametrize("what", [w for w, (*_, can_join) in DIFFERENT.items() if can_join])
    def test_joining_takes_it_in(self, tmp_path: Path, what: str) -> None:
        folder = one_odd(tmp_path, DIFFERENT[what][0])
        loaded = load_volume(folder, grouping="joined")
        np.testing.assert_array_equal(loaded.voxels, body().voxels[::-1])
        (joined,) = list_series(folder, grouping=Grouping.JOINED)
        assert (joined.count, joined.facts.trouble) == (12, "")

    def test_on_the_command_line(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        folder = str(one_odd(tmp_path, DIFFERENT["kernel"][0]))
        assert main(["info", folder]) == 1
        assert "s_005.dcm, with kernel B70f instead of none" in capsys.readouterr().err
        assert main(["info", folder, "--grouping", "joined"]) == 0
        assert "12 axial slices" in capsys.readouterr().out
        assert main(["series", folder]) == 0
        listed = capsys.readouterr().out
        assert "(11 images)" in listed
        assert "opens with resampling" in listed
        assert main(["series", folder, "--grouping", "joined"]) == 0
        assert "(12 images)" in capsys.readouterr().out

    def test_a_kernel_that_has_all_slices_fits_no_gap(self, tmp_path: Path) -> None:
        """Another reconstruction lies at the same place, and would fill the gap with itself."""
        folder = two_kernels(tmp_path / "k")
        (folder / "soft_005.dcm").unlink()
        with pytest.raises(GapError, match="instances are probably missing"):
            load_volume(folder, series="kernel B30f")

    def test_a_grouping_that_is_none_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(SeriesChoiceError, match="'together' is no way to group images"):
            load_volume(one_odd(tmp_path, smaller), grouping="together")

    def test_joining_what_lies_at_the_same_places_says_why_not(self, tmp_path: Path) -> None:
        with pytest.raises(
            SeriesChoiceError, match="cannot be grouped as joined: different images"
        ):
            load_volume(two_kernels(tmp_path / "k"), grouping="joined")


class TestJoinIsOffered:
    def test_where_it_changes_something(self, tmp_path: Path) -> None:
        folder = one_odd(tmp_path, DIFFERENT["kernel"][0])
        assert all(s.ways == (Grouping.JOINED,) for s in list_series(folder))

    def test_not_where_images_lie_at_the_same_places(self, tmp_path: Path) -> None:
        assert all(s.ways == () for s in list_series(two_kernels(tmp_path / "k")))

    def test_not_where_images_share_no_grid(self, tmp_path: Path) -> None:
        folder = one_odd(tmp_path, smaller)
        assert all(s.ways == () for s in list_series(folder))


class TestMixedThickness:
    def head(self, folder: Path) -> Path:
        """Eight slices of 4 mm at the base, six of 7 mm above them."""
        places = [4.0 * k for k in range(8)] + [28 + 7.0 * k for k in range(1, 7)]

        def edit(dataset: pydicom.Dataset, k: int) -> None:
            dataset.ImagePositionPatient = [0, 0, places[k]]
            dataset.SliceThickness = 4 if k < 8 else 7

        add(folder, "s", body(14), edit)
        return folder

    def test_apart_they_are_two_volumes(self, tmp_path: Path) -> None:
        parts = {s.part: s.count for s in list_series(self.head(tmp_path))}
        assert parts == {"slice thickness 4 mm": 8, "slice thickness 7 mm": 6}

    def test_joined_they_are_resampled_with_a_word(self, tmp_path: Path) -> None:
        loaded = load_volume(self.head(tmp_path), grouping="joined")
        assert loaded.geometry.spacing_mm[0] == pytest.approx(4, abs=0.2)
        said = " ".join(loaded.warnings)
        assert "the slices are 4 mm and 7 mm thick and lie 4.00 to 7.00 mm apart" in said
        assert "interpolated" in said
        assert "missing" not in said

    def test_with_a_true_gap_they_are_not(self, tmp_path: Path) -> None:
        self.head(tmp_path)
        for k in (9, 10):
            (tmp_path / f"s_{k:03d}.dcm").unlink()
        with pytest.raises(GapError, match=r"1 gap between slices \(21\.00 mm where 4 mm or 7"):
            load_volume(tmp_path, grouping="joined")


class TestOtherSpacing:
    def test_a_spacing_that_changes_is_no_missing_slice(self, tmp_path: Path) -> None:
        places = [2.0 * k for k in range(7)] + [12 + 5.0 * k for k in range(1, 6)]

        def edit(dataset: pydicom.Dataset, k: int) -> None:
            dataset.ImagePositionPatient = [0, 0, places[k]]

        add(tmp_path, "s", body(), edit)
        with pytest.raises(GapError) as caught:
            load_volume(tmp_path)
        said = str(caught.value)
        assert "the spacing changes: the slices lie 2.00 mm apart, and 5.00 mm from" in said
        assert "s_006.dcm to s_011.dcm (12.0 to 37.0 mm)" in said
        assert "missing" not in said
        assert "interpolated" in " ".join(load_volume(tmp_path, resample_gaps=True).warnings)


class TestRegions:
    @pytest.mark.parametrize(
        ("keyword", "values", "name"),
        [
            ("StackID", ("1", "2"), "stack"),
            ("AcquisitionNumber", (1, 2), "acquisition"),
            ("TemporalPositionIdentifier", (1, 2), "time"),
            ("BodyPartExamined", ("HEAD", "CHEST"), "body part"),
            ("ProtocolName", ("Head", "Chest"), "protocol"),
            ("AcquisitionTime", ("101500", "101700"), "acquired at"),
        ],
    )
    def test_two_regions_of_one_series_are_two_stacks(
        self, tmp_path: Path, keyword: str, values: tuple[Any, Any], name: str
    ) -> None:
        def edit(dataset: pydicom.Dataset, k: int) -> None:
            vr = pydicom.datadict.dictionary_VR(keyword)
            dataset.add_new(pydicom.datadict.tag_for_keyword(keyword), vr, values[k > 5])
            dataset.ImagePositionPatient = [0, 0, 3.0 * k + 187 * (k > 5)]

        add(tmp_path, "s", body(), edit)
        source = open_source(tmp_path)
        assert [(s.count, s.is_volume, s.facts.trouble) for s in source.series] == [
            (6, True, "")
        ] * 2
        assert all(s.part.startswith(f"{name} ") for s in source.series)
        assert all(s.split_by.startswith(f"{name}: ") for s in source.series)
        heights = [source.load(s, Watch()).geometry.centre_mm[2] for s in source.series]
        assert sorted(heights) == pytest.approx([7.5, 7.5 + 18 + 187])
        assert all(s.ways == (Grouping.JOINED,) for s in source.series)

    def test_a_slice_missing_in_a_rotation_is_no_other_region(self, tmp_path: Path) -> None:
        """A sequential scan has a number for each rotation of four images."""
        add(tmp_path, "s", body(40), lambda d, k: setattr(d, "AcquisitionNumber", k // 4))
        (tmp_path / "s_020.dcm").unlink()
        with pytest.raises(GapError, match="1 gap between slices"):
            load_volume(tmp_path)

    def test_a_slice_missing_among_images_with_numbers_of_their_own(self, tmp_path: Path) -> None:
        add(tmp_path, "s", body(), lambda d, k: setattr(d, "AcquisitionNumber", k))
        (tmp_path / "s_006.dcm").unlink()
        with pytest.raises(GapError, match="1 gap between slices"):
            load_volume(tmp_path)

    def test_an_image_far_away_of_its_own_acquisition_is_left_out(self, tmp_path: Path) -> None:
        """The monitoring image of a contrast agent lies in the series of the scan."""

        def edit(dataset: pydicom.Dataset, k: int) -> None:
            dataset.AcquisitionNumber = 1 if k == 0 else 2
            dataset.ImagePositionPatient = [0, 0, -120 if k == 0 else 3.0 * k]

        add(tmp_path, "s", body(), edit)
        source = open_source(tmp_path)
        assert sorted((s.count, s.is_volume) for s in source.series) == [(1, False), (11, True)]
        assert [one.path.name for one in source.skipped] == ["s_000.dcm"]


def test_a_kernel_split_keeps_its_name_beside_regions(tmp_path: Path) -> None:
    def edit(dataset: pydicom.Dataset, k: int) -> None:
        kernel("B30f")(dataset, k)
        dataset.StackID = "1" if k < 6 else "2"
        dataset.ImagePositionPatient = [0, 0, 3.0 * k + 100 * (k > 5)]

    folder = tmp_path / "s"
    folder.mkdir()
    add(folder, "soft", body(), edit)
    add(folder, "sharp", body(value=60), lambda d, k: (edit(d, k), kernel("B70f")(d, k)))
    assert sorted(s.part for s in list_series(folder)) == [
        "kernel B30f, stack 1", "kernel B30f, stack 2",
        "kernel B70f, stack 1", "kernel B70f, stack 2",
    ]  # fmt: skip
