"""Scans at the same places are told apart by any attribute that can, and the choice is shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedCTImageStorage

from med2e3.cli import main
from med2e3.io import Source, Watch, load_volume, open_source
from med2e3.io.dicom.telling import LATER, MOMENT, ORDERED
from med2e3.io.series import SeriesSummary
from tests.med2e3.io.mixed import add, body

Edit = Callable[[pydicom.Dataset, int, int], Any]

#: Slices of each scan.
COUNT = 12


def scans(folder: Path, edit: Edit, number: int = 2) -> Source:
    """Scans at the same places in one series, of values 80, 81, …; `edit(dataset, k, scan)`."""
    folder.mkdir()
    for scan in range(number):
        one = body(COUNT, 80 + scan)
        one.voxels[:3] = -1024  # the same air in all: no copy
        one.voxels[3:, 0, 0] = np.arange(COUNT - 3)  # and no two images alike else
        add(folder, f"s{scan}", one, lambda d, k, n=scan: edit(d, k, n))
    return open_source(folder)


def is_told_apart(source: Source, number: int = 2) -> tuple[SeriesSummary, ...]:
    """Check that each scan is a volume of its own values, none mixed."""
    assert [(s.count, s.is_volume) for s in source.series] == [(COUNT, True)] * number, [
        s.reason for s in source.series
    ]
    tops = [source.load(s, Watch()).voxels.max(axis=(1, 2)) for s in source.series]
    for scan, top in enumerate(tops):
        assert set(top.tolist()) == {-1024, 80 + scan}
    assert source.skipped == ()
    return source.series


def clock(k: int, scan: int) -> str:
    """Half a second an image, a minute a scan."""
    return (
        f"1015{k // 2:02d}.{k % 2 * 50:02d}" if scan == 0 else f"1016{k // 2:02d}.{k % 2 * 50:02d}"
    )


def day(time: str) -> str:
    return f"20260301{time}"


@pytest.mark.parametrize("row", [*MOMENT, *LATER], ids=lambda row: row.keyword)
def test_every_attribute_of_the_tables_tells_apart(tmp_path: Path, row: Any) -> None:
    vr = pydicom.datadict.dictionary_VR(row.keyword)
    values: dict[str, tuple[Any, Any]] = {
        "IS": (1, 2), "DS": (10.5, 70.5), "FD": (10.5, 70.5), "FL": (10.5, 70.5), "US": (1, 2),
        "TM": ("101500", "101600"), "CS": ("ONE", "TWO"), "UI": ("1.2.3", "1.2.4"),
    }  # fmt: skip
    pair = values.get(vr, ("one", "two"))

    def edit(dataset: pydicom.Dataset, _k: int, scan: int) -> None:
        dataset.add_new(tag_for_keyword(row.keyword), vr, pair[scan])

    one, two = is_told_apart(scans(tmp_path / "s", edit))
    assert one.part != two.part
    assert row.name in one.split_by


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        ("acquired at", lambda d, k, n: setattr(d, "AcquisitionTime", clock(k, n))),
        ("made at", lambda d, k, n: setattr(d, "ContentTime", clock(k, n))),
        ("stored at", lambda d, k, n: setattr(d, "InstanceCreationTime", clock(k, n))),
        ("acquired at", lambda d, k, n: setattr(d, "AcquisitionDateTime", day(clock(k, n)))),
        (
            "acquired at",
            lambda d, k, n: setattr(d, "FrameAcquisitionDateTime", day(clock(k, n))),
        ),
        (
            "reference time",
            lambda d, k, n: setattr(d, "FrameReferenceDateTime", day(clock(k, n))),
        ),
        ("frame time", lambda d, k, n: setattr(d, "FrameReferenceTime", 1000 * n + 10 * k)),
        ("trigger time", lambda d, k, n: setattr(d, "TriggerTime", 310 + 340 * n + k * 7 % 5)),
        ("instance number", lambda d, k, n: setattr(d, "InstanceNumber", 1 + k + COUNT * n)),
        ("instance number", lambda d, k, n: setattr(d, "InstanceNumber", 1 + n + 2 * k)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_values_of_each_image_tell_scans_apart_by_their_order(
    tmp_path: Path, name: str, edit: Edit
) -> None:
    source = scans(tmp_path / "s", edit)
    one, two = is_told_apart(source)
    assert one.part.startswith(name)
    assert one.part != two.part
    assert one.split_by.startswith(f"{name}: ")
    said = source.load(one, Watch()).warnings
    assert any(f"only the order of their images tells them apart ({name}: " in w for w in said)


def test_the_times_of_the_scans_are_shown(tmp_path: Path) -> None:
    source = scans(tmp_path / "s", lambda d, k, n: setattr(d, "AcquisitionTime", clock(k, n)))
    assert [s.part for s in source.series] == [
        "acquired at 10:15:00 to 10:15:05.50", "acquired at 10:16:00 to 10:16:05.50",
    ]  # fmt: skip


def test_a_second_scan_of_the_other_direction_begins_where_the_first_ends(tmp_path: Path) -> None:
    def edit(dataset: pydicom.Dataset, k: int, scan: int) -> None:
        dataset.AcquisitionTime = clock(k if scan == 0 else COUNT - 1 - k, scan)

    is_told_apart(scans(tmp_path / "s", edit))


def test_midnight_lies_between_two_scans(tmp_path: Path) -> None:
    def edit(dataset: pydicom.Dataset, k: int, scan: int) -> None:
        dataset.AcquisitionDate = ("20260301", "20260302")[scan]
        dataset.AcquisitionTime = (f"2359{k:02d}", f"0001{k:02d}")[scan]

    is_told_apart(scans(tmp_path / "s", edit))


def test_whole_seconds_make_no_scans_of_two_images(tmp_path: Path) -> None:
    """Two images a second: their times are equal in pairs, and a pair is no scan."""

    def edit(dataset: pydicom.Dataset, k: int, scan: int) -> None:
        dataset.AcquisitionTime = f"10{15 + scan}{k // 2:02d}"

    is_told_apart(scans(tmp_path / "s", edit))


def test_a_place_that_is_imaged_again_and_again_gives_a_volume_a_turn(tmp_path: Path) -> None:
    """Cine: all images of a place follow each other, then the table moves."""

    def edit(dataset: pydicom.Dataset, k: int, scan: int) -> None:
        dataset.AcquisitionTime = f"1015{(3 * k + scan):02d}"

    one, *_ = is_told_apart(scans(tmp_path / "s", edit, 3), 3)
    assert one.part == "acquired at 1 of 3 at each place"


def test_an_attribute_that_no_table_names_tells_apart_too(tmp_path: Path) -> None:
    def edit(dataset: pydicom.Dataset, _k: int, scan: int) -> None:
        dataset.add_new((0x0019, 0x0010), "LO", "SOMEBODY")
        dataset.add_new((0x0019, 0x1027), "LO", f"energy {scan}")

    one, _ = is_told_apart(scans(tmp_path / "s", edit))
    assert one.split_by == "(0019,1027): energy 0 / energy 1"


def enhanced(folder: Path, timed: bool) -> Path:
    """One file with the frames of two scans, of which each may state when it was acquired."""
    source = scans(folder / "classic", lambda d, _k, n: setattr(d, "AcquisitionNumber", n + 1))
    classic = [pydicom.dcmread(s.path) for one in source.scan.series for s in one.slices]
    dataset = classic[0].copy()
    shared, frames = Dataset(), []
    for sequence, keywords in (
        ("PixelMeasuresSequence", ("PixelSpacing", "SliceThickness")),
        ("PlaneOrientationSequence", ("ImageOrientationPatient",)),
        ("PixelValueTransformationSequence", ("RescaleSlope", "RescaleIntercept", "RescaleType")),
    ):
        item = Dataset()
        for keyword in keywords:
            item[keyword] = dataset[keyword]
            del dataset[keyword]
        setattr(shared, sequence, [item])
    for k, one in enumerate(classic):
        place, content, frame = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = one.ImagePositionPatient
        if timed:
            content.FrameAcquisitionDateTime = f"20260301{clock(k % COUNT, k // COUNT)}"
        frame.PlanePositionSequence, frame.FrameContentSequence = [place], [content]
        frames.append(frame)
    del dataset.ImagePositionPatient, dataset.AcquisitionNumber
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    dataset.NumberOfFrames = len(frames)
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = frames
    dataset.PixelData = b"".join(one.PixelData for one in classic)
    (folder / "one").mkdir()
    dataset.save_as(folder / "one" / "all.dcm")
    return folder / "one"


def test_frames_of_one_file_by_their_own_times(tmp_path: Path) -> None:
    one, _ = is_told_apart(open_source(enhanced(tmp_path, timed=True)))
    assert one.part.startswith("acquired at 10:15:00")


def test_frames_of_one_file_that_nothing_tells_apart_are_named_by_their_numbers(
    tmp_path: Path,
) -> None:
    (only,) = open_source(enhanced(tmp_path, timed=False)).series
    assert not only.is_volume
    assert f"all.dcm (frame 4) and all.dcm (frame {COUNT + 4})" in only.reason


def test_three_images_of_one_place_are_one_position(tmp_path: Path) -> None:
    source = scans(tmp_path / "s", lambda _d, _k, _n: None, 3)
    (only,) = source.series
    assert f"at the same place in {COUNT - 3} positions" in only.reason
    assert "s0_011.dcm and s1_011.dcm and s2_011.dcm" in only.reason


@pytest.mark.parametrize("by", ["KVP", "AcquisitionNumber", "StackID"])
def test_energies_between_each_other_are_apart(tmp_path: Path, by: str) -> None:
    """Shifted by half a step, no place comes twice; stacked they would alternate."""

    def edit(dataset: pydicom.Dataset, _k: int, scan: int) -> None:
        dataset.add_new(tag_for_keyword(by), pydicom.datadict.dictionary_VR(by), str(80 + scan))
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, y, z + 1.5 * scan]

    is_told_apart(scans(tmp_path / "s", edit))


@pytest.mark.parametrize("back", [False, True])
def test_scans_between_each_other_are_apart_by_the_times_of_their_images(
    tmp_path: Path, back: bool
) -> None:
    def edit(dataset: pydicom.Dataset, k: int, scan: int) -> None:
        dataset.AcquisitionTime = clock(COUNT - 1 - k if scan and back else k, scan)
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, y, z + 1.5 * scan]

    one, _ = is_told_apart(scans(tmp_path / "s", edit))
    assert one.part == "acquired at 10:15:00 to 10:15:05.50"


def test_one_scan_in_one_direction_stays_one(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    add(folder, "s", body(24), lambda d, k: setattr(d, "AcquisitionTime", f"1015{k:02d}"))
    (only,) = open_source(folder).series
    assert (only.count, only.split_by) == (24, "")


class TestTheReaderChooses:
    def folder(self, tmp_path: Path) -> Path:
        scans(tmp_path / "s", lambda d, _k, n: setattr(d, "KVP", (80, 140)[n]))
        return tmp_path / "s"

    def test_by_what_splits_them_or_by_place(self, tmp_path: Path) -> None:
        folder = self.folder(tmp_path)
        for wanted, top in (
            ("tube voltage 80", 80), ("Tube Voltage 140", 81), ("#1", 80), ("#2", 81),
        ):  # fmt: skip
            assert load_volume(folder, series=wanted).voxels.max() == top

    def test_a_name_of_both_says_which_is_open(self, tmp_path: Path) -> None:
        volume = load_volume(self.folder(tmp_path), series="4")
        assert any(
            said.endswith(
                "is open. The same name have: "
                '#2 Series 4 "Abdomen portal venous" (tube voltage 140).'
            )
            for said in volume.warnings
        )

    def test_on_the_command_line(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        folder = str(self.folder(tmp_path))
        assert main(["series", folder]) == 0
        listed = capsys.readouterr().out
        assert "1  Abdomen portal venous, tube voltage 80  (12 images)" in listed
        for wanted, top in (("#2", 81), ("tube voltage 140", 81), ("tube voltage 80", 80)):
            assert main(["info", folder, "--series", wanted]) == 0
            assert f"values -1024 to {top} HU" in capsys.readouterr().out


def test_each_row_says_why_and_has_a_keyword_of_the_standard() -> None:
    for row in (*MOMENT, *LATER):
        assert tag_for_keyword(row.keyword), row.keyword
        assert row.why
    for ordered in ORDERED:
        words = [w for k in ordered.keywords for w in ((k,) if isinstance(k, str) else k)]
        assert all(map(tag_for_keyword, words)), words
        assert ordered.why
