"""Everything is within reach: by keys alone, by a screen reader, by menus, and through a lens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QContextMenuEvent, QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog, QLineEdit, QWidget

from app.viewmodels.core.settings import Settings
from app.viewmodels.study.recents import EDGE, facts_of, recent_of
from app.views.images.magnifier import TIMES, Magnifier
from app.views.parts.accessible import controls, name_of
from app.views.parts.icons import application_icon
from med2e3.geometry import Plane
from med2e3.volume import WINDOWS
from tests.app.bodies import MARK, phantom


def test_every_control_of_the_window_has_a_name_for_screen_readers(open_gui: Any) -> None:
    gui = open_gui
    gui.ask()
    gui.do(gui.workspace.layouts.toggle_scene)
    gui.do(lambda: gui.window.dialogs.preferences())
    gui.do(lambda: gui.workspace.side_by_side.choose(2, 3))
    found = controls(gui.window)
    assert len(found) > 60
    nameless = [f"{type(one).__name__} in {type(one.parent()).__name__}"
                for one in found
                if not name_of(one) and (one.isVisible() or not hasattr(one, "text"))]  # fmt: skip
    assert not nameless, " · ".join(sorted(set(nameless)))
    gui.do(gui.window.dialogs.shown.reject)


def test_tab_goes_from_the_series_over_the_images_to_the_assistant(open_gui: Any) -> None:
    window = open_gui.window
    regions = (window.series, window.centre, window.assistant)
    open_gui.do(window.series.search.setFocus)
    order: list[int] = []
    seen: set[int] = set()
    while True:
        focused = QApplication.focusWidget()
        if focused is None or id(focused) in seen:
            break
        seen.add(id(focused))
        inside = [k for k, region in enumerate(regions) if region.isAncestorOf(focused)]
        order += inside
        open_gui.do(lambda at=focused: QTest.keyClick(at, Qt.Key.Key_Tab))
        if len(seen) > 80:
            break
    assert set(order) == {0, 1, 2}
    until = order[: len(order) - order[::-1].index(2)]
    assert until == sorted(until)


def test_a_session_by_keys_alone(gui: Any, nifti: Path) -> None:
    """Open, scroll, window, measure, ask, correct, save, close."""
    window = gui.window
    gui.load_model()

    def key(code: Qt.Key, modifiers: Any = Qt.KeyboardModifier.NoModifier) -> None:
        at: QWidget = QApplication.focusWidget() or window
        gui.do(lambda: QTest.keyClick(at, code, modifiers))

    control = Qt.KeyboardModifier.ControlModifier
    key(Qt.Key.Key_O, control)
    dialog = window.findChildren(QFileDialog)[-1]
    line = dialog.findChild(QLineEdit, "fileNameEdit")
    gui.do(lambda: (QTest.keyClicks(line, str(nifti)), QTest.keyClick(line, Qt.Key.Key_Return)))
    gui.until(lambda: gui.viewer.volume is not None and not gui.viewer.previewing)
    before = gui.viewer.planes[Plane.AXIAL].slice_index
    gui.do(window.activateWindow)  # as a window manager does when a dialog closes
    gui.do(gui.view(Plane.AXIAL).setFocus)
    key(Qt.Key.Key_Down)
    assert gui.viewer.planes[Plane.AXIAL].slice_index == before + 1
    key(Qt.Key.Key_2)
    assert gui.viewer.window == WINDOWS["lung"]
    book = gui.workspace.annotations
    gui.until(lambda: book.volume is not None)
    key(Qt.Key.Key_L)  # a length, from here to eight pixels to the right
    key(Qt.Key.Key_Return, control)
    for _ in range(8):
        key(Qt.Key.Key_Right, Qt.KeyboardModifier.AltModifier)
    key(Qt.Key.Key_Return, control)
    (drawn,) = book.document.annotations
    first, second = (np.asarray(p) for p in drawn.points_mm)
    assert np.linalg.norm(second - first) == pytest.approx(8.0, abs=0.2)
    key(Qt.Key.Key_L, control)
    assert QApplication.focusWidget() is window.assistant.ask_box.line
    at = window.assistant.ask_box.line
    gui.do(
        lambda: (QTest.keyClicks(at, "Is there a nodule?"), QTest.keyClick(at, Qt.Key.Key_Return))
    )
    gui.until(lambda: gui.assistant.turns and not gui.assistant.turns[-1].running)
    report = window.assistant.report
    gui.do(lambda: window.assistant.ask_box.ask_report())
    gui.until(lambda: not gui.assistant.turns[-1].running and gui.assistant.running is None)
    gui.do(report.editor.setFocus)
    key(Qt.Key.Key_End, control)
    gui.do(lambda: QTest.keyClicks(report.editor, " Corrected."))
    assert report.editor.toPlainText().endswith("Corrected.")
    key(Qt.Key.Key_S, control)
    saving = window.findChildren(QFileDialog)[-1]
    assert saving.isVisible()
    gui.do(saving.reject)
    gui.do(window.activateWindow)
    key(Qt.Key.Key_Q, control)
    gui.until(lambda: not window.isVisible())


def test_a_card_of_the_conversation_has_a_menu(open_gui: Any) -> None:
    gui = open_gui
    gui.ask()
    card = gui.window.assistant.chat.cards[-1]
    at = QPoint(5, 5)
    event = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, at, card.mapToGlobal(at))
    gui.do(lambda: QApplication.sendEvent(card, event))
    menu = QApplication.activePopupWidget()
    assert menu is not None
    gui.do(menu.close)
    entries = {action.text(): action for action in card.menu().actions()}
    gui.do(entries["Copy the question"].trigger)
    assert QGuiApplication.clipboard().text() == card.turn.question
    gui.do(lambda: gui.viewer.go_to_slice(Plane.AXIAL, 0))
    gui.do(entries["Go to the slice of highest weight"].trigger)
    assert gui.viewer.planes[Plane.AXIAL].slice_index > 0
    gui.do(entries["Ask this again"].trigger)
    gui.until(lambda: len(gui.assistant.turns) == 2 and not gui.assistant.turns[-1].running)


def test_the_lens_shows_what_is_under_the_mouse_three_times_as_large(open_gui: Any) -> None:
    gui, view = open_gui, open_gui.view(Plane.AXIAL)
    middle = [(s.start + s.stop - 1) / 2 for s in MARK]
    gui.do(lambda: gui.viewer.move_crosshair(phantom().geometry.to_patient_mm(middle)))
    lens = view.findChild(Magnifier)
    gui.do(gui.window.actions_by_name["magnifier"].trigger)
    x, y = view.viewport().to_screen(*view.state.crosshair)
    gui.drag(view, (x, y), (x, y), Qt.MouseButton.NoButton)
    assert lens.isVisible()
    pixels = gui.pixels(lens)
    bright = (pixels.min(axis=-1) > 200)[20:-20, 20:-20]
    rows = MARK[1].stop - MARK[1].start
    _, row_mm, _ = view.state.geometry.spacing_mm
    height = rows * row_mm * view.viewport().pixels_per_mm * TIMES
    seen = np.flatnonzero(bright.any(axis=1))
    assert np.ptp(seen) + 1 == pytest.approx(min(height, bright.shape[0]), abs=4)
    gui.do(gui.window.actions_by_name["magnifier"].trigger)
    assert not lens.isVisible()


def test_the_tabs_take_the_whole_column_and_the_scores_have_all_rows(open_gui: Any) -> None:
    panel = open_gui.window.assistant
    open_gui.ask()
    scores = open_gui.assistant.shown.scores.values
    open_gui.do(lambda: panel.tabs.setCurrentWidget(panel.scores))
    assert panel.scores.table.topLevelItemCount() == len(scores)
    before = panel.tabs.height()
    open_gui.do(panel.tall.click)
    assert not panel.talk.isVisible()
    assert panel.tabs.height() > before + 150
    open_gui.do(open_gui.window.commands["ask"])
    assert panel.talk.isVisible()
    assert panel.tabs.height() == pytest.approx(before, abs=40)


def test_the_opening_page_shows_what_was_opened_last(gui: Any, dicom: Path, nifti: Path) -> None:
    assert not application_icon().isNull()
    assert not gui.window.windowIcon().isNull()
    assert gui.open(dicom)
    assert gui.open(nifti)
    gui.do(gui.study.close)
    page = gui.window.centre.empty
    assert page.isVisible()
    assert [card.recent.place for card in page.cards] == [str(nifti), str(dicom)]
    assert all(card.recent.picture is not None for card in page.cards)
    named = page.cards[1]
    assert any("Phantom" in words for words in named.words)
    assert named.accessibleName().startswith("Open ")
    gui.do(named.setFocus)
    gui.do(lambda: QTest.keyClick(named, Qt.Key.Key_Space))
    gui.until(lambda: gui.viewer.volume is not None)
    assert gui.study.path == dicom


def test_what_is_remembered_of_a_place_survives_and_damage_is_left_away(tmp_path: Path) -> None:
    facts = facts_of(phantom())
    settings = Settings(tmp_path / "settings.json")
    settings.remember_place(tmp_path / "study", facts)
    again = Settings(tmp_path / "settings.json").values
    recent = recent_of(again.recent[0], again.recent_facts[again.recent[0]])
    assert recent.picture is not None
    assert max(recent.picture.shape) <= EDGE
    for damaged in ("", "9x9:AAAA", "99999x2:AAAA", "axb:", "2x2:eJw="):
        assert recent_of("/a", ["name", "study", damaged]).picture is None
    settings.forget_places()
    assert not Settings(tmp_path / "settings.json").values.recent_facts
