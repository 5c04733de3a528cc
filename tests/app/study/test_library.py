"""The study browser in the real window: what is listed, opened, split, joined and left out."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent, QGuiApplication
from PySide6.QtTest import QTest

from app.services import studies
from app.viewmodels.annotation import kinds
from app.viewmodels.annotation.model import Annotation
from app.viewmodels.images.compare import Link
from app.viewmodels.study.browser import browse
from app.viewmodels.study.study import Target
from app.views.study.study_browser import PICTURE, ROW
from med2e3.errors import ImageReadError
from med2e3.geometry import Plane
from med2e3.io import budget, write_nifti
from med2e3.io.dicom import header_pool
from med2e3.io.series import Grouping, SeriesFacts, SeriesSummary
from med2e3.measures import SlicePlane
from med2e3.volume import SeriesInfo
from tests.app.bodies import SHAPE, phantom
from tests.med2e3.io.mixed import add, body, mixed, scout, two_kernels


def rows(gui: Any) -> list[Any]:
    return [item.data(0, ROW) for item in gui.window.series.tree.items]


def row(gui: Any, words: str) -> Any:
    return next(r for r in rows(gui) if words in "\n".join(r.lines))


def click(gui: Any, words: str) -> None:
    tree = gui.window.series.tree
    item = next(i for i in tree.items if words in i.text(0))
    tree.scrollToItem(item)
    place = tree.visualItemRect(item).center()
    gui.do(lambda: QTest.mouseClick(tree.viewport(), Qt.MouseButton.LeftButton, pos=place))


def drop(gui: Any, *paths: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    copy, none = Qt.DropAction.CopyAction, Qt.KeyboardModifier.NoModifier
    event = QDropEvent(QPointF(400, 300), copy, data, Qt.MouseButton.LeftButton, none)
    gui.do(lambda: gui.window.dropEvent(event))
    gui.until(lambda: gui.study.loading is None)


class TestAMixedFolder:
    @pytest.fixture
    def opened(self, gui: Any, tmp_path: Path) -> Any:
        assert gui.open(mixed(tmp_path / "mixed"))
        return gui

    def test_every_stack_is_listed_with_what_it_is(self, opened: Any) -> None:
        volumes = [r for r in rows(opened) if r.summary.is_volume]
        assert len(volumes) == 5
        soft = row(opened, "axial, kernel B30f")
        assert soft.lines[1:] == ("12 slices · 3 mm · axial", "axial, kernel B30f · portal venous?")
        assert row(opened, "coronal").facts.startswith("8 slices · 3 mm · coronal")
        assert row(opened, "scout").facts == "CT · scout"
        assert row(opened, "Dose report").facts == "SR · dose report (SR)"

    def test_what_was_left_out_is_said_and_listed_by_file(self, opened: Any) -> None:
        panel = opened.window.series
        assert panel.skipped.text() == "1 file left out…"
        opened.do(panel.skipped.click)
        dialog = panel.dialog
        assert dialog.isVisible()
        assert not dialog.isModal()
        # The scout and the report of the dose are seen by themselves.
        assert [dialog.list.topLevelItem(k).text(0) for k in range(1)] == ["readme.txt"]
        assert dialog.list.topLevelItemCount() == 1
        assert dialog.head.text() == "1 file left out: 1 text file"
        opened.do(dialog.copy.click)
        assert "readme.txt\ttext file\tnot DICOM" in QGuiApplication.clipboard().text()
        opened.do(dialog.hide)

    def test_the_largest_ct_is_open_and_each_other_opens_by_a_click(self, opened: Any) -> None:
        assert opened.viewer.volume.voxels.max() in (40, 60)
        click(opened, "acquisition 2")
        opened.until(lambda: opened.viewer.volume.voxels.max() == 120)
        click(opened, "coronal")
        opened.until(lambda: opened.viewer.volume.geometry.plane is Plane.CORONAL)
        assert row(opened, "coronal").is_open

    def test_a_scout_and_a_report_leave_the_open_series_alone(self, opened: Any) -> None:
        before = opened.study.chosen
        click(opened, "CT · scout")
        click(opened, "Dose report")
        assert opened.study.chosen is before
        assert opened.study.loading is None

    def test_the_reason_for_the_split_is_shown(self, opened: Any) -> None:
        reason = opened.window.series.reason
        assert reason.isVisible()
        assert reason.text() == "Split by orientation: axial / coronal; kernel: B30f / B70f"

    def test_each_series_gets_the_picture_of_its_middle_slice(self, opened: Any) -> None:
        tree = opened.window.series.tree
        wanted = [i for i in tree.items if i.data(0, ROW).summary.is_volume]
        opened.until(lambda: all(i.data(0, PICTURE) is not None for i in wanted))
        image = wanted[0].data(0, PICTURE).toImage()
        centre = image.pixelColor(image.width() // 2, image.height() // 2)
        corner = image.pixelColor(1, 1)
        assert centre.value() > 100 > 20 > corner.value()

    def test_search_keeps_what_holds_all_words(self, opened: Any) -> None:
        search = opened.window.series.search
        opened.do(lambda: QTest.keyClicks(search, "liver 2026-03"))
        assert len(rows(opened)) == 2
        opened.do(search.clear)
        opened.do(lambda: QTest.keyClicks(search, "B70f"))
        assert [r.summary.facts.kernel for r in rows(opened)] == ["B70f"]
        opened.do(search.clear)
        assert len(rows(opened)) == 7


def test_a_split_is_joined_and_split_again_in_the_window(gui: Any, tmp_path: Path) -> None:
    folder = tmp_path / "t"
    add(folder, "s", body(), lambda d, k: setattr(d, "SliceThickness", 3 if k < 6 else 5))
    assert gui.open(folder)
    gui.until(lambda: gui.viewer.volume.shape[0] == 6 and gui.window.series.ways.count())
    button = gui.window.series.ways.itemAt(0).widget()
    assert button.text() == "Join again"
    gui.do(button.click)
    gui.until(lambda: gui.viewer.volume.shape[0] == 12)
    assert len(rows(gui)) == 1
    button = gui.window.series.ways.itemAt(0).widget()
    assert button.text() == "Split again"
    gui.do(button.click)
    gui.until(lambda: gui.viewer.volume.shape[0] == 6)
    assert len(rows(gui)) == 2


def test_parts_of_two_thicknesses_are_joined_by_resampling(gui: Any, tmp_path: Path) -> None:
    """Eight slices of 4 mm and six of 7 mm above them: nothing is missing between them."""
    folder = tmp_path / "t"
    places = [4.0 * k for k in range(8)] + [28 + 7.0 * k for k in range(1, 7)]

    def edit(dataset: pydicom.Dataset, k: int) -> None:
        dataset.SliceThickness = 4 if k < 8 else 7
        dataset.ImagePositionPatient = [0, 0, places[k]]

    add(folder, "s", body(14), edit)
    assert gui.open(folder)
    assert gui.viewer.volume.shape[0] == 8
    gui.do(gui.window.series.ways.itemAt(0).widget().click)
    gui.until(lambda: gui.viewer.volume.shape[0] > 14)
    assert len(rows(gui)) == 1
    assert not gui.window.errors.isVisible()
    said = " ".join(gui.viewer.volume.warnings)
    assert "the slices are 4 mm and 7 mm thick" in said
    assert "missing" not in said


def test_a_scout_of_the_series_does_not_keep_it_from_being_joined(gui: Any, tmp_path: Path) -> None:
    folder = tmp_path / "t"
    add(folder, "s", body(), lambda d, k: setattr(d, "SliceThickness", 3 if k < 6 else 5))
    scout(folder)
    assert gui.open(folder)
    gui.do(gui.window.series.ways.itemAt(0).widget().click)
    gui.until(lambda: gui.viewer.volume.shape[0] == 12)
    assert not gui.window.errors.isVisible()


def test_what_is_joined_while_another_series_opens_stays_joined(
    gui: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, go_on, load = tmp_path / "t", threading.Event(), studies._load
    add(folder, "s", body(), lambda d, k: setattr(d, "SliceThickness", 3 if k < 6 else 5))
    for name, count in (("Other", 15), ("Open", 20)):
        add(folder, name, body(count, series_description=name), uid=f"1.2.{count}")
    assert gui.open(folder)
    assert gui.study.chosen.key == ("1.2.20",)
    split = next(s for s in gui.study.series if s.ways)
    assert len(rows(gui)) == 4

    def slow(*given: Any) -> Any:
        go_on.wait(10)
        return load(*given)

    monkeypatch.setattr(studies, "_load", slow)
    click(gui, "Other")
    gui.until(lambda: gui.study.loading is not None)
    gui.do(lambda: gui.study.regroup(split, split.ways[0]))
    go_on.set()
    gui.until(lambda: gui.study.chosen is not None and gui.study.chosen.key == ("1.2.15",))
    gui.until(lambda: len(rows(gui)) == 3)
    assert [r.is_open for r in rows(gui)].count(True) == 1
    assert gui.viewer.volume.shape[0] == 15


def test_kernels_at_the_same_places_stay_apart_and_it_is_said(gui: Any, tmp_path: Path) -> None:
    assert gui.open(two_kernels(tmp_path / "k"))
    before, chosen = gui.viewer.volume, gui.study.chosen
    assert gui.window.series.ways.count() == 0  # joining them would change nothing
    gui.do(lambda: gui.study.regroup(chosen, Grouping.JOINED))
    gui.until(gui.window.errors.isVisible)
    assert "different images lie at the same place" in gui.window.errors.sentence.text()
    assert gui.viewer.volume is before
    assert len(rows(gui)) == 2


def test_several_dropped_items_open_as_one_list(gui: Any, tmp_path: Path) -> None:
    add(tmp_path / "a", "a", body(5, series_description="First"), uid="1.2.1")
    add(tmp_path / "b", "b", body(7, series_description="Second"), uid="1.2.2")
    nifti = write_nifti(phantom(), tmp_path / "third.nii")
    drop(gui, tmp_path / "a", tmp_path / "b", nifti)
    titles = [r.title for r in rows(gui)]
    assert [words for words in ("First", "Second", "third.nii") if any(words in t for t in titles)]
    assert len(titles) == 3
    click(gui, "third.nii")
    gui.until(lambda: gui.viewer.volume.shape == SHAPE)


def test_priors_of_the_patient_are_marked_and_newest_comes_first(gui: Any, tmp_path: Path) -> None:
    for date in ("20240105", "20260301", "20250610"):
        made = body(5 + int(date[3]), study_date=date, study_uid=f"1.2.{date}")
        add(tmp_path / "p", date, made, uid=f"1.3.{date}")
    assert gui.open(tmp_path / "p")
    click(gui, row(gui, "Abdomen").title)
    tree = gui.window.series.tree
    studies = [tree.topLevelItem(k).data(0, ROW) for k in range(3)]
    assert [s.title[:10] for s in studies] == ["2026-03-01", "2025-06-10", "2024-01-05"]
    gui.until(
        lambda: gui.study.chosen is not None and gui.study.chosen.info.study_date == "20260301"
    )
    studies = [tree.topLevelItem(k).data(0, ROW) for k in range(3)]
    assert [s.mark for s in studies] == ["", "prior", "prior"]


def test_a_prior_in_another_folder_is_one_beside_the_study_that_is_still_open(
    gui: Any, tmp_path: Path
) -> None:
    for date in ("20260301", "20240105"):
        made = body(5, study_date=date, study_uid=f"1.2.{date}", patient_id="A")
        add(tmp_path / date, date, made, uid=f"1.3.{date}")
    assert gui.open(tmp_path / "20260301")
    now, seen = gui.study.chosen, []
    tree = gui.window.series.tree
    gui.study.changed.connect(
        lambda: seen.append(gui.study.chosen is now and tree.topLevelItem(0).data(0, ROW).mark)
    )
    assert gui.open(tmp_path / "20240105")
    assert "prior" in seen
    assert not gui.window.errors.isVisible()


def test_two_patients_with_one_id_are_no_priors_and_comparing_them_says_so(
    gui: Any, tmp_path: Path
) -> None:
    for k, (name, born) in enumerate((("Alpha^Anna", "19500101"), ("Beta^Bert", "19600606"))):
        made = body(
            6 - k, study_date=f"202{5 - k}0301", study_uid=f"1.2.{k}", patient_id="ANON",
            patient_name=name, patient_birth_date=born, series_description=name[:4],
        )  # fmt: skip
        add(tmp_path / "anon", name, made, uid=f"1.3.{k}")
    assert gui.open(tmp_path / "anon")
    click(gui, "Alph")
    gui.until(lambda: gui.viewer.volume.info.patient_name == "Alpha^Anna")
    listed = browse(gui.study.series, gui.study.chosen)
    assert [row.title for row in listed] == ["Alpha Anna", "Beta Bert"]
    assert [study.mark for row in listed for study in row.studies] == ["", ""]
    gui.do(lambda: gui.study.open_beside(row(gui, "Beta").summary))
    compare, pane = gui.workspace.compare, gui.window.centre.compare
    gui.until(lambda: compare.active)
    assert compare.link is Link.FRAME
    assert pane.note.text() == (
        "Different patients: Alpha Anna (ANON · 1950-01-01) and Beta Bert (ANON · 1960-06-06). "
        "Linked by frame of reference"
    )
    assert pane.note.property("warning")
    assert [title.text() for title in pane.titles if title.text()] == [
        "Alpha Anna  2025-03-01  Alph",
        "Beta Bert  2024-03-01  Beta",
    ]


@pytest.mark.parametrize(
    ("day", "time", "mark"),
    [
        ("20260301", "080000", "prior"),
        ("20260301", "170000.5", "later"),
        ("20260301", "120000", "same day"),
        ("20260301", "", "same day"),
        ("20260302", "", "later"),
        ("20260228", "", "prior"),
        ("", "", "prior"),
    ],
)
def test_a_study_is_prior_or_later_by_what_any_of_its_series_says(
    gui: Any, day: str, time: str, mark: str
) -> None:
    """A report comes first, as where its number is 1, and gives no time."""

    def made(uid: str, day: str, time: str, words: str) -> SeriesSummary:
        info = SeriesInfo(patient_id="A", study_uid=uid, study_date=day, series_description=words)
        return SeriesSummary(info, 5, (5, 4, 4), facts=SeriesFacts(study_time=time))

    chosen = made("1.1", "20260301", "120000", "Open")
    others = [replace(made("1.2", day, "", "Report"), is_volume=False)]
    others.append(made("1.2", day, time, "Other"))
    for words, first in (("", "Report"), ("report", "Report"), ("other", "Other")):
        (patient,) = browse([*others, chosen], chosen, words)
        study = next(s for s in patient.studies if s.series[0].title.endswith(first))
        assert study.mark == mark
    gui.do(lambda: gui.window.series.tree.show_rows(browse([*others, chosen], chosen)))
    tree = gui.window.series.tree
    marks = {tree.topLevelItem(k).data(0, ROW).mark for k in range(tree.topLevelItemCount())}
    assert marks == {"", mark}


def test_a_series_can_be_chosen_while_the_rest_is_scanned(
    gui: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scan stands still half-way until the chosen series is open; then it grows by a slice."""
    monkeypatch.setattr("med2e3.io.dicom.reader.REPORT_EVERY_S", 0.0)
    monkeypatch.setattr("med2e3.io.dicom.reader.SCAN_TO_REPORT", 0)
    folder = tmp_path / "s"
    add(folder / "1", "a", body(5), uid="1.2.1")
    late = add(folder / "2", "b", body(6), uid="1.2.2")
    late[-1].rename(folder / "2" / "z.dcm")
    original, opened = header_pool.read_header, []

    def waits(path: Path) -> Any:
        while path.name == "z.dcm" and not opened:
            pass
        return original(path)

    monkeypatch.setattr(header_pool, "read_header", waits)

    async def choose() -> None:
        opening = asyncio.ensure_future(gui.study.open(Target(folder)))
        while not any(s.count == 5 and s.key == ("1.2.2",) for s in gui.study.series):
            await asyncio.sleep(0.002)
        gui.study.pick(next(s for s in gui.study.series if s.key == ("1.2.2",)))
        while gui.viewer.volume is None or gui.viewer.previewing:
            await asyncio.sleep(0.002)
        assert gui.viewer.volume.shape[0] == 5
        assert gui.study.scanning
        while book.volume is None:
            await asyncio.sleep(0.002)
        plane = SlicePlane.of_slice(gui.viewer.planes[Plane.AXIAL].geometry, 1)
        book.add(Annotation(kinds.PROBE, plane, (plane.origin_mm,)))
        opened.append(True)
        await opening

    book = gui.workspace.annotations
    gui.run(choose())
    gui.until(lambda: gui.viewer.volume.shape[0] == 6)
    assert not gui.study.scanning
    gui.until(lambda: book.volume is gui.viewer.volume)
    (drawn,) = book.document.annotations  # on one of the images that were there before
    assert book.reading(drawn).quantities


