"""Several series in one place: the largest CT opens, the others are named, any can be asked for."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import EncapsulatedPDFStorage, XRayRadiationDoseSRStorage

from med2e3.errors import Cancelled, ImageReadError, SeriesChoiceError
from med2e3.geometry import Geometry, Plane
from med2e3.io import Watch, list_series, load_volume, open_source
from med2e3.io.dicom import duplicates
from med2e3.volume import SeriesInfo, Volume
from tests.med2e3.io import mixed

Write = Callable[..., Path]


def block(slices: int, number: str, **info: str) -> Volume:
    """A volume whose voxels all hold its number of slices."""
    info = {"series_number": number, "modality": "CT", **info}
    grid = Geometry.from_spacing((slices, 4, 4), (2, 1, 1))
    return Volume(np.full((slices, 4, 4), slices, np.int16), grid, SeriesInfo(**info))


@pytest.fixture
def several(series: Write) -> Path:
    """Series 2 (5 slices), 10 (9 slices) and 30 (an MR of 20 slices) in one tree of folders."""
    series(of=block(9, "10", series_description="Thorax"), name="study/b")
    series(of=block(5, "2"), name="study/a/deep")
    series(lambda d, _k: setattr(d, "Modality", "MR"), of=block(20, "30"), name="study/c")
    return series(of=block(2, "99"), name="elsewhere").parent / "study"


class TestDefault:
    def test_the_largest_ct_opens_and_the_others_are_named(self, several: Path) -> None:
        loaded = load_volume(several)
        assert loaded.info.series_number == "10"
        (warning,) = loaded.warnings
        assert warning == (
            'Series 10 "Thorax" is open. Also here: #1 Series 2 (5 images); '
            "#3 Series 30 (20 images)."
        )

    def test_another_modality_opens_where_there_is_no_ct(self, several: Path) -> None:
        loaded = load_volume(several / "c")
        assert loaded.shape[0] == 20
        assert "MR, not CT" in loaded.warnings[0]

    def test_the_list_is_in_the_order_of_series_numbers(self, several: Path) -> None:
        summaries = list_series(several)
        assert [s.info.series_number for s in summaries] == ["2", "10", "30"]
        assert [s.count for s in summaries] == [5, 9, 20]
        assert [s.shape for s in summaries] == [(5, 4, 4), (9, 4, 4), (20, 4, 4)]
        assert all(s.is_volume and len(s.files) == s.count for s in summaries)


class TestAsked:
    @pytest.mark.parametrize(("wanted", "slices"), [("2", 5), ("#2", 9), ("3", 20), ("10", 9)])
    def test_by_number_or_by_place_in_the_list(
        self, several: Path, wanted: str, slices: int
    ) -> None:
        """A series number goes before a place: "2" is series 2, which is the first in the list."""
        loaded = load_volume(several, series=wanted)
        assert loaded.shape[0] == slices

    def test_by_uid(self, several: Path) -> None:
        uid = list_series(several)[0].info.series_uid
        assert load_volume(several, series=uid).shape[0] == 5

    def test_by_its_summary(self, several: Path) -> None:
        summary = list_series(several)[2]
        assert load_volume(several, series=summary).shape[0] == 20

    def test_what_was_asked_for_needs_no_word_about_the_others(self, several: Path) -> None:
        assert load_volume(several, series="2").warnings == ()

    @pytest.mark.parametrize("wanted", ["7", "#4", "#0", "Thorax", "", "1.2.3"])
    def test_an_unknown_name_is_answered_with_the_list(self, several: Path, wanted: str) -> None:
        with pytest.raises(SeriesChoiceError, match=r'#2 Series 10 "Thorax" \(9 images\)'):
            load_volume(several, series=wanted)

    def test_one_number_for_two_series_asks_which(self, series: Write) -> None:
        series(of=block(4, "5"), name="study/a")
        series(of=block(6, "5"), name="study/b")
        folder = series(of=block(2, "1"), name="other").parent / "study"
        with pytest.raises(SeriesChoiceError, match=r"2 series .* have the number 5"):
            load_volume(folder, series="5")
        assert load_volume(folder, series="#1").shape[0] in (4, 6)

    def test_one_look_serves_the_list_and_the_loading(self, several: Path) -> None:
        source = open_source(several)
        for path in several.rglob("*.dcm"):
            path.rename(path.with_suffix(".moved"))
        for path in several.rglob("*.moved"):
            path.rename(path.with_suffix(".dcm"))
        chosen = source.choose("2")
        assert chosen is source.series[0]
        loaded = source.load(chosen, Watch())
        assert (loaded.shape[0], loaded.source) == (5, str(several))


class TestWhatIsNoVolume:
    def mixed(self, series: Write) -> Path:
        """A CT of 6 slices with its scouts, a dose report and a PDF in the same folder."""
        folder = series()

        def scout(dataset: pydicom.Dataset, k: int) -> bool:
            dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
            dataset.SeriesInstanceUID = "1.2.3"
            dataset.SeriesNumber = 1
            return k < 2

        scouts = series(scout, name="scouts", of=block(3, "1"))
        for path in scouts.iterdir():
            shutil.move(path, folder / f"scout_{path.name}")
        for number, (kind, modality) in enumerate(
            [(XRayRadiationDoseSRStorage, "SR"), (EncapsulatedPDFStorage, "DOC")], start=100
        ):
            report = pydicom.dcmread(folder / "slice_0001.dcm")
            for keyword in ("PixelData", "Rows", "Columns", "ImagePositionPatient"):
                delattr(report, keyword)
            report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = kind
            report.Modality, report.SeriesNumber = modality, number
            report.SeriesInstanceUID = f"1.2.{number}"
            report.save_as(folder / f"{modality}.dcm")
        return folder

    def test_each_is_listed_with_its_reason(self, series: Write) -> None:
        summaries = list_series(self.mixed(series))
        assert [(s.info.series_number, s.is_volume) for s in summaries] == [
            ("1", False), ("3", True), ("100", False), ("101", False),
        ]  # fmt: skip
        assert summaries[0].reason == "a scout (localizer)"
        assert summaries[2].reason == "X-Ray Radiation Dose SR Storage without an image"
        assert summaries[3].reason == "Encapsulated PDF Storage without an image"

    def test_the_ct_opens_beside_them(self, series: Write, volume: Volume) -> None:
        loaded = load_volume(self.mixed(series))
        np.testing.assert_array_equal(loaded.voxels, volume.voxels)
        assert "not a volume: a scout (localizer)" in loaded.warnings[0]

    def test_asking_for_one_says_why_not(self, series: Write) -> None:
        with pytest.raises(SeriesChoiceError, match=r"Series 1 is not a volume: a scout"):
            load_volume(self.mixed(series), series="1")

    def test_a_localizer_in_the_series_itself_is_left_out(
        self, series: Write, volume: Volume
    ) -> None:
        """Some scanners file the scout under the number and UID of the scan."""
        folder = series()
        scout = pydicom.dcmread(sorted(folder.iterdir())[0])
        scout.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
        scout.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
        scout.SOPInstanceUID = scout.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
        scout.save_as(folder / "scout.dcm")
        loaded = load_volume(folder)
        np.testing.assert_array_equal(loaded.voxels, volume.voxels)
        assert "a scout (localizer)" in loaded.warnings[0]

    def test_reformats_in_the_series_become_parts_of_their_own(self, series: Write) -> None:
        folder = series()
        grid = Geometry.from_spacing((3, 5, 4), (4, 0.8, 0.9), plane=Plane.CORONAL)
        other = series(of=Volume(np.zeros((3, 5, 4), np.int16), grid), name="coronal")
        uid = list_series(folder)[0].info.series_uid
        for path in other.iterdir():
            dataset = pydicom.dcmread(path)
            dataset.SeriesInstanceUID = uid
            dataset.save_as(folder / f"coronal_{path.name}")
        summaries = list_series(folder)
        assert {s.part for s in summaries} == {"axial", "coronal"}
        assert summaries[0].split_by == "orientation: axial / coronal"
        assert {s.count for s in summaries} == {3, 6}
        assert load_volume(folder, series=uid).shape[0] == 6
        coronal = next(s for s in summaries if s.count == 3)
        assert load_volume(folder, series=coronal).geometry.plane is Plane.CORONAL

    def test_a_single_image_is_no_volume(self, series: Write) -> None:
        folder = series(lambda _d, k: k == 2)
        with pytest.raises(ImageReadError, match="one image only"):
            load_volume(folder)

    def test_colour_images_are_no_volume(self, series: Write) -> None:
        def colour(dataset: pydicom.Dataset, _k: int) -> None:
            dataset.SamplesPerPixel = 3
            dataset.PhotometricInterpretation = "RGB"
            dataset.PixelData = dataset.PixelData * 3

        with pytest.raises(ImageReadError, match="colour images"):
            load_volume(series(colour))


class TestDoubledSlices:
    def double(self, folder: Path, **changes: object) -> None:
        """A second file for the fourth slice, changed as told."""
        dataset = pydicom.dcmread(sorted(folder.iterdir())[3])
        for keyword, value in changes.items():
            setattr(dataset, keyword, value)
        dataset.save_as(folder / "twice.dcm")

    @pytest.mark.parametrize("changes", [{}, {"SOPInstanceUID": "1.2.3.9"}])
    def test_a_copy_is_left_out_with_a_word(
        self, series: Write, volume: Volume, changes: dict[str, object]
    ) -> None:
        folder = series()
        self.double(folder, **changes)
        loaded = load_volume(folder)
        np.testing.assert_array_equal(loaded.voxels, volume.voxels)
        (warning,) = loaded.warnings
        assert warning.startswith("1 image stored twice; the copies were left out (")

    @pytest.mark.parametrize(
        "changes", [{"ContentTime": "235959"}, {"AcquisitionNumber": 99, "SOPInstanceUID": "1.2.9"}]
    )
    def test_one_image_sent_again_with_another_time_is_still_a_copy(
        self, series: Write, volume: Volume, changes: dict[str, object]
    ) -> None:
        """One image is no acquisition, so nothing tells it apart but its place."""
        folder = series()
        self.double(folder, **changes)
        loaded = load_volume(folder)
        np.testing.assert_array_equal(loaded.voxels, volume.voxels)
        assert "1 image stored twice" in loaded.warnings[0]

    @pytest.mark.parametrize("uids", ["kept", "all alike"])
    @pytest.mark.parametrize(
        ("keyword", "values"),
        [
            ("AcquisitionNumber", (1, 2)),
            ("AcquisitionTime", ("101500", "101600")),
            ("TemporalPositionIdentifier", (1, 2)),
            ("NominalPercentageOfCardiacPhase", (40, 75)),
        ],
    )
    def test_the_same_air_in_two_phases_is_a_slice_of_each(
        self, tmp_path: Path, keyword: str, values: tuple[object, object], uids: str
    ) -> None:
        """Above the patient all is -1024, in both: no file is a copy of the other phase's."""
        folder = tmp_path / "phases"
        folder.mkdir()
        for phase, brightness in enumerate((80, 120)):
            voxels = mixed.body(10, brightness).voxels.copy()
            voxels[:3] = -1024

            def edit(dataset: pydicom.Dataset, _k: int, value: object = values[phase]) -> None:
                setattr(dataset, keyword, value)
                if uids == "all alike":  # as some tools leave them that take names out
                    dataset.SOPInstanceUID = "1.2.3.4"

            mixed.add(folder, f"phase{phase}", replace(mixed.body(10), voxels=voxels), edit)
        source = open_source(folder)
        assert [(s.count, s.is_volume) for s in source.series] == [(10, True)] * 2
        assert source.skipped == ()
        one, two = (source.load(s, Watch()) for s in source.series)
        assert (one.voxels[-3:] == -1024).all()
        assert (two.voxels[-3:] == -1024).all()
        assert (one.voxels.max(), two.voxels.max()) == (80, 120)
        assert (one.warnings, two.warnings) == ((), ())

    def test_another_image_at_the_same_place_is_refused(self, series: Write) -> None:
        folder = series()
        self.double(folder, SOPInstanceUID="1.2.3.9", PixelData=b"\7\0" * 20)
        with pytest.raises(ImageReadError, match="different images lie at the same place in 1 pos"):
            load_volume(folder)

    def test_of_a_position_that_was_imaged_again_the_later_image_is_taken(
        self, series: Write, volume: Volume
    ) -> None:
        """Also where the scanner numbers every image: one image is no acquisition."""
        folder = series(lambda d, k: setattr(d, "AcquisitionNumber", k))
        changes = {"SOPInstanceUID": "1.2.3.9", "PixelData": b"\7\0" * 20, "AcquisitionNumber": 99}
        self.double(folder, **changes)
        source = open_source(folder)
        assert sorted((s.count, s.is_volume) for s in source.series) == [(1, False), (6, True)]
        loaded = load_volume(folder)
        expected = volume.voxels.copy()
        expected[3] = loaded.voxels[3]
        assert len(np.unique(loaded.voxels[3])) == 1  # the second image is of one value
        np.testing.assert_array_equal(loaded.voxels, expected)
        assert (
            "1 position imaged again: the later image is shown (twice.dcm in place of"
            in (loaded.warnings[0])
        )
        (left,) = source.skipped
        assert left.reason == "an image of a position that was imaged again"

    def test_a_rotation_that_was_scanned_again_leaves_one_head(self, tmp_path: Path) -> None:
        """A sequential scan numbers each rotation; the second one moved and was scanned again."""
        folder = tmp_path / "head"
        folder.mkdir()

        def rotation(dataset: pydicom.Dataset, k: int) -> None:
            dataset.AcquisitionNumber = 1 + k // 4

        mixed.add(folder, "a", mixed.body(24), rotation)

        def again(dataset: pydicom.Dataset, k: int) -> None:
            dataset.AcquisitionNumber = 9
            dataset.SOPInstanceUID = f"1.2.3.{k}"

        second = mixed.add(folder, "b", mixed.body(24, 120), again)
        for path in (*second[:4], *second[8:]):
            path.unlink()
        source = open_source(folder)
        assert sorted((s.count, s.is_volume) for s in source.series) == [(4, True), (24, True)]
        loaded = load_volume(folder)
        assert any("4 positions imaged again" in said for said in loaded.warnings)
        tops = loaded.voxels.max(axis=(1, 2))
        assert np.flatnonzero(tops == 120).tolist() == [16, 17, 18, 19]  # sorted from below

    def test_pixels_are_read_once_however_many_images_lie_at_one_place(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = tmp_path / "phases"
        folder.mkdir()
        for phase in range(6):
            mixed.add(folder, f"p{phase}", mixed.body(3, 80 + phase), lambda _d, _k: None)
        read: list[object] = []
        real = duplicates.stored_bytes
        monkeypatch.setattr(
            duplicates, "stored_bytes", lambda frame: read.append(frame) or real(frame)
        )
        source = open_source(folder)
        assert not any(s.is_volume for s in source.series)
        assert len(read) == len(set(read)) <= 18
        asked = 0

        def enough() -> bool:
            nonlocal asked
            asked += 1
            return asked > 18 + 3  # headers are read by then

        with pytest.raises(Cancelled):
            open_source(folder, cancelled=enough)

    def test_two_days_with_one_series_uid_are_two_series(self, tmp_path: Path) -> None:
        folder = tmp_path / "days"
        folder.mkdir()
        for day in ("1", "2"):

            def edit(dataset: pydicom.Dataset, k: int, day: str = day) -> None:
                dataset.StudyInstanceUID, dataset.StudyDate = f"1.9.{day}", f"2020010{day}"
                dataset.SeriesInstanceUID = "1.9.9"
                dataset.ImagePositionPatient[2] += 0.5 * int(day)

            mixed.add(folder, day, mixed.body(8, 80 + int(day)), edit)
        found = open_source(folder).series
        assert [s.count for s in found] == [8, 8]
        assert {s.info.study_date for s in found} == {"20200101", "20200102"}

    @pytest.mark.parametrize(
        ("keyword", "values", "name"),
        [
            ("AcquisitionNumber", (1, 2), "acquisition 1"),
            ("TemporalPositionIdentifier", (1, 2), "time 1"),
            ("NominalPercentageOfCardiacPhase", (40, 75), "cardiac phase 40"),
            ("TriggerTime", (310, 650), "trigger time 310"),
            ("ScanOptions", ("TP0PC", "TP40PC"), "scan options TP0PC"),
            ("ConvolutionKernel", ("Br40", "Br60"), "kernel Br40"),
        ],
    )
    def test_two_acquisitions_in_one_series_become_two_volumes(
        self, series: Write, keyword: str, values: tuple[object, object], name: str
    ) -> None:
        folder = series(lambda d, _k: setattr(d, keyword, values[0]))

        def second(dataset: pydicom.Dataset, _k: int) -> None:
            setattr(dataset, keyword, values[1])
            dataset.PixelData = b"\7\0" * 20

        other = series(second, name="second")
        uid = list_series(folder)[0].info.series_uid
        for path in other.iterdir():
            dataset = pydicom.dcmread(path)
            dataset.SeriesInstanceUID = uid
            dataset.save_as(folder / f"second_{path.name}")
        one, two = list_series(folder)
        assert (one.count, two.count) == (6, 6)
        assert one.part == name
        assert load_volume(folder, series=two).value_range == (7, 7)
        assert load_volume(folder, series=one).value_range == (-60, 59)


def test_series_whose_uids_were_removed_are_told_apart_by_what_is_left(series: Write) -> None:
    def anonymous(dataset: pydicom.Dataset, _k: int) -> None:
        dataset.SeriesInstanceUID = dataset.StudyInstanceUID = dataset.SOPInstanceUID = ""

    series(anonymous, of=block(4, "1"), name="study/a")
    series(anonymous, of=block(6, "2"), name="study/b")
    folder = series(name="x").parent / "study"
    assert [s.count for s in list_series(folder)] == [4, 6]
