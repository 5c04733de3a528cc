"""More than two series side by side: dragged into cells, each lock apart, and the keys where the
mouse is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent, QEnterEvent
from PySide6.QtWidgets import QApplication, QWidget

from app.viewmodels.images.compare import Compare
from app.viewmodels.images.side_by_side import SHAPES, SideBySide
from app.viewmodels.images.viewer import Viewer
from app.views.parts.drop_target import SERIES
from app.views.study.study_browser import ROW
from med2e3.geometry import Plane
from med2e3.io import write_dicom_series
from med2e3.volume import WINDOWS, Volume
from tests.app.bodies import phantom
from tests.med2e3.io import single_images as made

FRAME = "1.2.826.0.1.9"


def scan(kernel: str = "", number: str = "", value: int = 0) -> Volume:
    plain = phantom()
    info = replace(
        plain.info, frame_of_reference_uid=FRAME, kernel=kernel, series_number=number,
        series_description=f"Scan {number}", study_uid="1.2.826.0.1.1", patient_id="M1",
        patient_name="Mixed^Folder",
    )  # fmt: skip
    return Volume(plain.voxels + np.int16(value), plain.geometry, info)


@pytest.fixture
def three() -> SideBySide:
    """A brain kernel in the first two cells, one for bone in the third."""
    viewer = Viewer()
    together = SideBySide(Compare(viewer))
    viewer.show(scan("H31s"))
    together.put(scan("H31s"), 1)
    together.put(scan("H70h"), 2)
    return together


def test_three_series_scroll_together_whichever_is_scrolled(three: SideBySide) -> None:
    assert three.shown_shape == (1, 3)
    first, second, third = three.viewers[:3]
    for moved in (first, second, third):
        moved.scroll(Plane.AXIAL, 2)
        places = [viewer.crosshair_mm for viewer in (first, second, third)]
        assert np.allclose(places, places[0])


def test_brain_and_bone_have_a_window_each_and_the_cell_says_so(three: SideBySide) -> None:
    first, second, third = three.viewers[:3]
    first.use_preset("brain")
    assert second.window == WINDOWS["brain"] != third.window
    three.lock(window=True)  # however it is asked for
    third.use_preset("bone")
    assert first.window == second.window == WINDOWS["brain"]
    assert three.apart(1) == ""
    assert three.apart(2) == "own window (H70h)"


def test_slices_zoom_and_window_are_locked_apart(three: SideBySide) -> None:
    first, second, third = three.viewers[:3]
    three.lock(slices=False)
    before = second.crosshair_mm
    first.scroll(Plane.AXIAL, 3)
    assert np.array_equal(second.crosshair_mm, before)
    zoomed = first.planes[Plane.AXIAL].viewport(300, 300).zoomed(2.0, 10, 10)
    first.set_viewport(Plane.AXIAL, zoomed)
    assert second.planes[Plane.AXIAL].zoom == third.planes[Plane.AXIAL].zoom == 2.0
    first.use_preset("lung")
    assert second.window == WINDOWS["lung"]
    three.lock(slices=True, zoom=False)
    assert np.allclose(third.crosshair_mm, first.crosshair_mm)
    second.set_viewport(Plane.AXIAL, second.planes[Plane.AXIAL].viewport(300, 300).zoomed(2, 0, 0))
    assert first.planes[Plane.AXIAL].zoom == 2.0
    assert three.apart(1) == "own zoom"


def test_a_smaller_grid_closes_what_has_no_cell(three: SideBySide) -> None:
    three.choose(1, 2)
    assert [viewer.volume is not None for viewer in three.viewers[:3]] == [True, True, False]
    three.choose(1, 1)
    assert three.active
    assert three.viewers[1].volume is None
    three.close()
    assert not three.active


# --- the real window ---------------------------------------------------------------------------


@pytest.fixture
def gallery(gui: Any, tmp_path: Path) -> Any:
    """Three series and a scout in one study, in a grid of two by two."""
    for k, kernel in enumerate(("H31s", "H31s", "H70h"), start=2):
        write_dicom_series(scan(kernel, str(k), k), tmp_path / str(k), seed=str(k))
    made.scout_of(tmp_path / "scout", FRAME, (-45.0, 0.0, 300.0))
    assert gui.open(tmp_path)
    gui.do(gui.window.actions_by_name["series:2x2"].trigger)
    return gui


def data_of(gui: Any, words: str) -> QMimeData:
    """What a drag of a row of the list carries."""
    tree = gui.window.series.tree
    item = next(one for one in tree.items if words in one.text(0))
    return tree.mimeData([item])


def drag_over(gui: Any, words: str, widget: QWidget) -> QMimeData:
    data = data_of(gui, words)
    copy, left = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton
    none = Qt.KeyboardModifier.NoModifier
    event = QDragEnterEvent(QPoint(20, 20), copy, data, left, none)
    gui.do(lambda: QApplication.sendEvent(widget, event))
    assert event.isAccepted()
    return data


def drop(gui: Any, words: str, widget: QWidget) -> None:
    data = drag_over(gui, words, widget)
    copy, left = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton
    event = QDropEvent(QPointF(20, 20), copy, data, left, Qt.KeyboardModifier.NoModifier)
    gui.do(lambda: QApplication.sendEvent(widget, event))


def test_series_are_dragged_into_any_cell_and_the_cell_is_highlighted(gallery: Any) -> None:
    gui, pane = gallery, gallery.window.centre.compare
    together = gui.workspace.side_by_side
    assert pane.isVisible()
    assert [cell.isVisible() for cell in pane.cells] == [True] * 4 + [False] * 2
    assert pane.cells[1].empty.isVisible()
    data = drag_over(gui, "4  Scan 4", pane.cells[2])
    assert data.hasFormat(SERIES)
    assert pane.targets[2].frame.isVisible()
    assert not pane.targets[1].frame.isVisible()
    gui.do(lambda: QApplication.sendEvent(pane.cells[2], QDragLeaveEvent()))
    assert not pane.targets[2].frame.isVisible()
    drop(gui, "4  Scan 4", pane.cells[2])
    gui.until(lambda: together.viewers[2].volume is not None)
    assert pane.views[2].isVisible()
    assert "own window (H70h)" in pane.titles[2].text()
    drop(gui, "3  Scan 3", pane.cells[1])
    gui.until(lambda: together.viewers[1].volume is not None)
    drop(gui, "Scout", pane.cells[3])
    gui.until(lambda: pane.cells[3].picture.isVisible())
    gui.until(lambda: gui.workspace.cell_pictures[3].shown is not None)
    # Another series in the first cell leaves the others where they are.
    first = gui.viewer.volume
    drop(gui, "3  Scan 3", pane.cells[0])
    gui.until(lambda: gui.viewer.volume is not first and not gui.viewer.previewing)
    assert [v.volume is not None for v in together.viewers[:4]] == [True, True, True, False]
    before = together.viewers[2].planes[Plane.AXIAL].slice_index
    gui.wheel(pane.views[0], -2)
    assert together.viewers[2].planes[Plane.AXIAL].slice_index == before + 2
    # The keys are for the cell under the mouse, and so is a new measurement.
    at = QPointF(9, 9)
    gui.do(lambda: QApplication.sendEvent(pane.views[2], QEnterEvent(at, at, at)))
    gui.key(Qt.Key.Key_2, pane.views[2])
    assert together.viewers[2].window == WINDOWS["lung"] != gui.viewer.window
    books = gui.workspace.books
    gui.until(lambda: books.all[2].volume is not None)
    gui.key(Qt.Key.Key_K, pane.views[2])
    assert [len(book.document.key_images) for book in books.all[:3]] == [0, 0, 1]
    gui.do(lambda: QApplication.sendEvent(pane.views[2], QEvent(QEvent.Type.Leave)))
    gui.do(pane.end.click)
    assert not pane.isVisible()
    assert gui.view(Plane.AXIAL).isVisible()


def test_a_series_dropped_on_a_plane_opens_in_all_of_them(gui: Any, tmp_path: Path) -> None:
    for k in (2, 3):
        write_dicom_series(scan("", str(k), k), tmp_path / str(k), seed=str(k))
    made.x_ray(tmp_path)
    assert gui.open(tmp_path)
    first = gui.viewer.volume
    other = "3  Scan 3" if first.info.series_number == "2" else "2  Scan 2"
    drop(gui, other, gui.window.centre.cells[Plane.CORONAL])
    gui.until(lambda: gui.viewer.volume is not first and not gui.viewer.previewing)
    drop(gui, "Chest PA", gui.window.centre.cells[Plane.AXIAL])
    gui.until(lambda: gui.workspace.pictures.shown is not None)
    assert gui.window.centre.cell("picture").isVisible()


def test_every_shape_is_a_command_and_has_its_cells(gallery: Any) -> None:
    pane = gallery.window.centre.compare
    for rows, columns in SHAPES:
        gallery.do(gallery.window.actions_by_name[f"series:{rows}x{columns}"].trigger)
        assert sum(cell.isVisible() for cell in pane.cells) == rows * columns
    assert gallery.window.series.tree.items[0].data(0, ROW) is not None