@pytest.mark.parametrize("damaged", [False, True])
def test_a_series_that_is_still_read_when_the_scan_ends_is_open_only_when_it_is(
    gui: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damaged: bool
) -> None:
    """What the scan finds after the click stays in the list; a failed series can be tried again."""
    monkeypatch.setattr("med2e3.io.dicom.reader.REPORT_EVERY_S", 0.0)
    monkeypatch.setattr("med2e3.io.dicom.reader.SCAN_TO_REPORT", 0)
    folder, load = tmp_path / "s", studies._load
    go_on, read = threading.Event(), threading.Event()
    for name, count in (("0", 5), ("1", 6)):
        add(folder / name, name, body(count), uid=f"1.2.{name}")
    for path in add(folder / "2", "late", body(7), uid="1.2.2"):
        path.rename(path.with_name(f"z{path.name}"))
    add(tmp_path / "former", "f", body(9), uid="1.9")
    assert gui.open(tmp_path / "former")
    former, study, header = gui.study.chosen, gui.study, header_pool.read_header

    def waits(path: Path) -> Any:
        if path.name.startswith("z"):
            go_on.wait(10)
        return header(path)

    def slow(*given: Any) -> Any:
        read.wait(10)
        if broken:
            raise ImageReadError("It is damaged.")
        return load(*given)

    async def choose() -> None:
        opening = asyncio.ensure_future(study.open(Target(folder)))
        while not any(s.key == ("1.2.1",) and s.count == 6 for s in study.series):
            await asyncio.sleep(0.002)
        study.pick(next(s for s in study.series if s.key == ("1.2.1",)))
        go_on.set()
        while study.scanning:
            await asyncio.sleep(0.002)
        await asyncio.sleep(0)
        assert len(study.series) == len(rows(gui)) == 3
        assert study.chosen is former
        assert gui.workspace.tags.slice_source().path.parent == tmp_path / "former"
        study.changed.connect(lambda: listed.append(len(study.series)))
        read.set()
        assert await opening is not damaged

    broken, listed = damaged, list[int]()
    monkeypatch.setattr(header_pool, "read_header", waits)
    monkeypatch.setattr(studies, "_load", slow)
    gui.run(choose())
    assert set(listed) == {3}
    assert len(rows(gui)) == 3
    if damaged:
        assert "damaged" in gui.window.errors.sentence.text()
        assert study.chosen is former
        broken = False
        click(gui, "6 slices")
        gui.until(lambda: study.loading is None)
    assert gui.viewer.volume.shape[0] == 6
    assert study.chosen in study.series
    assert gui.workspace.tags.slice_source().path.parent == folder / "1"


