"""The question before a model of phantoms drafts a report of another series, once a series."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox, QWidget

#: The buttons of the question, in their order.
DRAFT, LEAVE = "Draft anyway", "Cancel"


class DraftQuestion:
    """Asks whether to draft though the draft will mean nothing."""

    def __init__(self, parent: QWidget) -> None:
        self._parent = parent
        #: The question that is open now.
        self.shown: QMessageBox | None = None

    def ask(self, doubt: str, go_on: Callable[[], object]) -> None:
        """Show the question, unless it is open already; `go_on` is called where it is answered so.

        The window goes on meanwhile.
        """
        if self.shown is not None:
            return
        question = self.shown = QMessageBox(self._parent)
        question.setIcon(QMessageBox.Icon.Warning)
        question.setWindowTitle("This series is no phantom")
        question.setText(doubt)
        question.setTextFormat(Qt.TextFormat.PlainText)
        draft = question.addButton(DRAFT, QMessageBox.ButtonRole.AcceptRole)
        leave = question.addButton(LEAVE, QMessageBox.ButtonRole.RejectRole)
        question.setEscapeButton(leave)
        question.setDefaultButton(leave)
        draft.clicked.connect(go_on)
        question.finished.connect(self._answered)
        question.open()

    def _answered(self) -> None:
        assert self.shown is not None
        self.shown.deleteLater()
        self.shown = None
