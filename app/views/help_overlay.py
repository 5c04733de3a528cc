"""Keys and mouse at a glance, over the window; any click or Esc closes it."""

from __future__ import annotations

from itertools import groupby

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QKeySequence, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app.viewmodels.commands import COMMANDS, MOUSE

#: Groups in the left column; the others stand in the right one.
LEFT = ("Study", "Tools", "Window/level", "View")


class HelpOverlay(QWidget):
    """The table of commands, from the one place where they are declared."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._window = parent
        sheet = QFrame(self)
        sheet.setProperty("card", True)
        columns = QHBoxLayout(sheet)
        columns.setContentsMargins(24, 18, 24, 18)
        columns.setSpacing(36)
        groups = {
            name: [(command.title, _keys(command.keys)) for command in group]
            for name, group in groupby(COMMANDS, key=lambda command: command.group)
        }
        groups["Mouse in a view"] = [(what, keys) for keys, what in MOUSE]
        for left in (True, False):
            names = [name for name in groups if (name in LEFT) is left]
            columns.addLayout(_column({name: groups[name] for name in names}))
        layout = QVBoxLayout(self)
        layout.addWidget(sheet, 0, Qt.AlignmentFlag.AlignCenter)
        self.hide()

    def toggle(self) -> None:
        """Show or hide the overlay over the whole window."""
        self.cover()
        self.setVisible(not self.isVisible())
        self.raise_()

    def cover(self) -> None:
        """Be as large as the window."""
        self.setGeometry(self._window.rect())

    def paintEvent(self, event: QPaintEvent) -> None:
        """Dim the window behind."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(0, 0, 0, 160))
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Close."""
        self.hide()


def _keys(keys: tuple[str, ...]) -> str:
    native = QKeySequence.SequenceFormat.NativeText
    return "  ".join(QKeySequence(key).toString(native) for key in keys)


def _column(groups: dict[str, list[tuple[str, str]]]) -> QVBoxLayout:
    column = QVBoxLayout()
    column.setSpacing(4)
    for name, rows in groups.items():
        heading = QLabel(name)
        heading.setProperty("heading", True)
        column.addWidget(heading)
        grid = QGridLayout()
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(2)
        grid.setColumnStretch(1, 1)
        for k, (title, keys) in enumerate(rows):
            label = QLabel(keys)
            label.setProperty("dim", True)
            grid.addWidget(label, k, 0)
            grid.addWidget(QLabel(title), k, 1)
        column.addLayout(grid)
        column.addSpacing(8)
    column.addStretch(1)
    return column
