"""Both sides of a comparison are measured, each on its own grid, with one order of undoing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from med2e3.geometry import Plane
from med2e3.io import write_dicom_series
from tests.app.bodies import phantom
from tests.app.images.test_compare import beside

__all__ = ["beside"]


def draw(gui: Any, view: Any, column: float = 28) -> None:
    """Draw a length of 20 rows in a view, by key and mouse."""
    gui.key(Qt.Key.Key_L, view)
    gui.drag(view, *[view.viewport().to_screen(row, column) for row in (10, 30)])


def test_each_side_is_measured_on_its_own_grid_and_undone_in_the_order_of_doing(
    beside: Any,
) -> None:
    pane, books = beside.window.centre.compare, beside.workspace.books
    first, second = books.first, books.second
    beside.until(lambda: first.volume is not None and second.volume is not None)
    plain = [beside.pixels(view) for view in (pane.first, pane.second)]
    draw(beside, pane.first)
    (drawn,) = first.document.annotations
    assert first.reading(drawn).quantities[0].value == pytest.approx(40.0, abs=1)
    assert (beside.pixels(pane.first) != plain[0]).any()
    assert not (beside.pixels(pane.second) != plain[1]).any()
    assert pane.second.cursor().shape() is Qt.CursorShape.CrossCursor
    draw(beside, pane.second)
    (beyond,) = second.document.annotations
    assert second.reading(beyond).quantities[0].value == pytest.approx(30.0, abs=1)  # 1.5 mm rows
    assert (beside.pixels(pane.second) != plain[1]).any()
    assert len(first.document.annotations) == 1
    panel = beside.window.measurements
    assert panel.side.isVisibleTo(panel)
    assert panel.list.topLevelItem(0).text(1) == second.reading(beyond).lines[0]
    beside.key(Qt.Key.Key_Delete, pane.second)
    assert not second.document.annotations
    for left in (1, 0):
        beside.do(beside.workspace.steps.undo)
        assert len(second.document.annotations) == left
    beside.do(beside.workspace.steps.undo)
    assert not first.document.annotations


def test_a_measurement_of_the_series_beside_names_it_in_the_report(beside: Any) -> None:
    pane, books = beside.window.centre.compare, beside.workspace.books
    beside.until(lambda: books.second.volume is not None)
    draw(beside, pane.second)
    beside.do(beside.window.measurements.to_report.click)
    report = beside.workspace.report
    assert "2024-01-31 Prior" in report.text
    assert beside.window.measurements.said.isVisibleTo(beside.window.measurements)
    beside.do(beside.window.measurements.to_report.click)
    assert report.text.count("Length") == 1


def test_what_was_drawn_on_a_series_is_there_when_it_stands_beside_another(
    gui: Any, tmp_path: Path
) -> None:
    for name in ("now", "then"):
        write_dicom_series(phantom(name), tmp_path / "both" / name, seed=name)
    gui.open(tmp_path / "both")
    books, study = gui.workspace.books, gui.study
    gui.until(lambda: books.first.volume is not None)
    draw(gui, gui.view(Plane.AXIAL))
    uid = books.first.document.annotations[0].uid
    drawn_on = study.chosen
    other = next(one for one in study.series if one is not drawn_on)
    gui.do(lambda: study.pick(other))
    gui.until(lambda: study.chosen is other and books.first.volume is not None)
    assert not books.first.document.annotations
    gui.do(lambda: study.open_beside(drawn_on))
    gui.until(lambda: gui.workspace.compare.active and books.second.volume is not None)
    assert [a.uid for a in books.second.document.annotations] == [uid]
    pane = gui.window.centre.compare
    listed = gui.window.measurements
    gui.do(lambda: listed.side.activated.emit(1))
    assert listed.list.topLevelItemCount() == 1
    spot = listed.list.visualItemRect(listed.list.topLevelItem(0)).center()
    left = Qt.MouseButton.LeftButton
    gui.do(lambda: QTest.mouseClick(listed.list.viewport(), left, pos=spot))
    gui.until(lambda: pane.second.state is not None)
    shown = gui.pixels(pane.second)
    gui.do(lambda: books.second.remove(uid))
    assert (gui.pixels(pane.second) != shown).any()
    gui.do(gui.workspace.compare.close)
    assert "length" not in gui.workspace.steps.undo_name  # it would undo what nobody sees
    gui.do(lambda: study.pick(drawn_on))
    gui.until(lambda: study.chosen is drawn_on and books.first.volume is not None)
    assert not books.first.document.annotations
    gui.do(gui.workspace.steps.undo)
    assert [a.uid for a in books.first.document.annotations] == [uid]


def test_one_series_on_both_sides_has_one_document(beside: Any) -> None:
    books, compare = beside.workspace.books, beside.workspace.compare
    beside.do(lambda: compare.open(beside.viewer.volume))
    beside.until(lambda: books.second.volume is not None)
    pane = beside.window.centre.compare
    draw(beside, pane.second)
    draw(beside, pane.first, 20)
    assert len(books.first.document.annotations) == 2
    assert books.first.document == books.second.document
