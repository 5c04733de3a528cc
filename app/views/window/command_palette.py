"""The command palette over the window: type, choose, Return runs; Esc or a click beside closes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter
from PySide6.QtWidgets import (
    QApplication,
    QFrame,
    QHeaderView,
    QLabel,
    QLineEdit,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)
from shiboken6 import isValid

from app.viewmodels.window.palette import Entry, Palette
from app.views.parts import theme
from app.views.parts.keys import ROWS, native_keys
from app.views.parts.painting import painted

#: Width of the list at the usual size of text, the most it takes of the window's height, and rows
#: in the lowest window.
WIDTH, HEIGHT_SHARE, LEAST_ROWS = 620, 0.55, 5

#: Keys that move in the list while the text has the focus.
MOVING = (Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_PageUp, Qt.Key.Key_PageDown)

#: Where an item keeps its entry.
ENTRY = int(Qt.ItemDataRole.UserRole)


class CommandPalette(QWidget):
    """Lists what the `Palette` finds; runs a command through the window's own table."""

    def __init__(
        self, window: QWidget, palette: Palette, commands: Mapping[str, Callable[[], object]]
    ) -> None:
        super().__init__(window)
        self._window = window
        self._palette = palette
        self._commands = commands
        self._focus_before: QWidget | None = None
        self.line = QLineEdit()
        self.line.setPlaceholderText("Type a command")
        self.line.textChanged.connect(self.refresh)
        self.line.installEventFilter(self)
        self.list = _list()
        self.list.itemClicked.connect(lambda item, _: self._run(item))
        self.why = QLabel()
        self.why.setProperty("dim", True)
        self._sheet = QFrame(self)
        self._sheet.setProperty("card", True)
        column = QVBoxLayout(self._sheet)
        column.setContentsMargins(10, 10, 10, 10)
        for part in (self.line, self.list, self.why):
            column.addWidget(part)
        self.list.currentItemChanged.connect(lambda item, _: self._explain(item))
        self.hide()

    def toggle(self) -> None:
        """Open with an empty text, or close."""
        if self.isVisible():
            self.close_palette()
            return
        self._focus_before = QApplication.focusWidget()
        self.line.clear()
        self.refresh()
        self.show()
        self.raise_()
        self.line.setFocus()

    def close_palette(self) -> None:
        """Close, and give the keyboard back to the widget that had it."""
        self.hide()
        before, self._focus_before = self._focus_before, None
        if before is not None and isValid(before):  # it may be gone with what was replaced
            before.setFocus()

    def cover(self) -> None:
        """Cover the whole window, with the list in its upper middle."""
        self.setGeometry(self._window.rect())
        width = min(theme.grown(WIDTH), self.width() - 20)
        self.list.setFixedHeight(self._list_height())
        self._sheet.layout().activate()  # type: ignore[union-attr]  # it has one
        height = self._sheet.sizeHint().height()
        self._sheet.setGeometry((self.width() - width) // 2, self.height() // 10, width, height)

    def _list_height(self) -> int:
        """The height in pixels of the rows found, at most `HEIGHT_SHARE` of the window."""
        row = max(self.list.sizeHintForRow(0), 1)
        most = max(int(self.height() * HEIGHT_SHARE) // row, LEAST_ROWS)
        return row * min(self.list.topLevelItemCount(), most)

    def refresh(self) -> None:
        """List what fits the text."""
        self.list.clear()
        for entry in self._palette.find(self.line.text()):
            self.list.addTopLevelItem(_item(entry))
        if (first := self.list.topLevelItem(0)) is not None:
            self.list.setCurrentItem(first)
        self._explain(self.list.currentItem())
        self.cover()

    def _explain(self, item: QTreeWidgetItem | None) -> None:
        entry = _entry(item)
        if entry is None:
            self.why.setText("No command is called that.")
        else:
            self.why.setText(f"Not now: {entry.reason}." if entry.reason else "Return runs it.")

    def _run(self, item: QTreeWidgetItem | None) -> None:
        entry = _entry(item)
        if entry is None or entry.reason:
            self._explain(item)
            return
        self.close_palette()
        self._palette.used(entry.command.name)
        self._commands[entry.command.name]()

    # --- events ----------------------------------------------------------------------------

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Hand Esc, Return and the arrows to the list while text is typed."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            if event.key() == Qt.Key.Key_Escape:
                event.accept()  # else it would stop the answer
                return True
        elif event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent):
            return self._pressed(event)
        return super().eventFilter(watched, event)

    def _pressed(self, event: QKeyEvent) -> bool:
        if event.key() == Qt.Key.Key_Escape:
            self.close_palette()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._run(self.list.currentItem())
        elif event.key() in MOVING:
            QApplication.sendEvent(self.list, event)
        else:
            return False
        return True

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Close at a click beside the list."""
        self.close_palette()

    @painted
    def paintEvent(self, painter: QPainter) -> None:
        """Dim the window behind."""
        painter.fillRect(self.rect(), QColor(0, 0, 0, 110))


def _list() -> QTreeWidget:
    made = QTreeWidget()
    made.setAccessibleName("Commands that were found")
    made.setColumnCount(3)
    made.setHeaderHidden(True)
    made.setRootIsDecorated(False)
    made.setStyleSheet(ROWS)
    made.setUniformRowHeights(True)
    made.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    made.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    header = made.header()
    header.setStretchLastSection(False)
    header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
    for column in (1, 2):
        header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
    return made


def _item(entry: Entry) -> QTreeWidgetItem:
    title = f"{entry.command.title}  ({entry.reason})" if entry.reason else entry.command.title
    item = QTreeWidgetItem([title, entry.command.group, native_keys(entry.keys)])
    item.setData(0, ENTRY, entry)
    dim = QColor(theme.current().dim)
    for column in range(0 if entry.reason else 1, 3):
        item.setForeground(column, dim)
    return item


def _entry(item: QTreeWidgetItem | None) -> Entry | None:
    entry = item.data(0, ENTRY) if item is not None else None
    return entry if isinstance(entry, Entry) else None
