"""Typing at what is drawn: to whom the keys go afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLineEdit, QWidget

from app.viewmodels.annotation.codec import decode, encode
from app.viewmodels.annotation.model import LONGEST_TEXT
from app.views.annotation.annotation_layer import TextEditor
from tests.app.annotating import Pen


@pytest.fixture
def pen(gui: Any, nifti: Path) -> Pen:
    assert gui.open(nifti)
    return Pen(gui)


@pytest.mark.parametrize("box", ["report", "question"])
def test_a_click_into_another_box_takes_the_text_and_the_keys_along(pen: Pen, box: str) -> None:
    gui, assistant = pen.gui, pen.gui.window.assistant
    gui.load_model()
    gui.do(gui.window.activateWindow)
    pen.tool("note")
    pen.click((10, 10))
    gui.do(lambda: QTest.keyClicks(QApplication.focusWidget(), "Cyst?"))
    target = assistant.report.editor if box == "report" else assistant.ask_box.line
    spot = target.viewport() if box == "report" else target
    gui.do(lambda: QTest.mouseClick(spot, Qt.MouseButton.LeftButton, pos=QPoint(10, 10)))
    assert pen.lines() == ("Cyst?",)
    assert QApplication.focusWidget() is target
    gui.do(lambda: QTest.keyClicks(QApplication.focusWidget(), "ik"))
    assert not gui.viewer.inverted
    assert not pen.book.document.key_images
    typed = target.toPlainText() if box == "report" else target.text()
    assert typed == "ik"


def test_after_return_and_after_another_program_the_keys_are_for_the_image(pen: Pen) -> None:
    window = pen.gui.window
    pen.gui.do(window.activateWindow)
    pen.tool("note")
    pen.click((10, 10))
    pen.type("Cyst?", Qt.Key.Key_Return)
    assert window.focusWidget() is pen.view
    pen.click((30, 30))
    assert isinstance(window.focusWidget(), TextEditor)
    other = QWidget()
    pen.gui.do(lambda: (other.show(), other.activateWindow()))
    assert not window.isActiveWindow()
    assert window.focusWidget() is pen.view
    other.deleteLater()


def paste(gui: Any, text: str, *, into: type[QWidget] = QLineEdit) -> None:
    """Paste into the line that has the keyboard, and press Return."""
    line = QApplication.focusWidget()
    assert isinstance(line, into)
    gui.do(lambda: QApplication.clipboard().setText(text))
    gui.do(lambda: (line.selectAll(), line.paste()))
    gui.do(lambda: QTest.keyClick(line, Qt.Key.Key_Return))


def saved_again(pen: Pen) -> Any:
    """What the next start reads of what is drawn now."""
    return decode(encode(pen.book.document, "key", {}), "key")


@pytest.mark.parametrize(("letters", "cut"), [(LONGEST_TEXT, False), (LONGEST_TEXT + 500, True)])
def test_a_text_of_any_length_can_be_read_at_the_next_start(
    pen: Pen, letters: int, cut: bool
) -> None:
    pen.gui.do(pen.gui.window.activateWindow)
    pen.tool("note")
    pen.click((10, 10))
    paste(pen.gui, "a" * letters, into=TextEditor)
    (annotation,) = saved_again(pen).annotations
    assert annotation.text == "a" * LONGEST_TEXT
    message = pen.gui.workspace.notices.message
    assert (message is not None and "100,000 letters" in message.sentence) == cut


def test_a_name_and_a_note_of_any_length_can_be_read_at_the_next_start(
    pen: Pen, monkeypatch: pytest.MonkeyPatch
) -> None:
    gui, panel = pen.gui, pen.gui.window.measurements
    gui.do(gui.window.activateWindow)
    pen.tool("length")
    pen.drag((10, 10), (10, 40))
    gui.key(Qt.Key.Key_K)
    for module in ("annotations", "codec"):  # a shorter bound: the list would lay out the long one
        monkeypatch.setattr(f"app.viewmodels.annotation.{module}.LONGEST_TEXT", 50)
    for row in range(2):
        item = panel.list.topLevelItem(row)
        gui.do(lambda item=item: panel.list.editItem(item, 0))
        line = panel.list.findChild(QLineEdit)
        assert line.maxLength() > LONGEST_TEXT  # a longer one is cut and told, not by the line
        gui.do(line.setFocus)
        paste(gui, "b" * 60)
        assert "may have 50 letters" in gui.workspace.notices.message.sentence
        gui.do(gui.workspace.notices.dismiss)
    again = saved_again(pen)
    assert [a.name for a in again.annotations] == ["b" * 50]
    assert [k.note for k in again.key_images] == ["b" * 50]
