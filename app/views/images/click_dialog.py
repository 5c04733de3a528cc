"""Segmenting by clicks beside the images: how prompts are given, what goes on, and the way out."""

from __future__ import annotations

from functools import partial

from PySide6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QLabel,
    QMessageBox,
    QPushButton,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from app.viewmodels.images.clicking import Clicking, Drawn
from app.viewmodels.images.tools import Tool
from app.viewmodels.images.viewer import Viewer
from app.views.parts.question import OpenQuestion

#: The buttons of the question whether a volume may leave this computer.
SEND, KEEP = "Send the images", "Do not send"


class ClickDialog(QDialog):
    """Stays open beside the images; closing it ends the tool, and objects stay as overlays."""

    def __init__(self, clicking: Clicking, viewer: Viewer, parent: QWidget) -> None:
        super().__init__(parent)
        self._clicking = clicking
        self._viewer = viewer
        self._question = OpenQuestion(self)
        self.setWindowTitle("Segment by clicks")
        self.setModal(False)
        self.ways = {drawn: QRadioButton(drawn.value.capitalize()) for drawn in Drawn}
        ways = QHBoxLayout()
        for drawn, way in self.ways.items():
            way.clicked.connect(partial(self._draw_with, drawn))
            ways.addWidget(way)
        self.server, self.words = QLabel(), QLabel()
        self.server.setProperty("dim", True)
        for label in (self.server, self.words):
            label.setWordWrap(True)
        self.new = QPushButton("New object")
        self.new.clicked.connect(lambda _=False: clicking.begin_object())
        self.stop = QPushButton("Stop")
        self.stop.clicked.connect(lambda _=False: clicking.cancel())
        close = QPushButton("Close")
        close.clicked.connect(self.reject)
        row = QHBoxLayout()
        for button in (self.new, self.stop, close):
            row.addWidget(button)
        column = QVBoxLayout(self)
        column.addLayout(ways)
        column.addWidget(self.words)
        column.addWidget(self.server)
        column.addLayout(row)
        self.setMinimumWidth(340)
        self.rejected.connect(self._lay_down)
        for signal in (clicking.changed, viewer.tool_changed):
            signal.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Take over the state; another tool in the hand closes this."""
        clicking = self._clicking
        if self.isVisible() and not clicking.in_hand:
            self.hide()
        self.ways[clicking.drawn].setChecked(True)
        self.server.setText(f"Server: {clicking.url}")
        self.words.setText(clicking.words)
        self.stop.setEnabled(clicking.busy)
        self.new.setEnabled(not clicking.busy and clicking.layer is not None)
        if clicking.waiting is not None and self._question.shown is None:
            self._ask(clicking.leaves)

    def _ask(self, sentence: str) -> None:
        question = self._question.begin("The images leave this computer", sentence)
        send = question.addButton(SEND, QMessageBox.ButtonRole.AcceptRole)
        keep = question.addButton(KEEP, QMessageBox.ButtonRole.RejectRole)
        question.setEscapeButton(keep)
        question.setDefaultButton(keep)
        question.finished.connect(
            lambda _: self._clicking.answer(allowed=question.clickedButton() is send)
        )
        question.open()

    def _draw_with(self, drawn: Drawn, _checked: bool = False) -> None:
        self._clicking.draw_with(drawn)

    def _lay_down(self) -> None:
        self._clicking.cancel()
        if self._clicking.in_hand:
            self._viewer.choose_tool(Tool.CROSSHAIR)
