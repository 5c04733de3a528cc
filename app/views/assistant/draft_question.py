"""The question before a model of phantoms drafts a report of another series, once a series."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QMessageBox

from app.views.parts.question import OpenQuestion

#: The buttons of the question, in their order.
DRAFT, LEAVE = "Draft anyway", "Cancel"


class DraftQuestion(OpenQuestion):
    """Asks whether to draft though the draft will mean nothing."""

    def ask(self, doubt: str, go_on: Callable[[], object]) -> None:
        """Show the question, unless it is open already; `go_on` is called where it is answered so.

        The window goes on meanwhile.
        """
        if self.shown is not None:
            return
        question = self.begin("This series is no phantom", doubt)
        draft = question.addButton(DRAFT, QMessageBox.ButtonRole.AcceptRole)
        leave = question.addButton(LEAVE, QMessageBox.ButtonRole.RejectRole)
        question.setEscapeButton(leave)
        question.setDefaultButton(leave)
        draft.clicked.connect(go_on)
        question.open()
