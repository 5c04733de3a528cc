"""Keys and mouse at a glance, over the window; any click or Esc closes it."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QSize, Qt, QTimer
from PySide6.QtGui import QColor, QMouseEvent, QPainter
from PySide6.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.viewmodels.window.commands import COMMANDS, MOUSE
from app.viewmodels.window.shortcuts import Shortcuts
from app.views.parts.keys import native_keys
from app.views.parts.painting import painted

#: Rows of a column; with more of them a window of 800 pixels' height has to scroll.
ROWS = 36

#: What the heading of a group takes, in rows.
HEADING = 2


class HelpOverlay(QWidget):
    """The table of commands with the keys that they have now."""

    def __init__(self, parent: QWidget, shortcuts: Shortcuts) -> None:
        super().__init__(parent)
        self._window = parent
        self._shortcuts = shortcuts
        self._layout = QVBoxLayout(self)
        self._area = QScrollArea()
        self._area.setProperty("card", True)
        self._area.viewport().setAutoFillBackground(False)
        self._layout.addWidget(self._area, 0, Qt.AlignmentFlag.AlignCenter)
        shortcuts.changed.connect(self._fill)
        self.hide()

    @property
    def _room(self) -> QSize:
        return self._window.size().shrunkBy(self._layout.contentsMargins())

    def _fill(self) -> None:
        """Lay the table out in as many columns as the window has room for."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for command in COMMANDS:
            keys = native_keys(self._shortcuts.keys(command.name))
            groups.setdefault(command.group, []).append((command.title, keys))
        groups["Mouse in a view"] = [(what, keys) for keys, what in MOUSE]
        rows = {name: len(entries) for name, entries in groups.items()}
        for columns in range(most_columns(rows), 0, -1):
            self._table = _sheet(
                [{n: groups[n] for n in part} for part in _balanced(rows, columns)]
            )
            self._area.setWidget(self._table)  # the one before it goes
            if self._table.sizeHint().width() <= self._room.width():
                break
        self._fit()

    def _fit(self) -> None:
        """Size the overlay to the table; it scrolls where the window is smaller."""
        room = self._room
        table = self._table.sizeHint() + QSize(4, 4)
        bar = self._area.verticalScrollBar().sizeHint()
        if table.height() > room.height():
            table.setWidth(table.width() + bar.width())
        if table.width() > room.width():
            table.setHeight(table.height() + bar.height())
        self._area.setFixedSize(table.boundedTo(room))

    def toggle(self) -> None:
        """Show or hide the overlay over the whole window."""
        self.setVisible(not self.isVisible())
        self.cover()
        self.raise_()

    def cover(self) -> None:
        """Cover the whole window."""
        self.setGeometry(self._window.rect())
        if self.isVisible():
            self._fill()

    def changeEvent(self, event: QEvent) -> None:
        """Lay the table out anew for another size of text."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            # Not now: Qt goes through all widgets, and must find none of them gone.
            QTimer.singleShot(0, self, self.cover)

    @painted
    def paintEvent(self, painter: QPainter) -> None:
        """Dim the window behind."""
        painter.fillRect(self.rect(), QColor(0, 0, 0, 160))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Close at a click anywhere."""
        self.hide()


def most_columns(rows: dict[str, int]) -> int:
    """Columns in a window that is wide enough, by the rows of each group."""
    return max(2, -(-sum(count + HEADING for count in rows.values()) // ROWS))


def _sheet(parts: list[dict[str, list[tuple[str, str]]]]) -> QWidget:
    sheet = QWidget()
    sheet.setAutoFillBackground(False)
    columns = QHBoxLayout(sheet)
    columns.setContentsMargins(24, 18, 24, 18)
    columns.setSpacing(30)
    for groups in parts:
        columns.addLayout(_column(groups))
    return sheet


def _balanced(rows: dict[str, int], columns: int) -> list[list[str]]:
    """The names of groups in columns of about equal height, in their order."""
    total = sum(count + HEADING for count in rows.values())
    parts: list[list[str]] = [[] for _ in range(columns)]
    before = 0
    for name, count in rows.items():
        middle = before + (count + HEADING) / 2
        parts[min(int(middle / total * columns), columns - 1)].append(name)
        before += count + HEADING
    return parts


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
