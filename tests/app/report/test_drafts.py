"""Drafts of the model in the real window: only complete ones replace a text, and none loses one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest

from app.viewmodels.assistant.answers import Turn, TurnState
from app.viewmodels.report.draft import MOST_VERSIONS, Draft, Version
from app.viewmodels.report.report import PARTIAL, Report
from med2e3.io import write_nifti
from tests.app.bodies import phantom

CONTROL = Qt.KeyboardModifier.ControlModifier

WHOLE = "There is a nodule."


class Breaks(tuple[str, ...]):
    """Pieces of an answer whose model fails after the last one."""

    def __iter__(self) -> Iterator[str]:
        yield from super().__iter__()
        raise RuntimeError("out of memory")


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another series than the phantom."""
    return write_nifti(phantom("Other", value=700), tmp_path / "other.nii")


def tab(gui: Any) -> Any:
    return gui.window.assistant.report


def text(gui: Any) -> str:
    return str(tab(gui).editor.toPlainText())


def press(gui: Any, bar: Any, label: str) -> None:
    button = next(button for button in bar.buttons if button.text() == label)
    gui.do(lambda: QTest.mouseClick(button, Qt.MouseButton.LeftButton))


def copied(gui: Any) -> str:
    gui.do(tab(gui).copy.click)
    return QGuiApplication.clipboard().text()


def type_in(gui: Any, words: str) -> None:
    gui.do(lambda: QTest.keyClicks(tab(gui).editor, words))


def draft(gui: Any) -> Turn:
    """A draft to its end."""
    gui.do(gui.window.assistant.ask_box.ask_report)
    gui.until(lambda: gui.assistant.running is None)
    return gui.assistant.turns[-1]


def begin(gui: Any, *pieces: str) -> Turn:
    """A draft that waits after its first piece."""
    gui.engine.pieces = pieces
    gui.engine.gate.clear()
    gui.do(gui.window.assistant.ask_box.ask_report)
    gui.engine.step()
    gui.until(lambda: gui.assistant.turns[-1].text == pieces[0])
    return gui.assistant.turns[-1]


def leave(gui: Any, nifti: Path, other: Path) -> None:
    assert gui.open(other)
    assert text(gui) == ""
    assert not tab(gui).offer.isVisible()
    assert gui.open(nifti)


def stop(gui: Any, nifti: Path, other: Path) -> None:
    gui.do(gui.assistant.stop)


def load_another_model(gui: Any, nifti: Path, other: Path) -> None:
    gui.load_model("other")


def fail(gui: Any, nifti: Path, other: Path) -> None:
    gui.engine.gate.set()
    gui.until(lambda: gui.assistant.running is None)


@pytest.mark.parametrize("end", [leave, stop, load_another_model, fail])
def test_a_draft_that_did_not_end_replaces_nothing_and_is_marked_where_it_is_taken(
    open_gui: Any, nifti: Path, other: Path, end: Callable[..., None]
) -> None:
    draft(open_gui)
    begin(open_gui, "An ", "effusion.")
    if end is fail:
        open_gui.do(open_gui.assistant.stop)
        open_gui.engine.pieces = Breaks(("An ",))
        open_gui.engine.gate.set()
        draft(open_gui)
    end(open_gui, nifti, other)
    assert text(open_gui) == WHOLE
    assert "PARTIAL" not in copied(open_gui)
    assert tab(open_gui).mark.text() == "DRAFT"
    assert "not finished" in tab(open_gui).offer.sentence.text()
    press(open_gui, tab(open_gui).offer, "Take it")
    assert text(open_gui) == "An "
    assert tab(open_gui).mark.text() == "PARTIAL DRAFT"
    assert "partial" in tab(open_gui).author.text()
    assert PARTIAL in copied(open_gui)
    type_in(open_gui, "No, ")
    assert PARTIAL in copied(open_gui)
    press(open_gui, tab(open_gui).part, "It is complete now")
    assert "PARTIAL" not in copied(open_gui)
    assert tab(open_gui).mark.text() == "DRAFT"


