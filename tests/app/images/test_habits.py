"""Habits of every viewer, with real events: menus, flips, fit, sliders, frames, typed windows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageSequence
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QContextMenuEvent, QEnterEvent, QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog, QMenu

from app.imaging.turn import Turn
from app.viewmodels.window.commands import COMMANDS
from app.views.parts import theme
from med2e3.geometry import Geometry, Plane
from med2e3.volume import WINDOWS, Window
from tests.app.annotating import Pen
from tests.app.bodies import MARK, phantom

RIGHT = Qt.MouseButton.RightButton


def menu_of(view: Any) -> QMenu:
    here = Qt.FindChildOption.FindDirectChildrenOnly
    return view.findChildren(QMenu, options=here)[-1]


def click_right(gui: Any, view: Any, at: tuple[float, float]) -> QMenu:
    gui.drag(view, at, at, RIGHT)
    return menu_of(view)


def turns() -> list[Turn]:
    """All eight ways in which a picture can lie."""
    found = [Turn()]
    for _ in range(3):
        found.append(found[-1].quarter())
    return found + [turn.mirrored() for turn in found]


class TestTurns:
    def test_four_quarters_and_two_flips_come_back(self) -> None:
        assert len(set(turns())) == 8
        turn = Turn()
        for _ in range(4):
            turn = turn.quarter()
        assert turn == Turn() == Turn().mirrored().mirrored() == Turn().upended().upended()

    @pytest.mark.parametrize("turn", turns())
    def test_every_voxel_keeps_its_place_in_the_patient(self, turn: Turn) -> None:
        voxels = np.arange(2 * 3 * 4).reshape(2, 3, 4)
        affine = np.eye(4)
        affine[:3, :3] = np.array([[0.9, 0.1, 0], [-0.1, 2.0, 0.2], [0, -0.3, 3.0]])
        grid = Geometry((2, 3, 4), affine)
        there, shown = turn.of_grid(grid), turn.of_slice(voxels)
        assert there.shape == shown.shape
        for index in np.ndindex(*shown.shape):
            place = grid.to_index(there.to_patient_mm(index))
            s, r, c = np.rint(place).astype(int)
            assert place == pytest.approx((s, r, c))
            assert voxels[s, r, c] == shown[index]

    def test_a_quarter_is_clockwise_and_letters_follow(self, open_gui: Any) -> None:
        view = open_gui.view(Plane.AXIAL)
        assert view.state.letters == ("R", "L", "A", "P")
        open_gui.do(lambda: open_gui.viewer.activate(Plane.AXIAL))
        open_gui.do(open_gui.window.actions_by_name["turn_quarter"].trigger)
        assert view.state.letters == ("P", "A", "R", "L")
        open_gui.do(open_gui.window.actions_by_name["mirror"].trigger)
        assert view.state.letters == ("A", "P", "R", "L")
        other = open_gui.view(Plane.CORONAL)
        assert other.state.letters == ("R", "L", "S", "I")
        for _ in range(2):
            open_gui.do(open_gui.workspace.steps.undo)
        assert view.state.letters == ("R", "L", "A", "P")

    def test_the_value_under_the_mouse_and_the_measure_are_those_of_the_patient(
        self, open_gui: Any
    ) -> None:
        pen = Pen(open_gui)
        pen.tool("length")
        pen.drag((10, 20), (30, 20))
        drawn, long = pen.last, pen.numbers()["length"]
        place = phantom().geometry.to_patient_mm([(s.start + s.stop - 1) / 2 for s in MARK])
        open_gui.do(lambda: open_gui.viewer.move_crosshair(place))
        view = open_gui.view(Plane.AXIAL)
        for name in ("turn_quarter", "mirror", "upend"):
            open_gui.do(open_gui.window.actions_by_name[name].trigger)
            x, y = view.viewport().to_screen(*view.state.crosshair)
            open_gui.drag(view, (x, y), (x, y), Qt.MouseButton.NoButton)
            assert open_gui.viewer.readout.value == 900
            assert open_gui.viewer.crosshair_mm == pytest.approx(place, abs=0.6)
            assert pen.book.reading(drawn).quantities[0].value == long
            pixels = open_gui.pixels(view)
            assert pixels[round(y) + 3, round(x) + 3].min() > 200  # the mark is where it is read


class TestMenus:
    def test_a_right_click_opens_the_menu_and_a_right_drag_zooms(self, open_gui: Any) -> None:
        view = open_gui.view(Plane.CORONAL)
        menu = click_right(open_gui, view, (100, 100))
        assert menu.isVisible()
        assert open_gui.viewer.active is Plane.CORONAL
        entries = {action.text() for action in menu.actions()}
        assert {"Flip left and right", "Fit: reset zoom and pan", "Window"} <= entries
        open_gui.do(menu.close)
        before = len(view.findChildren(QMenu))
        zoom = view.state.zoom
        open_gui.drag(view, (100, 150), (100, 60), RIGHT)
        assert view.state.zoom > zoom
        assert len([m for m in view.findChildren(QMenu) if m.isVisible()]) == 0
        assert len(view.findChildren(QMenu)) <= before

    def test_a_drawing_under_the_mouse_is_chosen_and_can_be_copied(self, open_gui: Any) -> None:
        pen = Pen(open_gui)
        pen.tool("length")
        pen.drag((10, 20), (30, 20))
        pen.tool("crosshair")
        open_gui.do(lambda: pen.book.select(None))
        menu = click_right(open_gui, pen.view, pen.screen((10, 20)))
        assert pen.book.selected == pen.last.uid
        (copy,) = (a for a in menu.actions() if a.text() == "Copy the selected value")
        open_gui.do(copy.trigger)
        assert QGuiApplication.clipboard().text() == pen.lines()[0]
        open_gui.do(menu.close)

    def test_the_menu_key_opens_it_too(self, open_gui: Any) -> None:
        view = open_gui.view(Plane.AXIAL)
        event = QContextMenuEvent(QContextMenuEvent.Reason.Keyboard, QPoint(5, 5), QPoint(5, 5))
        open_gui.do(lambda: QApplication.sendEvent(view, event))
        assert menu_of(view).isVisible()
        open_gui.do(menu_of(view).close)


def test_r_fits_and_leaves_the_window_alone(open_gui: Any) -> None:
    view = open_gui.view(Plane.AXIAL)
    open_gui.drag(view, (100, 150), (100, 60), RIGHT)
    open_gui.do(lambda: open_gui.viewer.use_preset("lung"))
    open_gui.key(Qt.Key.Key_R)
    assert view.state.zoom == 1
    assert open_gui.viewer.window == WINDOWS["lung"]
    open_gui.do(open_gui.window.actions_by_name["reset_window"].trigger)
    assert open_gui.viewer.window == WINDOWS["soft tissue"]
    open_gui.do(open_gui.window.actions_by_name["one_to_one"].trigger)
    viewport = view.viewport()
    assert min(viewport.spacing_mm) * viewport.pixels_per_mm == pytest.approx(1)


def test_the_slider_shows_and_chooses_the_slice(open_gui: Any) -> None:
    cell = open_gui.window.centre.cells[Plane.AXIAL]
    open_gui.wheel(cell.view, -3)
    assert cell.slider.value() == cell.view.state.slice_index
    assert cell.slider.maximum() == cell.view.state.count - 1
    open_gui.do(lambda: QTest.keyClick(cell.slider, Qt.Key.Key_Home))
    assert cell.view.state.slice_index == 0
    assert "axial" in cell.slider.accessibleName()


def test_a_drag_scrolls_with_its_tool_or_as_the_left_button_is_set(open_gui: Any) -> None:
    view = open_gui.view(Plane.AXIAL)
    open_gui.do(lambda: open_gui.viewer.go_to_slice(Plane.AXIAL, 0))
    open_gui.do(open_gui.window.actions_by_name["scroll_tool"].trigger)
    open_gui.drag(view, (100, 50), (100, 150))
    there = view.state.slice_index
    assert there > 3
    open_gui.drag(view, (100, 150), (100, 50))
    assert view.state.slice_index == 0
    open_gui.do(open_gui.window.actions_by_name["crosshair_tool"].trigger)
    open_gui.do(lambda: open_gui.window.dialogs.editor.set("mouse_left", "scroll"))
    open_gui.drag(view, (100, 50), (100, 150))
    assert view.state.slice_index == there


def test_a_frame_shows_the_view_that_the_keys_act_on(open_gui: Any) -> None:
    accent = QColor(theme.DARK.accent)
    edge = np.array([accent.red(), accent.green(), accent.blue()])

    def framed(plane: Plane) -> bool:
        pixels = open_gui.pixels(open_gui.view(plane)).astype(int)
        return bool((np.abs(pixels[0, 5:-5] - edge).max(axis=1) < 12).mean() > 0.9)

    assert framed(Plane.AXIAL)
    view, at = open_gui.view(Plane.SAGITTAL), QPointF(5, 5)
    open_gui.do(lambda: QApplication.sendEvent(view, QEnterEvent(at, at, at)))
    assert framed(Plane.SAGITTAL)
    assert not framed(Plane.AXIAL)
    open_gui.do(lambda: open_gui.viewer.maximise(Plane.SAGITTAL))
    assert not framed(Plane.SAGITTAL)


def test_a_window_is_typed_kept_under_a_name_and_taken_back(open_gui: Any) -> None:
    before = open_gui.viewer.window
    open_gui.do(open_gui.window.actions_by_name["window_values"].trigger)
    dialog = open_gui.window.dialogs.shown
    open_gui.do(lambda: (dialog.width_box.setValue(120), dialog.level_box.setValue(35)))
    assert open_gui.viewer.window == Window(35, 120)
    open_gui.do(lambda: (dialog.name.setText("pancreas"), dialog.keep.click()))
    open_gui.do(dialog.reject)
    assert open_gui.viewer.window == before
    open_gui.do(open_gui.window.actions_by_name["window_values"].trigger)
    dialog = open_gui.window.dialogs.shown
    assert [dialog.own.itemText(k) for k in range(dialog.own.count())] == ["pancreas"]
    open_gui.do(lambda: dialog.own.activated.emit(0))
    open_gui.do(dialog.accept)
    assert open_gui.viewer.window == Window(35, 120)


def test_new_presets_are_there_and_the_old_keys_stay(open_gui: Any) -> None:
    names = [c.name for c in COMMANDS if c.name.startswith("preset:")]
    for name in ("CTA", "stroke", "subdural", "spine", "temporal bone", "liver", "angio"):
        assert f"preset:{name}" in names
    open_gui.key(Qt.Key.Key_7)
    assert open_gui.viewer.preset == "full range"
    open_gui.key(Qt.Key.Key_8)
    assert open_gui.viewer.preset == "CTA"


class TestPictures:
    def choose(self, gui: Any, place: Path) -> None:
        dialog = gui.window.findChildren(QFileDialog)[-1]
        gui.do(lambda: (dialog.fileSelected.emit(str(place)), dialog.done(0)))

    @pytest.mark.parametrize("suffix", ["png", "jpg"])
    def test_a_view_is_copied_and_saved_as_it_is_seen(
        self, open_gui: Any, tmp_path: Path, suffix: str
    ) -> None:
        view = open_gui.view(Plane.AXIAL)
        open_gui.do(open_gui.window.actions_by_name["copy_view"].trigger)
        assert QGuiApplication.clipboard().pixmap().size() == view.size()
        open_gui.do(open_gui.window.actions_by_name["save_view"].trigger)
        path = tmp_path / f"view.{suffix}"
        self.choose(open_gui, path)
        open_gui.until(lambda: open_gui.workspace.notices.message is not None)
        assert open_gui.workspace.notices.message.is_good
        with Image.open(path) as picture:
            assert picture.size == (view.width(), view.height())

    def test_the_slices_are_saved_as_pictures_and_as_a_film(
        self, open_gui: Any, tmp_path: Path
    ) -> None:
        open_gui.do(open_gui.window.actions_by_name["save_slices"].trigger)
        self.choose(open_gui, tmp_path)
        notices = open_gui.workspace.notices
        open_gui.until(lambda: notices.message is not None)
        files = sorted(tmp_path.glob("axial-*.png"))
        assert len(files) == open_gui.viewer.planes[Plane.AXIAL].count == 24
        with Image.open(files[3]) as image:
            picture = np.asarray(image)
        assert picture.shape[:2] == (80, 56)  # rows of 2 mm, columns of 1 mm
        assert picture[20, 10].min() == 255  # the mark
        open_gui.do(notices.dismiss)
        open_gui.do(open_gui.window.actions_by_name["save_cine"].trigger)
        film = tmp_path / "film.gif"
        self.choose(open_gui, film)
        open_gui.until(lambda: notices.message is not None)
        with Image.open(film) as frames:  # equal slices in a row are one frame that stays longer
            lasts = [f.info["duration"] for f in ImageSequence.Iterator(frames)]
        assert sum(lasts) == pytest.approx(24 * 1000 / open_gui.workspace.cine.rate, rel=0.2)
        open_gui.do(notices.dismiss)
        open_gui.do(open_gui.window.actions_by_name["save_slices"].trigger)
        self.choose(open_gui, tmp_path)  # nothing there is replaced
        open_gui.until(lambda: notices.message is not None)
        assert not notices.message.is_good


def test_all_drawings_are_hidden_and_come_back(open_gui: Any) -> None:
    pen = Pen(open_gui)
    plain = open_gui.pixels(pen.view)
    pen.tool("length")
    pen.drag((10, 20), (30, 20))
    pen.tool("crosshair")
    hide = open_gui.window.actions_by_name["hide_drawings"].trigger
    open_gui.do(hide)
    pen.hover((2, 2))
    assert not (open_gui.pixels(pen.view) != plain).any()
    assert len(pen.drawn) == 1
    open_gui.do(hide)
    assert (open_gui.pixels(pen.view) != plain).any()


def test_the_keys_go_from_peak_to_peak_of_the_scores(open_gui: Any) -> None:
    turn = open_gui.ask()
    open_gui.do(lambda: open_gui.viewer.go_to_slice(Plane.AXIAL, 0))
    open_gui.do(open_gui.window.actions_by_name["next_peak"].trigger)
    low, high = turn.seen.edges[open_gui.engine.peak : open_gui.engine.peak + 2]
    here = open_gui.viewer.planes[Plane.AXIAL]
    assert low <= here.slice_index <= high
    at = here.slice_index
    open_gui.do(open_gui.window.actions_by_name["next_peak"].trigger)
    assert here.slice_index == at  # there is no other one
    open_gui.do(lambda: open_gui.viewer.go_to_slice(Plane.AXIAL, 23))
    open_gui.do(open_gui.window.actions_by_name["previous_peak"].trigger)
    assert here.slice_index == at
