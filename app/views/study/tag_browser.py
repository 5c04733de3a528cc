"""The header of the displayed slice's file: search, sequences to open, values to copy."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import (
    QColor,
    QGuiApplication,
    QHideEvent,
    QKeyEvent,
    QKeySequence,
    QShortcut,
    QShowEvent,
)
from PySide6.QtWidgets import (
    QDialog,
    QLabel,
    QLineEdit,
    QMenu,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.viewmodels.core.signal import Signal
from app.viewmodels.study.tags import Tags
from app.views.parts import theme

if TYPE_CHECKING:
    from med2e3.io.tags import Tag

#: Widths of number, representation and name in logical pixels; the value takes the rest.
WIDTHS = (150, 44, 220)

#: How far elements of a sequence stand behind it, in logical pixels: room for the arrow.
INDENTATION = 14

NUMBER, VR, NAME, VALUE = range(4)


class _Rows(QTreeWidget):
    """The rows; the keys for copying copy the value, whatever column is current."""

    def __init__(self) -> None:
        super().__init__()
        self.copied: Signal[[]] = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Everything else as in any tree."""
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copied.emit()
        else:
            super().keyPressEvent(event)


class TagBrowser(QDialog):
    """Stays open beside the images and follows the slice that is shown."""

    def __init__(self, tags: Tags, parent: QWidget) -> None:
        super().__init__(parent)
        self._tags = tags
        self._shown: tuple[Tag, ...] | None = None
        self.setWindowTitle("Tags of this slice")
        self.setModal(False)
        theme.open_at(self, 820, 560)
        self.head = QLabel()
        self.head.setTextFormat(Qt.TextFormat.PlainText)
        self.head.setWordWrap(True)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search number, keyword or value")
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(tags.search)
        self.tree = _Rows()
        self.tree.copied.connect(lambda: self.copy(VALUE))
        self.tree.setHeaderLabels(["Tag", "VR", "Name", "Value"])
        self.tree.setUniformRowHeights(True)
        self.tree.setIndentation(INDENTATION)
        self.tree.setAlternatingRowColors(True)
        for column, width in enumerate(WIDTHS):
            self.tree.setColumnWidth(column, theme.grown(width))
        self.tree.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.tree.customContextMenuRequested.connect(self._menu)
        find = QShortcut(QKeySequence(QKeySequence.StandardKey.Find), self)
        find.activated.connect(self.search.setFocus)
        layout = QVBoxLayout(self)
        for widget in (self.head, self.search, self.tree):
            layout.addWidget(widget)
        tags.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Take over the rows; where the eye was, it stays."""
        rows = self._tags.rows
        self.head.setText(self._tags.note or "No file: open a series to see its tags.")
        if rows == self._shown:
            return
        self._shown = rows
        at = self.tree.verticalScrollBar().value()
        self.tree.clear()
        for row in rows:
            self._add(self.tree.invisibleRootItem(), row)
        if self._tags.words:
            self.tree.expandAll()
        self.tree.verticalScrollBar().setValue(at)

    def copy(self, column: int) -> None:
        """Put a column of the current row on the clipboard."""
        item = self.tree.currentItem()
        if item is not None:
            QGuiApplication.clipboard().setText(item.text(column))

    def showEvent(self, event: QShowEvent) -> None:
        """Headers are read from now on."""
        super().showEvent(event)
        self._tags.watch(True)

    def hideEvent(self, event: QHideEvent) -> None:
        """No header is read while nobody looks."""
        super().hideEvent(event)
        self._tags.watch(False)

    def _add(self, parent: QTreeWidgetItem, row: Tag) -> None:
        item = QTreeWidgetItem(parent, [row.number, row.vr, row.name, row.value])
        item.setToolTip(VALUE, row.value)
        for column in (NUMBER, VR):
            item.setForeground(column, QColor(theme.current().dim))
        for child in row.children:
            self._add(item, child)

    def _menu(self, place: QPoint) -> None:
        if self.tree.itemAt(place) is None:
            return
        menu = QMenu(self)
        for words, column in (("Copy value", VALUE), ("Copy tag", NUMBER), ("Copy name", NAME)):
            menu.addAction(words, partial(self.copy, column))
        menu.aboutToHide.connect(menu.deleteLater)
        menu.popup(self.tree.viewport().mapToGlobal(place))
