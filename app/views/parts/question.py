"""A question over a window that goes on meanwhile; one of its kind is open at a time."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox, QWidget


class OpenQuestion:
    """Holds the question that is open now; `shown` is None while there is none."""

    def __init__(self, parent: QWidget) -> None:
        self._parent = parent
        #: The question that is open now.
        self.shown: QMessageBox | None = None

    def begin(self, title: str, text: str) -> QMessageBox:
        """A warning to add buttons to and to open; what ends it forgets it."""
        question = self.shown = QMessageBox(self._parent)
        question.setIcon(QMessageBox.Icon.Warning)
        question.setWindowTitle(title)
        question.setText(text)
        question.setTextFormat(Qt.TextFormat.PlainText)  # names of series may look like markup
        question.finished.connect(self._answered)
        return question

    def _answered(self) -> None:
        """Forget the question; keys that were typed ahead may answer one that is hidden already."""
        question, self.shown = self.shown, None
        if question is not None:
            question.deleteLater()
