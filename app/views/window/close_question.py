"""The question before a window closes with something that could not be saved."""

from __future__ import annotations

from PySide6.QtWidgets import QMessageBox, QWidget

from app.viewmodels.core.tasks import Tasks
from app.viewmodels.window.closing import Closing
from app.views.parts.question import OpenQuestion

#: The buttons of the question, in their order.
AGAIN, ANYWAY, STAY = "Save again", "Close anyway", "Cancel"


class CloseQuestion(OpenQuestion):
    """Lets a window close once all is kept, or its reader says that it may be lost."""

    def __init__(self, window: QWidget, closing: Closing, tasks: Tasks) -> None:
        super().__init__(window)
        self._closing = closing
        self._tasks = tasks
        self._trying = False
        self._may = False

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
        question = self.begin("Not everything could be saved", lost)
        roles = QMessageBox.ButtonRole
        again = question.addButton(AGAIN, roles.AcceptRole)
        anyway = question.addButton(ANYWAY, roles.DestructiveRole)
        question.setEscapeButton(question.addButton(STAY, roles.RejectRole))
        question.setDefaultButton(again)
        again.clicked.connect(self._try)
        anyway.clicked.connect(self._close)
        question.open()

    def _close(self) -> None:
        self._may = True
        self._parent.close()
