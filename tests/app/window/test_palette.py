"""The command palette: a few letters find a command, Return runs it, what cannot run says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.viewmodels.window.commands import COMMANDS
from app.viewmodels.window.fuzzy import match
from app.views.window.command_palette import ENTRY
from med2e3.geometry import Plane


def titles(gui: Any) -> list[str]:
    entries = gui.window.dialogs.palette.list
    items = [entries.topLevelItem(k) for k in range(entries.topLevelItemCount())]
    return [item.data(0, ENTRY).command.title for item in items]


def open_palette(gui: Any, text: str = "") -> Any:
    """Press Ctrl+K over a view and type."""
    palette = gui.window.dialogs.palette
    view, ctrl = gui.view(Plane.AXIAL), Qt.KeyboardModifier.ControlModifier
    gui.do(lambda: QTest.keyClick(view, Qt.Key.Key_K, ctrl))
    assert palette.isVisible()
    gui.do(lambda: QTest.keyClicks(palette.line, text))
    return palette


def press(gui: Any, key: Qt.Key) -> None:
    gui.do(lambda: QTest.keyClick(gui.window.dialogs.palette.line, key))


@pytest.mark.parametrize(
    ("letters", "better", "worse"),
    [
        ("wlu", "Window: lung", "Show less fuss"),
        ("inv", "Invert black and white", "Window: lung individual"),
        ("ns", "Next slice", "Answers"),
    ],
)
def test_starts_of_words_and_neighbours_win(letters: str, better: str, worse: str) -> None:
    good, bad = match(letters, better), match(letters, worse)
    assert good is not None
    assert bad is None or good.score > bad.score
    assert "".join(better[k] for k in good.places).casefold() == letters


def test_letters_must_occur_in_their_order() -> None:
    assert match("gnul", "Window: lung") is None
    assert match("", "anything") is not None


def test_return_runs_what_a_few_letters_find(open_gui: Any) -> None:
    palette = open_palette(open_gui, "invert")
    press(open_gui, Qt.Key.Key_Return)
    assert open_gui.viewer.inverted
    assert not palette.isVisible()


def test_the_arrows_choose_and_typing_reaches_no_image(open_gui: Any) -> None:
    places = [state.slice_index for state in open_gui.viewer.planes.values()]
    open_palette(open_gui, "window: ")
    found = titles(open_gui)
    press(open_gui, Qt.Key.Key_Down)
    press(open_gui, Qt.Key.Key_Return)
    assert f"Window: {open_gui.viewer.preset}" == found[1]
    assert [state.slice_index for state in open_gui.viewer.planes.values()] == places


def test_the_last_used_command_comes_first(open_gui: Any) -> None:
    open_palette(open_gui)
    assert titles(open_gui) == [command.title for command in COMMANDS]
    press(open_gui, Qt.Key.Key_Escape)
    open_palette(open_gui, "invert")
    press(open_gui, Qt.Key.Key_Return)
    open_palette(open_gui)
    assert titles(open_gui)[0] == "Invert black and white"


def test_a_command_that_cannot_run_says_why_and_does_not(gui: Any, nifti: Path) -> None:
    palette = gui.window.dialogs.palette
    gui.do(palette.toggle)
    gui.do(lambda: QTest.keyClicks(palette.line, "draft report"))
    press(gui, Qt.Key.Key_Return)
    assert palette.isVisible()
    assert palette.why.text() == "Not now: no study is open."
    assert not gui.workspace.settings.values.recent_commands
    gui.open(nifti)
    gui.do(palette.refresh)
    assert palette.why.text() == "Not now: no model is loaded."


def test_escape_closes_and_the_keyboard_goes_back(open_gui: Any) -> None:
    view = open_gui.view(Plane.AXIAL)
    open_gui.do(view.setFocus)
    palette = open_palette(open_gui, "zzzz")
    assert titles(open_gui) == []
    assert palette.why.text() == "No command is called that."
    press(open_gui, Qt.Key.Key_Return)
    press(open_gui, Qt.Key.Key_Escape)
    assert not palette.isVisible()
    assert view.hasFocus()
