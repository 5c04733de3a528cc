"""The tag browser in the real window: follows the slice, finds, copies; other formats too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pydicom
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QTreeWidgetItem

from app.views.study.tag_browser import NAME, NUMBER, VALUE
from med2e3.geometry import Plane
from tests.med2e3.io.mixed import add, body


def private_and_nested(dataset: pydicom.Dataset, k: int) -> None:
    dataset.ImageComments = f"slice {k}"
    block = dataset.private_block(0x0029, "MAKER", create=True)
    block.add_new(0x10, "LO", "a private value")
    item = pydicom.Dataset()
    item.CodeMeaning = "Spiral thorax"
    dataset.ProcedureCodeSequence = [item]


@pytest.fixture
def dialog(gui: Any, tmp_path: Path) -> Any:
    add(tmp_path / "s", "s", body(), private_and_nested)
    assert gui.open(tmp_path / "s")
    gui.do(gui.window.actions_by_name["tags"].trigger)
    shown = gui.window.tags
    gui.until(lambda: shown.tree.topLevelItemCount() > 20)
    return shown


def rows(dialog: Any) -> list[QTreeWidgetItem]:
    return [dialog.tree.topLevelItem(k) for k in range(dialog.tree.topLevelItemCount())]


def search(gui: Any, dialog: Any, words: str) -> list[QTreeWidgetItem]:
    gui.do(dialog.search.clear)
    gui.do(lambda: QTest.keyClicks(dialog.search, words))
    return rows(dialog)


def comment(dialog: Any) -> str:
    return next(row.text(VALUE) for row in rows(dialog) if row.text(NAME) == "Image Comments")


def test_it_shows_the_file_of_the_slice_and_follows_it(gui: Any, dialog: Any) -> None:
    assert not dialog.isModal()
    for index in (0, 7, 11):
        gui.do(lambda index=index: gui.viewer.go_to_slice(Plane.AXIAL, index))
        gui.until(lambda index=index: comment(dialog) == f"slice {index}")
        assert dialog.head.text() == f"s_{index:03d}.dcm"
        uid = next(r.text(VALUE) for r in rows(dialog) if r.text(NUMBER) == "0008,0018")
        turned = gui.viewer.planes[Plane.AXIAL].volume
        assert turned.slice_uids[index] == uid


@pytest.mark.parametrize("words", ["0020,4000", "00204000", "image comm", "SLICE 6"])
def test_search_is_by_number_keyword_or_value(gui: Any, dialog: Any, words: str) -> None:
    gui.do(lambda: gui.viewer.go_to_slice(Plane.AXIAL, 6))
    gui.until(lambda: comment(dialog) == "slice 6")
    assert [row.text(NAME) for row in search(gui, dialog, words)] == ["Image Comments"]


def test_private_tags_are_shown(gui: Any, dialog: Any) -> None:
    found = search(gui, dialog, "a private value")
    assert [row.text(NUMBER) for row in found] == ["0029,1010"]


def test_a_search_opens_the_sequence_that_holds_it(gui: Any, dialog: Any) -> None:
    (sequence,) = search(gui, dialog, "spiral")
    assert (sequence.text(NAME), sequence.isExpanded()) == ("Procedure Code Sequence", True)
    assert sequence.child(0).child(0).text(VALUE) == "Spiral thorax"


def test_a_value_is_copied(gui: Any, dialog: Any) -> None:
    (row,) = search(gui, dialog, "0010,0010")
    gui.do(lambda: dialog.tree.setCurrentItem(row))
    gui.do(lambda: QTest.keyClick(dialog.tree, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier))
    assert QGuiApplication.clipboard().text() == "Mixed^Folder"


def test_hidden_it_reads_nothing(gui: Any, dialog: Any) -> None:
    gui.do(dialog.hide)
    before = dialog.head.text()
    gui.do(lambda: gui.viewer.go_to_slice(Plane.AXIAL, 1))
    gui.do(lambda: None)
    assert dialog.head.text() == before
    gui.do(dialog.show)
    gui.until(lambda: dialog.head.text() == "s_001.dcm")


def test_a_nifti_shows_its_own_header(open_gui: Any) -> None:
    dialog = open_gui.do(open_gui.window.show_tags)
    open_gui.until(lambda: dialog.tree.topLevelItemCount() > 10)
    names = {row.text(NAME) for row in rows(dialog)}
    assert {"sizeof_hdr", "pixdim", "sform_code"} <= names


def test_a_resampled_volume_shows_the_nearest_acquired_file(gui: Any, tmp_path: Path) -> None:
    add(tmp_path / "gap", "s", body(), private_and_nested)[5].unlink()
    gui.open(tmp_path / "gap")
    gui.do(gui.window.errors.remedy.click)
    gui.until(lambda: gui.viewer.volume is not None and gui.study.loading is None)
    dialog = gui.do(gui.window.show_tags)
    gui.do(lambda: gui.viewer.go_to_slice(Plane.AXIAL, 9))
    gui.until(lambda: dialog.head.text() == "s_009.dcm")