def test_too_large_a_series_is_refused_with_numbers_before_it_is_read(
    open_gui: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = open_gui.viewer.volume
    add(tmp_path / "big", "b", body(20))
    monkeypatch.setattr(budget, "free_bytes", lambda: budget.RESERVE_BYTES + 30_000)
    monkeypatch.setattr("med2e3.io.dicom.reader._load", lambda *_: pytest.fail("it was read"))
    assert not open_gui.open(tmp_path / "big")
    said = open_gui.window.errors.sentence.text()
    assert "20 slices of 28 × 32" in said
    assert "needs 0.0 MB of memory" in said
    assert "Close other programs" in said
    assert open_gui.viewer.volume is before


def test_lossy_images_are_marked_in_the_list_and_in_the_window(gui: Any, tmp_path: Path) -> None:
    def lossy(dataset: pydicom.Dataset, _k: int) -> None:
        dataset.LossyImageCompression = "01"
        dataset.LossyImageCompressionRatio = 15

    add(tmp_path / "l", "l", body(), lossy)
    assert gui.open(tmp_path / "l")
    assert "lossy: before it was stored 15:1" in rows(gui)[0].marks
    assert "compressed with loss" in gui.window.warnings.text.text()


def test_uneven_positions_are_marked_with_files_and_mm(gui: Any, tmp_path: Path) -> None:
    add(tmp_path / "gap", "s", body())[5].unlink()
    assert not gui.open(tmp_path / "gap")
    (only,) = rows(gui)
    assert "positions uneven or missing" in only.marks
    assert "s_006.dcm and s_004.dcm" in only.tip
    assert "6.00 mm where 3.00 mm is usual" in gui.window.errors.sentence.text()


def test_a_series_opens_beside_the_open_one_as_comparison(gui: Any, tmp_path: Path) -> None:
    assert gui.open(two_kernels(tmp_path / "k"))
    click(gui, "B30f")
    gui.until(lambda: gui.viewer.volume.voxels.max() == 40)
    compare = gui.workspace.compare
    menu = gui.window.series.menu_of(row(gui, "B70f"))
    action = next(a for a in menu.actions() if "beside" in a.text())
    gui.do(action.trigger)
    gui.until(lambda: compare.active)
    assert compare.other.volume.voxels.max() == 60
    assert gui.viewer.volume.voxels.max() == 40
    menu.deleteLater()


def test_kernel_series_of_an_archive_go_through_the_same_list(gui: Any, tmp_path: Path) -> None:
    import shutil

    two_kernels(tmp_path / "k")
    path = shutil.make_archive(str(tmp_path / "study"), "zip", tmp_path / "k")
    assert gui.open(Path(path))
    assert {r.summary.facts.kernel for r in rows(gui)} == {"B30f", "B70f"}
    click(gui, "B70f")
    gui.until(lambda: np.max(gui.viewer.volume.voxels) == 60)


def test_after_opening_the_arrow_keys_scroll_slices_not_the_list(gui: Any, tmp_path: Path) -> None:
    gui.window.activateWindow()
    assert gui.open(two_kernels(tmp_path / "k"))
    gui.do(gui.window.series.tree.setFocus)
    click(gui, "B70f")
    gui.until(lambda: gui.study.loading is None)
    before = gui.viewer.planes[Plane.AXIAL].slice_index
    focused = gui.window.focusWidget() or gui.window
    gui.do(lambda: QTest.keyClick(focused, Qt.Key.Key_Down))
    assert gui.viewer.planes[Plane.AXIAL].slice_index == before + 1
