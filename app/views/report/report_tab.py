"""The draft report beside the images: text to correct, plainly marked as an unsigned draft."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QTextCursor
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app.viewmodels.images.viewer import Viewer
from app.viewmodels.report.report import Report
from app.views.parts.elided import ElidedLabel
from app.views.parts.file_dialogs import Saver

#: What the empty report says: how it comes to be, and where it is while a series is being read.
EMPTY = "“Draft report” writes here. Correct the text against the images before it is used."
NOT_YET = "This series is still being read. Its report opens when all of it is there."


class ReportTab(QWidget):
    """Edits the `Report`; shut while a series fills the views whose report is not open yet."""

    def __init__(self, report: Report, viewer: Viewer, saver: Saver) -> None:
        super().__init__()
        self._report = report
        self._viewer = viewer
        self.mark = QLabel("DRAFT")
        self.mark.setProperty("warning", True)
        self.mark.setProperty("heading", True)
        self.author = ElidedLabel()
        self.author.setProperty("dim", True)
        self.editor = QPlainTextEdit()
        self.editor.setMinimumHeight(60)
        self.editor.textChanged.connect(self._typed)
        self.copy = _push("Copy", lambda: QGuiApplication.clipboard().setText(report.export()))
        self.save = _push("Save…", lambda: saver.ask("draft-report.txt", report.export()))
        self.offer = self._offer()
        head = QHBoxLayout()
        for widget, stretch in ((self.mark, 0), (self.author, 1), (self.copy, 0), (self.save, 0)):
            head.addWidget(widget, stretch)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 8, 10, 10)
        layout.setSpacing(6)
        layout.addLayout(head)
        layout.addWidget(self.offer)
        layout.addWidget(self.editor, 1)
        report.changed.connect(self.refresh)
        viewer.volume_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Take over the report as it stands."""
        shut = self._viewer.previewing  # the report is still that of the series before
        text = "" if shut else self._report.text
        self._show_text(text)
        self.editor.setReadOnly(shut)
        self.editor.setPlaceholderText(NOT_YET if shut else EMPTY)
        self.author.setText("" if shut else _beside_mark(self._report.author))
        self.mark.setVisible(bool(text))
        self.copy.setEnabled(bool(text))
        self.save.setEnabled(bool(text))
        self.offer.setVisible(self._report.offered is not None and not shut)

    def _typed(self) -> None:
        if not self._viewer.previewing:
            self._report.edit(self.editor.toPlainText())

    def _show_text(self, text: str) -> None:
        shown = self.editor.toPlainText()
        if text.startswith(shown) and shown:  # a draft streams in: keep the scroll position
            cursor = QTextCursor(self.editor.document())
            cursor.movePosition(QTextCursor.MoveOperation.End)
            cursor.insertText(text[len(shown) :])
        elif text != shown:
            self.editor.setPlainText(text)

    def _offer(self) -> QFrame:
        frame = QFrame()
        frame.setProperty("bar", "notice")
        words = QLabel("A new draft is ready; yours was edited.")
        words.setWordWrap(True)
        column = QVBoxLayout(frame)
        column.setContentsMargins(8, 4, 4, 4)
        column.addWidget(words)
        row = QHBoxLayout()
        column.addLayout(row)
        row.addWidget(_push("Replace mine", self._report.accept))
        row.addWidget(_push("Keep mine", self._report.decline))
        row.addStretch(1)
        return frame


def _beside_mark(author: str) -> str:
    """Who wrote it, beside the word draft; what must not be cut off stands first."""
    *others, last = author.removeprefix("draft ").split(", ")
    return ", ".join([last, *others])


def _push(label: str, act: Callable[[], object]) -> QPushButton:
    button = QPushButton(label)
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    button.clicked.connect(lambda: act())
    return button
