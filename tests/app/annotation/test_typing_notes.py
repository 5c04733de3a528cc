"""Typing at what is drawn: to whom the keys go afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

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
