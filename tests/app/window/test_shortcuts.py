"""Keys: each runs one command, the user's beat the table's, and typing is never a command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QLabel, QLineEdit, QWidget

from app.viewmodels.core.settings import Settings
from app.viewmodels.window.commands import BY_NAME, COMMANDS
from app.viewmodels.window.shortcuts import RESERVED, Shortcuts
from app.views.parts.keys import COMMAND
from med2e3.geometry import Plane


@pytest.fixture
def shortcuts() -> Shortcuts:
    return Shortcuts(Settings())


def test_a_key_given_to_one_command_leaves_the_other(shortcuts: Shortcuts) -> None:
    loser = shortcuts.add("invert", "R")
    assert loser is BY_NAME["reset_view"]
    assert shortcuts.keys("invert") == ("I", "R")
    assert shortcuts.keys("reset_view") == ()
    assert shortcuts.holder("R") is BY_NAME["invert"]
    held = [key for command in COMMANDS for key in shortcuts.keys(command.name)]
    assert len(held) == len(set(held))


def test_a_reset_brings_the_tables_keys_back_from_whoever_has_them(shortcuts: Shortcuts) -> None:
    shortcuts.add("invert", "R")
    assert shortcuts.reset("reset_view") == (BY_NAME["invert"],)
    assert shortcuts.keys("reset_view") == ("R",)
    assert shortcuts.keys("invert") == ("I",)
    assert not shortcuts.any_changed


def test_a_key_of_the_user_beats_the_same_key_in_the_table(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "settings.json")
    settings.values.shortcuts = {"invert": ["R"], "of another version": ["X"]}
    shortcuts = Shortcuts(settings)
    assert shortcuts.keys("reset_view") == ()
    assert shortcuts.keys("toggle_crosshair") == ("X",)


def test_changed_keys_come_back_and_the_tables_are_not_stored(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    first = Shortcuts(Settings(file))
    first.add("invert", "Ctrl+I")
    first.add("reset_view", "Ctrl+0")
    first.remove("reset_view", "Ctrl+0")
    again = Settings(file)
    assert again.values.shortcuts == {"invert": ["I", "Ctrl+I"]}
    assert Shortcuts(again).keys("invert") == ("I", "Ctrl+I")
    Shortcuts(again).reset_all()
    assert Settings(file).values.shortcuts == {}


@pytest.mark.parametrize("key", RESERVED)
def test_keys_with_a_meaning_of_their_own_are_refused(shortcuts: Shortcuts, key: str) -> None:
    assert shortcuts.refusal(key)
    assert shortcuts.add("invert", key) is None
    assert shortcuts.keys("invert") == ("I",)


def test_a_new_key_works_at_once_and_the_old_one_no_longer(open_gui: Any) -> None:
    shortcuts = open_gui.workspace.shortcuts

    def act() -> None:
        shortcuts.add("invert", "N")
        shortcuts.remove("invert", "I")
        shortcuts.add("next_slice", "Ctrl+Down")

    open_gui.do(act)
    open_gui.key(Qt.Key.Key_I)
    assert not open_gui.viewer.inverted
    open_gui.key(Qt.Key.Key_N)
    assert open_gui.viewer.inverted
    before = open_gui.viewer.planes[Plane.AXIAL].slice_index
    view, ctrl = open_gui.view(Plane.AXIAL), Qt.KeyboardModifier.ControlModifier
    open_gui.do(lambda: QTest.keyClick(view, Qt.Key.Key_Down, ctrl))
    assert open_gui.viewer.planes[Plane.AXIAL].slice_index == before + 1
    assert "(N)" in open_gui.window.actions_by_name["invert"].toolTip()


@pytest.mark.parametrize("key", ["Up", "PgDown", "End", "I", "7", "?"])
def test_no_key_of_a_text_field_reaches_the_images(open_gui: Any, key: str) -> None:
    line = open_gui.window.assistant.ask_box.line
    places = [state.slice_index for state in open_gui.viewer.planes.values()]
    window = open_gui.viewer.window
    open_gui.do(line.setFocus)
    known = {"Up": Qt.Key.Key_Up, "PgDown": Qt.Key.Key_PageDown, "End": Qt.Key.Key_End}
    if key in known:
        open_gui.do(lambda: QTest.keyClick(line, known[key]))
    else:
        open_gui.do(lambda: QTest.keyClicks(line, key))
    assert [state.slice_index for state in open_gui.viewer.planes.values()] == places
    assert open_gui.viewer.window == window
    assert not open_gui.viewer.inverted
    assert not open_gui.window.help.isVisible()


def test_commands_that_cannot_be_run_are_dim_and_say_why(gui: Any, nifti: Path) -> None:
    action = gui.window.actions_by_name["invert"]
    assert not action.isEnabled()
    assert action.toolTip() == "Invert black and white (I): no study is open"
    gui.open(nifti)
    assert action.isEnabled()
    report = gui.window.actions_by_name["draft_report"]
    assert report.toolTip().endswith("no model is loaded")
    gui.load_model()
    assert report.isEnabled()


def test_every_command_and_button_names_its_key(open_gui: Any) -> None:
    shortcuts = open_gui.workspace.shortcuts
    actions = open_gui.window.actions_by_name
    assert set(actions) == set(BY_NAME)
    for name, action in actions.items():
        assert action.toolTip().startswith(shortcuts.tip(name))
        for key in shortcuts.keys(name)[:1]:
            assert f"({key})" in action.toolTip()
    speaking = [w for w in open_gui.window.findChildren(QWidget) if w.property(COMMAND)]
    assert speaking
    for widget in speaking:
        assert widget.toolTip() == shortcuts.tip(widget.property(COMMAND))


def test_no_button_without_words_is_without_a_tooltip(open_gui: Any) -> None:
    buttons = open_gui.window.findChildren(QAbstractButton)
    silent = [b for b in buttons if not b.text() and not b.icon().isNull() and not b.toolTip()]
    of_qt = [b for b in silent if b.objectName().startswith("qt_")]
    of_qt += [b for b in silent if isinstance(b.parent(), QLineEdit)]  # clears the text
    assert not set(silent) - set(of_qt)


def test_the_help_shows_the_keys_that_hold_now(open_gui: Any) -> None:
    open_gui.do(lambda: open_gui.workspace.shortcuts.add("invert", "Ctrl+Alt+N"))
    texts = [label.text() for label in open_gui.window.help.findChildren(QLabel)]
    assert "I  Ctrl+Alt+N" in texts


def test_a_key_that_comes_back_to_its_command_is_remembered_no_more(shortcuts: Shortcuts) -> None:
    shortcuts.add("reset_view", "I")
    assert shortcuts.keys("invert") == ()
    shortcuts.add("invert", "I")
    assert shortcuts.keys("invert") == ("I",)
    assert not shortcuts.is_changed("invert")
