"""Preferences: each declared once, seen at once in the images, kept or taken back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QCheckBox, QComboBox, QDialogButtonBox, QSpinBox

from app.settings import Display, Preferences, declared
from app.viewmodels.core.settings import Settings
from app.viewmodels.images.corners import corner_lines
from app.views.window.preferences_dialog import PreferencesDialog
from app.views.window.shortcut_editor import ShortcutEditor
from app.views.window.window_memory import brought_back
from med2e3.geometry import Plane
from tests.app.conftest import Gui

KINDS = QDialogButtonBox.StandardButton


def corners(gui: Any, plane: Plane = Plane.AXIAL) -> str:
    return "\n".join(corner_lines(gui.viewer, plane, gui.viewer.planes[plane]).values())


@pytest.fixture
def dialog(open_gui: Any) -> Any:
    """The dialog, opened by its key."""
    view, ctrl = open_gui.view(Plane.AXIAL), Qt.KeyboardModifier.ControlModifier
    open_gui.do(lambda: QTest.keyClick(view, Qt.Key.Key_Comma, ctrl))
    made = open_gui.window.dialogs.shown
    assert isinstance(made, PreferencesDialog)
    return made


def tick(gui: Any, control: Any, on: bool) -> None:
    assert isinstance(control, QCheckBox)
    if control.isChecked() is not on:
        gui.do(control.click)


def test_every_shown_preference_has_a_control_of_its_kind(dialog: Any) -> None:
    first = Preferences()
    assert set(dialog.controls) == set(declared())
    for name, how in declared().items():
        value = first.get(name)
        assert isinstance(value, bool | int | str)
        if how.choices:
            assert value in [choice for choice, _ in how.choices]
            assert isinstance(dialog.controls[name], QComboBox)


def test_the_patients_name_goes_from_the_images_at_once_and_cancel_brings_it_back(
    open_gui: Any, dicom: Path, dialog: Any
) -> None:
    open_gui.open(dicom)
    assert "Test Phantom" in corners(open_gui)
    before = open_gui.pixels(open_gui.view(Plane.AXIAL))
    tick(open_gui, dialog.controls["patient_name"], False)
    assert "Test Phantom" not in corners(open_gui)
    assert not np.array_equal(open_gui.pixels(open_gui.view(Plane.AXIAL)), before)
    open_gui.do(dialog.reject)
    assert "Test Phantom" in corners(open_gui)
    assert np.array_equal(open_gui.pixels(open_gui.view(Plane.AXIAL)), before)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("corner_series", "Phantom"),
        ("corner_thickness", "slices every 5.00 mm"),
        ("corner_slice", "13/24"),
        ("corner_position", "S "),
        ("corner_window", "W 400 L 40"),
    ],
)
def test_each_line_of_the_corners_can_be_chosen(
    gui: Any, dicom: Path, name: str, text: str
) -> None:
    editor = gui.window.dialogs.editor
    gui.open(dicom)
    gui.do(lambda: editor.set("patient_name", False))
    for on in (True, False):
        gui.do(lambda on=on: editor.set(name, on))
        assert (text in corners(gui)) is on


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("letters", False),
        ("scale_bar", False),
        ("crosshair", False),
        ("crosshair_style", "short"),
        ("crosshair_style", "full"),
        ("crosshair_gap", 40),
        ("corner_text", False),
        ("interpolation", False),
    ],
)
def test_what_lies_over_the_images_follows(open_gui: Any, name: str, value: Any) -> None:
    view = open_gui.view(Plane.AXIAL)
    before = open_gui.pixels(view)
    open_gui.do(lambda: open_gui.window.dialogs.editor.set(name, value))
    assert not np.array_equal(open_gui.pixels(view), before)


def test_buttons_and_wheel_do_what_was_chosen(open_gui: Any) -> None:
    editor, view = open_gui.window.dialogs.editor, open_gui.view(Plane.AXIAL)
    state, window = open_gui.viewer.planes[Plane.AXIAL], open_gui.viewer.window
    open_gui.do(lambda: editor.set("mouse_right", "window"))
    open_gui.drag(view, (50, 50), (90, 50), Qt.MouseButton.RightButton)
    assert open_gui.viewer.window.width > window.width
    assert state.zoom == 1
    at = state.slice_index
    open_gui.do(lambda: editor.set("wheel_reversed", True))
    open_gui.wheel(view, -1)
    assert state.slice_index == at - 1
    open_gui.do(lambda: editor.set("wheel", "zoom"))
    open_gui.wheel(view, 1)
    assert state.zoom > 1
    assert state.slice_index == at - 1
    open_gui.wheel(view, 1, Qt.KeyboardModifier.ControlModifier)
    assert state.slice_index == at


def test_ok_keeps_and_the_next_start_has_it(loop: Any, engine: Any, tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    gui = Gui(loop, engine, Settings(file))
    gui.do(gui.window.dialogs.preferences)
    dialog = gui.window.dialogs.shown
    tick(gui, dialog.controls["letters"], False)
    assert isinstance(dialog.controls["crosshair_gap"], QSpinBox)
    gui.do(lambda: dialog.controls["crosshair_gap"].setValue(20))
    gui.do(dialog.buttons.button(KINDS.Ok).click)
    gui.do(lambda: gui.window.series.hide())
    assert gui.run(gui.application.close())
    again = Gui(loop, engine, Settings(file))
    assert again.viewer.display == Display(letters=False, crosshair_gap=20)
    assert again.window.series.isHidden()
    assert again.run(again.application.close())


def test_restore_defaults_is_taken_back_by_cancel_too(open_gui: Any, dialog: Any) -> None:
    tick(open_gui, dialog.controls["letters"], False)
    open_gui.do(dialog.buttons.button(KINDS.RestoreDefaults).click)
    assert open_gui.viewer.display.letters
    assert dialog.controls["letters"].isChecked()
    open_gui.do(dialog.reject)
    assert open_gui.viewer.display == Display()


def test_text_grows_and_shrinks_with_its_preference(open_gui: Any) -> None:
    editor, label = open_gui.window.dialogs.editor, open_gui.window.statusBar().facts
    before = label.font().pointSizeF()
    open_gui.do(lambda: editor.set("text_size", 150))
    assert label.font().pointSizeF() == pytest.approx(1.5 * before, rel=0.02)
    open_gui.do(lambda: editor.set("text_size", 100))
    assert label.font().pointSizeF() == pytest.approx(before, rel=0.02)


def test_stored_values_outside_their_choices_give_the_first_ones(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text('{"theme": "pink", "crosshair_gap": 5000, "shortcuts": {"invert": 3}}')
    values = Settings(file).values
    assert (values.theme, values.display.crosshair_gap, values.shortcuts) == ("dark", 9, {})


def test_the_last_study_is_offered_again_only_where_it_is_wanted_and_there(tmp_path: Path) -> None:
    settings, there = Settings(tmp_path / "settings.json"), tmp_path / "study"
    there.mkdir()
    settings.remember_place(there)
    assert settings.last_place() is None
    settings.values.restore_study = True
    assert settings.last_place() == there
    there.rmdir()
    assert settings.last_place() is None


# --- the window --------------------------------------------------------------------------------


def test_a_window_comes_back_to_where_a_screen_is() -> None:
    left, right = QRect(0, 0, 1920, 1080), QRect(1920, 0, 1920, 1080)
    there = QRect(2100, 100, 1280, 800)
    assert brought_back(there, [left, right]) == there
    back = brought_back(there, [left])
    assert left.contains(back)
    assert back.size() == there.size()
    assert left.contains(brought_back(QRect(5000, 0, 3800, 2100), [left]))
    above = QRect(300, -500, 800, 600)  # its title bar cannot be taken hold of
    assert left.contains(brought_back(above, [left]).topLeft() + QPoint(0, 1))


def test_f11_fills_the_screen_and_goes_back(open_gui: Any) -> None:
    action = open_gui.window.actions_by_name["full_screen"]
    assert [key.toString() for key in action.shortcuts()] == ["F11"]
    open_gui.do(action.trigger)
    open_gui.until(open_gui.window.isFullScreen)  # the system takes its time
    open_gui.do(action.trigger)
    open_gui.until(lambda: not open_gui.window.isFullScreen())


def test_the_hint_shows_with_the_first_study_until_it_is_dismissed(gui: Any, nifti: Path) -> None:
    hint = gui.window.hint
    assert not hint.isVisible()
    gui.open(nifti)
    assert hint.isVisible()
    assert "Ctrl+K: every command" in hint.text.text()
    assert not hint.geometry().intersects(gui.window.splitter.geometry())  # it hides no image
    gui.do(lambda: gui.workspace.shortcuts.add("palette", "Ctrl+J"))
    gui.do(lambda: gui.workspace.shortcuts.remove("palette", "Ctrl+K"))
    assert "Ctrl+Shift+P: every command" in hint.text.text()
    gui.do(hint.dismiss.click)
    assert not hint.isVisible()
    gui.open(nifti)
    assert not hint.isVisible()


# --- the editor of shortcuts -------------------------------------------------------------------


@pytest.fixture
def editor(open_gui: Any) -> Any:
    open_gui.do(open_gui.window.dialogs.shortcuts)
    made = open_gui.window.dialogs.shown
    assert isinstance(made, ShortcutEditor)
    return made


def record(gui: Any, editor: Any, key: Qt.Key) -> None:
    gui.do(editor.recorder.click)
    gui.do(lambda: QTest.keyClick(editor.recorder, key))


def test_a_recorded_key_is_taken_from_its_holder_who_is_named(open_gui: Any, editor: Any) -> None:
    open_gui.do(lambda: editor.choose("invert"))
    record(open_gui, editor, Qt.Key.Key_R)
    assert editor.said.text() == "R no longer runs “Fit: reset zoom and pan”."
    assert open_gui.workspace.shortcuts.keys("invert") == ("I", "R")
    assert not editor.recorder.isChecked()
    open_gui.do(editor.reset.click)
    assert open_gui.workspace.shortcuts.keys("reset_view") == ("R",)


def test_escape_records_nothing_and_reserved_keys_are_refused(open_gui: Any, editor: Any) -> None:
    open_gui.do(lambda: editor.choose("invert"))
    record(open_gui, editor, Qt.Key.Key_Escape)
    assert editor.isVisible()
    record(open_gui, editor, Qt.Key.Key_Space)
    assert "pans while it is held" in editor.said.text()
    assert open_gui.workspace.shortcuts.keys("invert") == ("I",)


def test_commands_are_found_by_letters_and_by_key(open_gui: Any, editor: Any) -> None:
    open_gui.do(lambda: QTest.keyClicks(editor.search, "invert"))
    assert editor.chosen() == "invert"
    open_gui.do(editor.search.clear)
    open_gui.do(lambda: QTest.keyClicks(editor.search, "PgUp"))
    assert editor.chosen() == "back_ten"
    open_gui.do(editor.remove.click)
    assert open_gui.workspace.shortcuts.keys("back_ten") == ()
    open_gui.do(editor.reset_all.click)
    assert open_gui.workspace.shortcuts.keys("back_ten") == ("PgUp",)


def test_the_theme_changes_by_its_key_and_is_kept(open_gui: Any) -> None:
    application = QApplication.instance()
    assert application is not None
    open_gui.do(open_gui.window.commands["theme"])
    assert application.property("theme") == "light"
    open_gui.do(open_gui.window.commands["theme"])
    assert application.property("theme") == "dark"


def test_another_theme_leaves_what_the_keys_have_hidden(open_gui: Any) -> None:
    viewer = open_gui.viewer
    for key in (Qt.Key.Key_X, Qt.Key.Key_T):
        open_gui.key(key)
    assert (viewer.crosshair_visible, viewer.corner_text) == (False, False)
    open_gui.do(open_gui.window.commands["theme"])
    try:
        assert (viewer.crosshair_visible, viewer.corner_text) == (False, False)
    finally:
        open_gui.do(open_gui.window.commands["theme"])
