"""The draft report beside the images: text to correct, plainly marked as an unsigned draft."""

from __future__ import annotations

from functools import partial

from PySide6.QtGui import QGuiApplication, QTextCursor
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QMenu,
    QPlainTextEdit,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.viewmodels.images.viewer import Viewer
from app.viewmodels.report.draft import Version
from app.viewmodels.report.report import Report
from app.views.parts.elided import ElidedLabel
from app.views.parts.file_dialogs import Saver
from app.views.parts.icons import dress
from app.views.report.bars import Bar, push

#: What the empty report says: how it comes to be, and where it is while a series is being read.
EMPTY = "“Draft report” writes here. Correct the text against the images before it is used."
NOT_YET = "This series is still being read. Its report opens when all of it is there."

#: What is said of a draft that the model writes, and what the reader may do with it.
WRITING = "A draft is being written; it comes here when it is complete."
READY = "A new draft is ready; yours was edited."
UNFINISHED = "The new draft was not finished."
OVER_MINE = ("Replace mine", "Keep mine")
OVER_A_DRAFT = ("Take it", "Leave it")

#: What is said of the text.
REPLACED = "Your text was replaced."
PART = "Part of a draft that was not finished."

#: Letters of an earlier version in the menu: enough to tell one from another.
SHOWN_LETTERS = 48


class ReportTab(QWidget):
    """Edits the `Report`; shut while a series fills the views whose report is not open yet."""

    def __init__(self, report: Report, viewer: Viewer, saver: Saver) -> None:
        super().__init__()
        self._report = report
        self._viewer = viewer
        self._loads: int | None = None
        self.mark = QLabel("DRAFT")
        self.mark.setProperty("warning", True)
        self.mark.setProperty("heading", True)
        self.author = ElidedLabel()
        self.author.setProperty("dim", True)
        self.editor = QPlainTextEdit()
        self.editor.setMinimumHeight(60)
        self.editor.textChanged.connect(self._typed)
        self.copy = push("Copy", lambda: QGuiApplication.clipboard().setText(report.export()))
        self.save = push("Save…", lambda: saver.ask("draft-report.txt", report.export()))
        self.earlier = QToolButton()
        dress(self.earlier, "undo")
        self.earlier.setToolTip("Earlier versions of your text")
        self.earlier.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.earlier.setMenu(QMenu(self.earlier))
        self.earlier.menu().aboutToShow.connect(self._list_earlier)
        self.writing = Bar(WRITING, {})
        self.offer = Bar(READY, dict(zip(OVER_MINE, (report.accept, report.decline), strict=True)))
        self.replaced = Bar(REPLACED, {"Bring mine back": report.bring_back})
        self.part = Bar(PART, {"It is complete now": report.complete})
        head = QHBoxLayout()
        head.addWidget(self.mark)
        head.addWidget(self.author, 1)
        for widget in (self.earlier, self.copy, self.save):
            head.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 8, 10, 10)
        layout.setSpacing(6)
        layout.addLayout(head)
        for bar in (self.writing, self.offer, self.replaced, self.part):
            layout.addWidget(bar)
        layout.addWidget(self.editor, 1)
        report.changed.connect(self.refresh)
        viewer.volume_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Take over the report as it stands."""
        report = self._report
        shut = self._viewer.previewing  # the report is still that of the series before
        text = "" if shut else report.text
        self._show_text(text, None if shut else report.loads)
        self.editor.setReadOnly(shut)
        self.editor.setPlaceholderText(NOT_YET if shut else EMPTY)
        self.editor.viewport().update()  # Qt paints only the first line of another placeholder
        self.author.setText("" if shut else _beside_mark(report.author))
        self.mark.setText("PARTIAL DRAFT" if report.partial else "DRAFT")
        self.mark.setVisible(bool(text))
        self.copy.setEnabled(bool(text))
        self.save.setEnabled(bool(text))
        self.earlier.setVisible(bool(report.earlier) and not shut)
        self._refresh_bars(shut)

    def _refresh_bars(self, shut: bool) -> None:
        report, offered = self._report, self._report.offered
        self.writing.setVisible(report.arriving is not None and not shut)
        self.offer.setVisible(offered is not None and not shut)
        if offered is not None:
            self.offer.sentence.setText(READY if offered.complete else UNFINISHED)
            self.offer.label(*(OVER_MINE if report.edited else OVER_A_DRAFT))
            self.offer.show_changes(report.offer)
        self.replaced.setVisible(report.can_bring_back and not shut)
        if report.can_bring_back:
            self.replaced.show_changes(report.replaced)
        self.part.setVisible(report.partial and not shut)

    def _typed(self) -> None:
        if not self._viewer.previewing:
            self._report.edit(self.editor.toPlainText())

    def _show_text(self, text: str, loads: int | None) -> None:
        shown = self.editor.toPlainText()
        if loads != self._loads:  # another series, or a file: the editor cannot undo that
            self._loads = loads
            self.editor.setPlainText(text)
        elif text.startswith(shown) and shown:  # a sentence below: keep the scroll position
            cursor = QTextCursor(self.editor.document())
            cursor.movePosition(QTextCursor.MoveOperation.End)
            cursor.insertText(text[len(shown) :])
        elif text != shown:
            cursor = QTextCursor(self.editor.document())
            cursor.select(QTextCursor.SelectionType.Document)
            cursor.insertText(text)
            self.editor.moveCursor(QTextCursor.MoveOperation.Start)

    def _list_earlier(self) -> None:
        menu = self.earlier.menu()
        menu.clear()
        for version in reversed(self._report.earlier):
            words = " ".join(version.text.split()).replace("&", "&&")
            cut = f"{words[:SHOWN_LETTERS]} …" if len(words) > SHOWN_LETTERS else words
            menu.addAction(cut).triggered.connect(partial(self._choose, version))

    def _choose(self, version: Version, checked: bool = False) -> None:
        # `checked` is Qt's argument of `triggered`.
        self._report.choose(version)


def _beside_mark(author: str) -> str:
    """Who wrote it, beside the word draft; what must not be cut off stands first."""
    *others, last = author.removeprefix("draft ").split(", ")
    return ", ".join([last, *others])
