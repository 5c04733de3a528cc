"""Export menus follow the tables of formats, and each entry writes what its row says."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog

from app.viewmodels.annotation import exports as of_drawings
from app.viewmodels.assistant import exports as of_answers
from app.viewmodels.core.exporting import TextFormat
from app.views.parts.export_button import export_button
from app.views.parts.file_dialogs import Saver
from tests.app.annotating import Pen, exports


def titles(button: Any) -> list[str]:
    return [action.text() for action in button.menu().actions()]


def test_what_is_drawn_is_saved_as_a_table_and_as_a_record(
    gui: Any, dicom: Path, tmp_path: Path
) -> None:
    assert gui.open(dicom)
    pen = Pen(gui)
    pen.tool("length")
    pen.drag((10, 10), (10, 40))
    button, book = gui.window.measurements.export, pen.book
    assert titles(button) == [one.title for one in of_drawings.FORMATS]
    wanted = {
        "Test-Phantom-Phantom-measurements.csv": of_drawings.table(
            book.document, book.volume, book.reading, "HU"
        ),
        "Test-Phantom-Phantom-measurements.json": of_drawings.record(
            book.document, book.volume, book.reading
        ),
    }
    for title, (name, text) in zip(titles(button), wanted.items(), strict=False):
        choose = exports(gui, button, title)
        dialog = gui.window.findChildren(QFileDialog)[-1]
        assert Path(dialog.selectedFiles()[0]).name == name
        gui.do(lambda choose=choose, name=name: choose(tmp_path / name))
        gui.until((tmp_path / name).exists)
        assert (tmp_path / name).read_text("utf-8") == text


def test_an_answer_is_copied_and_saved(open_gui: Any, tmp_path: Path) -> None:
    turn = open_gui.ask()
    button = open_gui.window.assistant.scores.export
    assert titles(button) == [one.title for one in of_answers.FORMATS]
    copy, scores, record, figure = titles(button)
    (entry, *_) = button.menu().actions()
    open_gui.do(entry.trigger)
    assert entry.text() == copy
    assert QGuiApplication.clipboard().text() == of_answers.record_json(turn)
    wanted = {scores: of_answers.scores_csv(turn), record: of_answers.record_json(turn)}
    for k, (title, text) in enumerate(wanted.items()):
        path = tmp_path / f"{k}.txt"
        choose = exports(open_gui, button, title)
        open_gui.do(lambda choose=choose, path=path: choose(path))
        open_gui.until(path.exists)
        assert path.read_text("utf-8") == text
    choose = exports(open_gui, button, figure)
    dialog = open_gui.window.findChildren(QFileDialog)[-1]
    assert dialog.nameFilters() == ["PNG (*.png)", "SVG (*.svg)", "PDF (*.pdf)"]
    assert dialog.defaultSuffix() == "png"
    open_gui.do(lambda: choose(tmp_path / "scores.svg"))
    open_gui.until((tmp_path / "scores.svg").exists)
    assert (tmp_path / "scores.svg").read_text("utf-8").startswith("<?xml")


def test_what_takes_work_is_made_apart_from_the_window_and_may_fail(
    open_gui: Any, tmp_path: Path
) -> None:
    turn = open_gui.ask()
    threads, notices = [], open_gui.workspace.notices

    def make(path: Path) -> str:
        threads.append(threading.current_thread().name)
        return f"{path.name} was made."

    open_gui.do(lambda: open_gui.workspace.exporter.start(tmp_path / "a", make))
    open_gui.until(lambda: notices.message is not None)
    assert threads == ["viewer-exports"]
    assert notices.message.sentence == "a was made."
    turn.let_go()
    gone = of_answers.scores_figure(turn)
    open_gui.do(lambda: open_gui.workspace.exporter.start(tmp_path / "b.png", gone))
    open_gui.until(lambda: "not open any more" in notices.message.sentence)
    assert not list(tmp_path.glob("[ab]*"))


@pytest.mark.parametrize("there", [True, False])
def test_another_format_is_one_row(gui: Any, tmp_path: Path, there: bool) -> None:
    upper = TextFormat("Save in capitals…", str.upper, "capitals.txt")
    subject = "words" if there else None
    button = export_button((upper,), lambda: subject, Saver(gui.window, gui.workspace.exporter))
    assert button.focusPolicy() is Qt.FocusPolicy.TabFocus
    if not there:
        gui.do(button.menu().actions()[0].trigger)
        assert not gui.window.findChildren(QFileDialog)
        return
    choose = exports(gui, button, "Save in capitals…")
    gui.do(lambda: choose(tmp_path / "capitals.txt"))
    gui.until((tmp_path / "capitals.txt").exists)
    assert (tmp_path / "capitals.txt").read_text() == "WORDS"