def test_while_a_draft_is_written_the_report_stays_and_says_so(open_gui: Any) -> None:
    draft(open_gui)
    begin(open_gui, "An ", "effusion.")
    assert text(open_gui) == WHOLE
    assert tab(open_gui).writing.isVisible()
    open_gui.engine.gate.set()
    open_gui.until(lambda: text(open_gui) == "An effusion.")
    assert not tab(open_gui).writing.isVisible()


def test_what_is_typed_while_a_draft_is_written_stays_and_the_draft_is_offered(
    open_gui: Any,
) -> None:
    begin(open_gui, "An ", "effusion.")
    type_in(open_gui, "Mine.")
    open_gui.engine.gate.set()
    open_gui.until(lambda: open_gui.assistant.running is None)
    assert text(open_gui) == "Mine."
    assert tab(open_gui).offer.isVisible()
    open_gui.do(lambda: open_gui.workspace.report.append("A sentence of a measurement."))
    press(open_gui, tab(open_gui).offer, "Replace mine")
    (mine,) = open_gui.workspace.report.earlier
    assert mine.text == "Mine.\nA sentence of a measurement."


def test_a_draft_cut_off_at_its_longest_length_is_not_complete() -> None:
    report, volume = Report(), phantom()
    report.enter(volume)
    turn = Turn("?", "demo", volume, is_report=True, text="An", state=TurnState.DONE)
    turn.reason = "length"
    report.follow(turn)
    assert report.text == ""
    assert report.offered is turn
    report.accept()
    assert report.partial


@pytest.mark.parametrize("state", [TurnState.STREAMING, TurnState.DONE, TurnState.STOPPED])
def test_a_draft_of_another_series_goes_into_no_report(state: TurnState) -> None:
    report, first, second = Report(), phantom(), phantom("Other", value=700)
    report.enter(first)
    turn = Turn("?", "demo", first, is_report=True, text="An", state=TurnState.STREAMING)
    report.follow(turn)
    report.enter(second)
    turn.text, turn.state, turn.reason = "An effusion.", state, "end"
    report.follow(turn)
    assert (report.text, report.offered, report.arriving) == ("", None, None)


def test_a_complete_offer_is_not_replaced_by_a_stopped_draft(open_gui: Any) -> None:
    type_in(open_gui, "Mine.")
    whole = draft(open_gui)
    begin(open_gui, "An ", "effusion.")
    open_gui.do(open_gui.assistant.stop)
    assert open_gui.workspace.report.offered is whole


def test_an_offer_comes_back_with_its_series(open_gui: Any, nifti: Path, other: Path) -> None:
    type_in(open_gui, "Mine.")
    draft(open_gui)
    leave(open_gui, nifti, other)
    assert tab(open_gui).offer.isVisible()
    press(open_gui, tab(open_gui).offer, "Replace mine")
    assert text(open_gui) == WHOLE


def test_the_copy_of_a_stopped_answer_says_so(open_gui: Any) -> None:
    begin(open_gui, "An ", "effusion.")
    open_gui.do(open_gui.assistant.stop)
    card = open_gui.window.assistant.chat.cards[-1]
    open_gui.do(card.copy.click)
    assert "PARTIAL" in QGuiApplication.clipboard().text()
    open_gui.engine.gate.set()
    draft(open_gui)
    open_gui.do(open_gui.window.assistant.chat.cards[-1].copy.click)
    assert QGuiApplication.clipboard().text() == "An effusion."


@pytest.fixture
def replaced(open_gui: Any) -> Any:
    """The reader's text, replaced by a draft as the reader asked."""
    type_in(open_gui, "There is no nodule.")
    draft(open_gui)
    assert "<s>no " in tab(open_gui).offer.changes.text()
    press(open_gui, tab(open_gui).offer, "Replace mine")
    assert text(open_gui) == WHOLE
    return open_gui


def test_undo_brings_back_what_was_replaced_and_redo_the_draft(replaced: Any) -> None:
    report = replaced.workspace.report
    author = report.author
    replaced.do(lambda: QTest.keyClick(tab(replaced).editor, "z", CONTROL))
    assert text(replaced) == report.text == "There is no nodule."
    assert report.author == "written here, unsigned"
    replaced.do(tab(replaced).editor.redo)
    assert report.text == WHOLE
    assert report.author == author
    assert not report.edited


