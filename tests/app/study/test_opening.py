"""Opening studies in the real window: dialogs aside, every way in, and every way it can fail."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog

from app.services import studies
from app.viewmodels.core.waiting import until
from app.viewmodels.study.study import Target
from app.views.study.study_browser import ROW
from med2e3.geometry import Geometry, Plane
from med2e3.io import write_dicom_series, write_nifti
from med2e3.io.suffixes import image_suffixes
from med2e3.volume import SeriesInfo, Volume
from tests.app.bodies import SHAPE, phantom


def drop(gui: Any, path: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    where, buttons = QPointF(400, 300), Qt.MouseButton.LeftButton
    copy, none = Qt.DropAction.CopyAction, Qt.KeyboardModifier.NoModifier
    event = QDropEvent(where, copy, data, buttons, none)
    gui.do(lambda: gui.window.dropEvent(event))
    gui.until(lambda: gui.study.loading is None)


def test_before_anything_is_open_the_window_says_what_to_drop(gui: Any) -> None:
    assert gui.window.centre.empty.isVisible()
    assert not gui.view(Plane.AXIAL).isVisible()


@pytest.mark.parametrize("kind", ["nifti", "dicom"])
def test_a_dropped_file_or_folder_opens(gui: Any, request: Any, kind: str) -> None:
    drop(gui, request.getfixturevalue(kind))
    assert gui.viewer.volume.shape == SHAPE
    assert gui.view(Plane.AXIAL).isVisible()


def test_the_title_and_the_list_name_the_series(gui: Any, dicom: Path) -> None:
    gui.open(dicom)
    assert gui.window.windowTitle() == "Test Phantom — Phantom — Med-2E3 viewer"
    panel = gui.window.series
    assert panel.patient.text() == "Test Phantom"
    (item,) = panel.tree.items
    assert f"{SHAPE[0]} slices" in item.text(0)


def test_another_series_of_the_place_opens_by_a_click(gui: Any, dicom: Path) -> None:
    small = Volume(
        np.zeros((5, 8, 8), np.int16),
        Geometry.from_spacing((5, 8, 8), (1, 1, 1)),
        SeriesInfo(modality="CT", series_description="Small", series_number="9"),
    )
    write_dicom_series(small, dicom / "small", seed="small")
    gui.open(dicom)
    assert gui.viewer.volume.shape == SHAPE
    panel = gui.window.series
    item = next(item for item in panel.tree.items if "Small" in item.text(0))
    summary, place = item.data(0, ROW).summary, panel.tree.visualItemRect(item).center()
    gui.do(lambda: QTest.mouseClick(panel.tree.viewport(), Qt.MouseButton.LeftButton, pos=place))
    gui.until(lambda: gui.study.chosen is summary)
    assert gui.viewer.volume.shape == (5, 8, 8)


def test_the_first_image_is_there_before_the_series(gui: Any, dicom: Path) -> None:
    seen = []
    gui.viewer.volume_changed.connect(lambda: seen.append(gui.viewer.previewing))
    gui.open(dicom)
    assert seen == [True, False]


def test_scrolling_while_a_series_loads_keeps_the_place(gui: Any, dicom: Path) -> None:
    async def scroll_on_preview() -> None:
        opening = asyncio.ensure_future(gui.study.open(Target(dicom)))
        await until(gui.viewer.volume_changed, lambda: gui.viewer.volume is not None)
        gui.viewer.go_to_slice(Plane.AXIAL, 3)
        assert await opening

    gui.run(scroll_on_preview())
    assert not gui.viewer.previewing
    assert gui.viewer.planes[Plane.AXIAL].slice_index == 3
    view = gui.view(Plane.AXIAL)
    mark = gui.viewer.planes[Plane.AXIAL].value_at(8, 10)
    assert mark == 900
    x, y = view.viewport().to_screen(8, 10)
    assert list(gui.pixels(view)[round(y), round(x)]) == [255, 255, 255]


def bad_inputs(folder: Path) -> dict[str, Path]:
    empty = folder / "empty"
    empty.mkdir()
    text = folder / "text.dcm"
    text.write_text("not an image", encoding="utf-8")
    truncated = folder / "truncated"
    files = write_dicom_series(phantom(), truncated, seed="truncated")
    files[4].write_bytes(files[4].read_bytes()[:-500])
    gap = folder / "gap"
    write_dicom_series(phantom(), gap, seed="gap")[7].unlink()
    return {
        "an empty folder": empty,
        "a text file": text,
        "a truncated slice": truncated,
        "a missing slice": gap,
        "nothing at all": folder / "nowhere",
    }


@pytest.mark.parametrize(
    "kind",
    ["an empty folder", "a text file", "a truncated slice", "a missing slice", "nothing at all"],
)
def test_bad_input_gives_one_message_and_leaves_what_was_open(
    open_gui: Any, tmp_path: Path, kind: str
) -> None:
    open_gui.do(lambda: open_gui.viewer.go_to_slice(Plane.AXIAL, 5))
    before = open_gui.viewer.volume
    turn = open_gui.ask()
    path = bad_inputs(tmp_path)[kind]
    assert not open_gui.open(path)
    bar = open_gui.window.errors
    assert bar.isVisible()
    assert len(bar.sentence.text()) > 20
    assert open_gui.viewer.volume is before
    assert open_gui.viewer.planes[Plane.AXIAL].slice_index == 5
    assert open_gui.assistant.shown is turn
    assert not open_gui.window.loading.isVisible()


def test_a_missing_slice_can_be_opened_with_resampling(gui: Any, tmp_path: Path) -> None:
    gui.open(bad_inputs(tmp_path)["a missing slice"])
    bar = gui.window.errors
    assert bar.remedy.isVisible()
    gui.do(bar.remedy.click)
    gui.until(lambda: gui.viewer.volume is not None and gui.study.loading is None)
    assert not bar.isVisible()
    assert gui.window.warnings.isVisible()


def test_opening_something_good_takes_the_message_away(gui: Any, tmp_path: Path) -> None:
    gui.open(tmp_path / "nothing")
    assert gui.window.errors.isVisible()
    gui.open(write_nifti(phantom(), tmp_path / "good.nii"))
    assert not gui.window.errors.isVisible()


def test_loading_can_be_cancelled_and_leaves_what_was_open(
    open_gui: Any, dicom: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = open_gui.viewer.volume
    original = studies._load

    def slow(source: Any, series: Any, context: Any, resample: bool) -> Any:
        while not context.cancelled():
            context.progress(0.5, "Reading slices")
        return original(source, series, context, resample)

    monkeypatch.setattr(studies, "_load", slow)
    open_gui.do(lambda: open_gui.study.start(Target(dicom)))
    bar = open_gui.window.loading
    open_gui.until(lambda: bar.isVisible() and "Reading slices" in bar.text.text())
    open_gui.do(bar.cancel.click)
    assert not bar.isVisible()
    assert open_gui.viewer.volume is before
    assert not open_gui.window.errors.isVisible()


def test_the_place_opened_last_wins(gui: Any, dicom: Path, tmp_path: Path) -> None:
    other = write_nifti(phantom("Other", value=500), tmp_path / "other.nii")

    async def both() -> list[bool]:
        return list(
            await asyncio.gather(gui.study.open(Target(dicom)), gui.study.open(Target(other)))
        )

    assert gui.run(both()) == [False, True]
    assert gui.viewer.volume.source == str(other)


def test_recent_places_are_remembered_with_the_latest_first(
    gui: Any, dicom: Path, nifti: Path
) -> None:
    gui.open(dicom)
    gui.open(nifti)
    gui.open(dicom)
    assert gui.workspace.settings.values.recent == [str(dicom), str(nifti)]


def test_warnings_of_a_volume_stay_while_it_is_open(gui: Any, tmp_path: Path, nifti: Path) -> None:
    folder = tmp_path / "mixed"
    write_dicom_series(phantom(), folder, seed="mixed")
    (folder / "notes.txt").write_text("hello", encoding="utf-8")
    gui.open(folder)
    assert "notes.txt" in gui.window.warnings.text.text()
    gui.open(nifti)
    assert not gui.window.warnings.isVisible()


def test_real_jpeg_2000_series_opens_in_true_proportions(gui: Any, shared: Path) -> None:
    assert gui.open(shared / "ct" / "body_j2k_dicom")
    state = gui.viewer.planes[Plane.CORONAL]
    assert state.count == 512
    rows, columns = state.pixels().shape
    _, _, width, height = state.viewport(400, 400).image_rect()
    assert width / height == pytest.approx((columns * 0.9765625) / (rows * 2.0), rel=1e-3)


def test_the_dialog_for_files_offers_every_format_that_opens(gui: Any) -> None:
    gui.do(gui.window.commands["open_files"])
    (dialog,) = gui.window.findChildren(QFileDialog)
    images, everything = dialog.nameFilters()
    offered = set(images.removeprefix("Images (").removesuffix(")").split())
    known = ["*.dcm", "*.nii", "*.nii.gz", "*.nrrd", "*.nhdr", "*.mha", "*.mhd", "*.npy", "*.zip"]
    assert set(known) <= offered
    assert offered == {f"*{suffix}" for suffix in image_suffixes()}
    assert everything == "All files (*)"
    gui.do(dialog.reject)
