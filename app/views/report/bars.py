"""A notice over the report: a sentence, which words change, and what the reader may do."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
)

from app.viewmodels.report.difference import Change, Kind

#: Lines of the difference that are seen at once: the text itself needs the room.
LINES = 4

#: How words are marked: by form, so that no colour is needed to tell them apart.
MARKS = {Kind.SAME: "{}", Kind.REMOVED: "<s>{}</s>", Kind.ADDED: "<b><u>{}</u></b>"}


class Bar(QFrame):
    """The notice; hidden until there is something to say."""

    def __init__(self, sentence: str, buttons: Mapping[str, Callable[[], object]]) -> None:
        """`buttons`: the label of each, and what it does."""
        super().__init__()
        self.setProperty("bar", "notice")
        self.sentence = QLabel(sentence)
        self.sentence.setWordWrap(True)
        self.changes = QLabel()
        self.changes.setWordWrap(True)
        self.changes.setTextFormat(Qt.TextFormat.RichText)
        self.changes.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._scroll = QScrollArea()
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setWidget(self.changes)
        self._scroll.setWidgetResizable(True)
        self._scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._scroll.hide()
        self.buttons = [push(label, act) for label, act in buttons.items()]
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 4, 4, 4)
        column.addWidget(self.sentence)
        column.addWidget(self._scroll)
        row = QHBoxLayout()
        column.addLayout(row)
        for button in self.buttons:
            row.addWidget(button)
        row.addStretch(1)
        self.hide()

    def label(self, *labels: str) -> None:
        """Name the buttons in other words."""
        for button, words in zip(self.buttons, labels, strict=True):
            button.setText(words)

    def show_changes(self, changes: Sequence[Change]) -> None:
        """Mark the words that are removed and added; nothing where no word is there before."""
        known = any(change.kind is not Kind.ADDED for change in changes)
        self.changes.setText("".join(map(_marked, changes)) if known else "")
        self._scroll.setVisible(known)
        self._scroll.setFixedHeight(LINES * self.fontMetrics().lineSpacing())


def push(label: str, act: Callable[[], object]) -> QPushButton:
    """A button that the keyboard reaches by Tab, and that takes no focus from the text."""
    button = QPushButton(label)
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    button.clicked.connect(lambda: act())
    return button


def _marked(change: Change) -> str:
    words = html.escape(change.text).replace("\n", "<br>")
    # The last word of a text has no space behind it, and another one may follow here.
    return MARKS[change.kind].format(words) + (" " if change.text[-1].strip() else "")
