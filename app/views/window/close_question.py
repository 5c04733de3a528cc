"""The question before a window closes with something that could not be saved."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox, QWidget

from app.viewmodels.core.tasks import Tasks
from app.viewmodels.window.closing import Closing

#: The buttons of the question, in their order.
AGAIN, ANYWAY, STAY = "Save again", "Close anyway", "Cancel"


class CloseQuestion:
    """Lets a window close once all is kept, or its reader says that it may be lost."""

    def __init__(self, window: QWidget, closing: Closing, tasks: Tasks) -> None:
        self._window = window
        self._closing = closing
        self._tasks = tasks
        self._trying = False
        self._may = False
        #: The question that is open now.
        self.shown: QMessageBox | None = None

    def allows(self) -> bool:
        """Whether the window may close now; if not, it closes by itself when it may."""
        if self._may or self._tasks.closed or not self._closing.is_pending:
            return True
        if self.shown is None and not self._trying:
            self._try()
        return False

    def _try(self) -> None:
        self._trying = True
        self._tasks.start(self._keep())

    async def _keep(self) -> None:
        try:
            lost = await self._closing.keep()
        finally:
            self._trying = False
        if lost:
            self._ask(lost)
        else:
            self._close()

    def _ask(self, lost: str) -> None:
        question = self.shown = QMessageBox(self._window)
        question.setIcon(QMessageBox.Icon.Warning)
        question.setWindowTitle("Not everything could be saved")
        question.setText(lost)
        question.setTextFormat(Qt.TextFormat.PlainText)  # names of series may look like markup
        roles = QMessageBox.ButtonRole
        again = question.addButton(AGAIN, roles.AcceptRole)
        anyway = question.addButton(ANYWAY, roles.DestructiveRole)
        question.setEscapeButton(question.addButton(STAY, roles.RejectRole))
        question.setDefaultButton(again)
        again.clicked.connect(self._try)
        anyway.clicked.connect(self._close)
        question.finished.connect(self._answered)
        question.open()

    def _answered(self) -> None:
        assert self.shown is not None
        self.shown.deleteLater()
        self.shown = None

    def _close(self) -> None:
        self._may = True
        self._window.close()