def test_mine_can_be_brought_back_until_the_reader_types_on(replaced: Any) -> None:
    bar, report = tab(replaced).replaced, replaced.workspace.report
    assert bar.isVisible()
    assert "<s>no " in bar.changes.text()
    press(replaced, bar, "Bring mine back")
    assert report.text == text(replaced) == "There is no nodule."
    assert report.edited
    assert not bar.isVisible()
    draft(replaced)
    press(replaced, tab(replaced).offer, "Replace mine")
    draft(replaced)  # over the draft that nobody edited: mine is still what comes back
    press(replaced, bar, "Bring mine back")
    assert report.text == "There is no nodule."
    draft(replaced)
    press(replaced, tab(replaced).offer, "Replace mine")
    type_in(replaced, "x")
    assert not bar.isVisible()
    (mine,) = report.earlier
    assert mine.text == "There is no nodule."


def test_undo_never_reaches_the_text_of_another_series(
    replaced: Any, nifti: Path, other: Path
) -> None:
    assert replaced.open(other)
    type_in(replaced, "Other.")
    seen = set()
    for _ in range(8):
        replaced.do(tab(replaced).editor.undo)
        seen.add(text(replaced))
    assert seen == {""}
    assert replaced.open(nifti)
    assert text(replaced) == WHOLE
    assert tab(replaced).replaced.isVisible()


def test_versions_and_the_mark_of_a_part_are_kept_from_run_to_run(
    start: Any, dicom: Path, folder: Path
) -> None:
    gui = start()
    assert gui.open(dicom)
    gui.load_model()
    type_in(gui, "Mine.")
    begin(gui, "An ", "effusion.")
    gui.do(gui.assistant.stop)
    press(gui, tab(gui).offer, "Replace mine")
    gui.run(gui.workspace.autosave.saved())
    (path,) = folder.iterdir()
    content = json.loads(path.read_text("utf-8"))
    assert content["partial"]
    assert [version["text"] for version in content["earlier"]] == ["Mine."]
    gui = start()
    assert gui.open(dicom)
    gui.until(lambda: text(gui) == "An ")
    assert tab(gui).mark.text() == "PARTIAL DRAFT"
    assert PARTIAL in copied(gui)
    menu = tab(gui).earlier.menu()
    gui.do(menu.aboutToShow.emit)
    (entry,) = menu.actions()
    assert entry.text() == "Mine."
    gui.do(entry.trigger)
    assert text(gui) == "Mine."
    assert tab(gui).mark.text() == "DRAFT"


@pytest.mark.parametrize("damage", [{"partial": "no"}, {"earlier": [{"text": 1}]}, {"earlier": 3}])
def test_a_file_with_damaged_versions_is_told_and_kept(
    start: Any, dicom: Path, folder: Path, damage: dict[str, Any]
) -> None:
    gui = start()
    assert gui.open(dicom)
    type_in(gui, "Mine.")
    gui.run(gui.workspace.autosave.saved())
    (path,) = folder.iterdir()
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **damage}), "utf-8")
    gui = start()
    assert gui.open(dicom)
    gui.until(gui.window.errors.isVisible)
    assert (folder / f"{path.stem}.damaged-1.json").exists()


def test_versions_are_bounded_and_hold_each_text_once() -> None:
    draft = Draft()
    for k in range(2 * MOST_VERSIONS):
        draft.replace_by(Version(f"{k}", edited=True))
        draft.replace_by(Version("draft", "demo"))
        draft.replace_by(Version(f"{k}", edited=True))
    assert [v.text for v in draft.earlier] == [
        str(k) for k in range(MOST_VERSIONS, 2 * MOST_VERSIONS - 1)
    ]


def test_what_was_saved_is_an_earlier_version_where_it_was_joined_with_what_was_typed() -> None:
    draft = Draft("Typed.", edited=True)
    draft.take_saved(Draft("Saved.", edited=True, partial=True))
    assert (draft.text, draft.partial) == ("Saved.\nTyped.", True)
    assert [v.text for v in draft.earlier] == ["Saved."]
    draft = Draft(WHOLE, "demo")
    draft.take_saved(Draft("Old draft.", "demo", earlier=(Version("Mine.", edited=True),)))
    assert draft.text == WHOLE
    assert [v.text for v in draft.earlier] == ["Mine."]
