"""Nothing on the screen is cut, stale, or of another make: what a reading session showed."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtCore import QEvent, QObject
from PySide6.QtGui import QFontMetricsF, QPaintEvent
from PySide6.QtWidgets import QDialogButtonBox, QFileDialog, QWidget

from app.rendering import annotations as drawing
from app.viewmodels.annotation import values
from app.views.parts.file_dialogs import ask_where_to_save
from app.views.parts.question import OpenQuestion


class Painted(QObject):
    """How much of a widget was painted since it is watched."""

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        self.heights: list[int] = []
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        if isinstance(event, QPaintEvent):
            self.heights.append(event.region().boundingRect().height())
        return False


def test_another_placeholder_of_the_report_is_painted_whole(open_gui: Any) -> None:
    tab = open_gui.window.assistant.report
    open_gui.do(lambda: open_gui.window.assistant.tabs.setCurrentWidget(tab))
    painted = Painted(tab.editor.viewport())
    open_gui.do(lambda: tab.editor.setPlaceholderText("something else that was there before"))
    open_gui.do(tab.refresh)
    open_gui.until(lambda: painted.heights)
    assert max(painted.heights) == tab.editor.viewport().height()


@pytest.mark.parametrize("width", [120.0, 190.0, 260.0, 600.0])
def test_a_value_is_folded_into_a_narrow_view(qapp: Any, width: float) -> None:
    metrics = QFontMetricsF(qapp.font())
    text = f"70.2 mm\n{values.SHORT_NOT_DRAWN}"
    folded = drawing.folded(metrics, text, width)
    assert "".join(folded.split()) == "".join(text.split())
    assert drawing._extent(metrics, folded)[0] <= width
    assert (folded == text) == (width == 600.0)


def test_buttons_of_qt_have_no_icons_and_its_warnings_have_our_sign(gui: Any) -> None:
    window = gui.window
    dialog = gui.do(lambda: ask_where_to_save(window, "view.png", lambda _: None))
    assert isinstance(dialog, QFileDialog)
    gui.do(lambda: None)
    (box,) = dialog.findChildren(QDialogButtonBox)
    assert box.buttons()
    assert all(button.icon().isNull() for button in box.buttons())
    question = gui.do(lambda: OpenQuestion(window).begin("Title", "Text"))
    gui.do(question.open)
    sign = question.iconPixmap().toImage()
    pixel = sign.pixelColor(sign.width() // 2, int(sign.height() * 0.25))
    assert pixel.name() == "#e0a63a"
    gui.do(question.reject)
    gui.do(dialog.reject)
