"""A view in a second window: linked, driven by the same keys, remembered, closed cleanly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.viewmodels.core.settings import Settings
from app.viewmodels.window.layouts import Kind, Layouts
from app.views.window.centre import CELLS
from med2e3.geometry import Plane
from med2e3.volume import WINDOWS
from tests.app.conftest import Gui

AXIAL = Plane.AXIAL.value


def here(gui: Any) -> set[str]:
    """The cells in the first window."""
    gui.do(lambda: None)
    window, centre = gui.window, gui.window.centre
    cells = {name: centre.cell(name) for name in CELLS if name != window.second.cell}
    return {n for n, cell in cells.items() if cell.isVisible() and cell.window() is window}


def detach(gui: Any, name: str = AXIAL) -> Any:
    gui.do(lambda: gui.workspace.layouts.detach(name))
    return gui.window.second


def test_the_key_puts_the_active_view_into_a_second_window_and_back(open_gui: Any) -> None:
    keys = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier
    view, second = open_gui.view(Plane.AXIAL), open_gui.window.second
    open_gui.do(lambda: QTest.keyClick(view, Qt.Key.Key_W, keys))
    assert second.isVisible()
    assert view.window() is second
    assert view.isVisible()
    assert here(open_gui) == {"coronal", "sagittal", "sheet", "3d"}  # its place is not left empty
    open_gui.do(lambda: QTest.keyClick(view, Qt.Key.Key_W, keys))
    assert not second.isVisible()
    assert here(open_gui) == {"axial", "coronal", "sagittal", "sheet"}


def test_a_click_in_the_second_window_moves_the_planes_of_the_first(open_gui: Any) -> None:
    detach(open_gui)
    view = open_gui.view(Plane.AXIAL)
    before = open_gui.pixels(open_gui.view(Plane.SAGITTAL))
    place = open_gui.viewer.crosshair_mm.copy()
    open_gui.drag(view, (view.width() * 0.3, view.height() * 0.4), (200, 200))
    assert not np.allclose(place, open_gui.viewer.crosshair_mm)
    assert (open_gui.pixels(open_gui.view(Plane.SAGITTAL)) != before).any()


def test_wheel_and_keys_of_the_second_window_are_those_of_the_first(open_gui: Any) -> None:
    second, view = detach(open_gui), open_gui.view(Plane.AXIAL)
    open_gui.do(second.activateWindow)
    state = open_gui.viewer.shown[Plane.AXIAL]
    at = state.slice_index
    open_gui.wheel(view, -1)
    assert state.slice_index == at + 1
    open_gui.key(Qt.Key.Key_Up)
    assert state.slice_index == at
    open_gui.key(Qt.Key.Key_2)
    assert open_gui.viewer.window == WINDOWS["lung"]


def test_what_is_drawn_in_the_second_window_is_in_the_list_of_the_first(open_gui: Any) -> None:
    open_gui.until(lambda: open_gui.workspace.annotations.volume is not None)
    detach(open_gui)
    open_gui.key(Qt.Key.Key_L)
    open_gui.drag(open_gui.view(Plane.AXIAL), (100, 100), (180, 140))
    assert open_gui.window.measurements.list.topLevelItemCount() == 1


def test_closing_the_second_window_brings_its_cell_back(open_gui: Any) -> None:
    second = detach(open_gui)
    open_gui.do(second.close)
    assert not open_gui.workspace.layouts.second
    assert here(open_gui) == {"axial", "coronal", "sagittal", "sheet"}
    assert open_gui.view(Plane.AXIAL).window() is open_gui.window


def test_another_cell_takes_the_place_of_the_one_in_the_second_window(open_gui: Any) -> None:
    second = detach(open_gui)
    detach(open_gui, "coronal")
    assert second.cell == "coronal"
    assert open_gui.view(Plane.CORONAL).window() is second
    assert open_gui.view(Plane.AXIAL).window() is open_gui.window
    assert "axial" in here(open_gui)


def test_the_view_alone_in_the_first_window_gives_way_to_another(open_gui: Any) -> None:
    open_gui.do(lambda: open_gui.workspace.layouts.choose(Kind.SINGLE))
    detach(open_gui)
    assert len(here(open_gui)) == 1
    assert AXIAL not in here(open_gui)
    open_gui.do(lambda: open_gui.viewer.maximise(Plane.AXIAL))  # a double click over there
    assert open_gui.view(Plane.AXIAL).window() is open_gui.window.second
    assert here(open_gui)


def test_the_3d_view_turns_in_the_second_window(open_gui: Any) -> None:
    second, scene = detach(open_gui, "3d"), open_gui.workspace.scene
    view = open_gui.window.centre.cell("3d").view
    assert view.window() is second
    assert scene.shown
    camera = scene.look.camera
    open_gui.drag(view, (100, 100), (160, 120))
    assert scene.look.camera != camera
    open_gui.do(second.close)
    assert not scene.shown  # nobody looks at it: no frames


def test_the_second_window_is_remembered(
    loop: Any, engine: Any, nifti: Path, tmp_path: Path
) -> None:
    file = tmp_path / "settings.json"
    first = Gui(loop, engine, Settings(file))
    assert first.open(nifti)
    second = detach(first)
    first.do(lambda: second.setGeometry(30, 40, 500, 450))
    assert first.run(first.application.close())
    again = Gui(loop, engine, Settings(file))
    assert again.open(nifti)
    assert again.window.second.isVisible()
    assert again.view(Plane.AXIAL).window() is again.window.second
    assert again.window.second.size().toTuple() == (500, 450)
    assert again.run(again.application.close())


@pytest.mark.parametrize("stored", ["teapot", "axial"])
def test_only_a_cell_that_there_is_comes_back(tmp_path: Path, stored: str) -> None:
    settings = Settings(tmp_path / "settings.json")
    settings.values.second_cell = stored
    assert Layouts(settings).second == ("axial" if stored == "axial" else "")
