"""The cell of what is seen by itself: an image, or a report as a table; which one of how many.

Decides nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtGui import QGuiApplication, QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QScrollBar,
    QStackedLayout,
    QToolButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.viewmodels.study.pictures import SinglePictures
from app.views.parts.elided import ElidedLabel
from app.views.parts.icons import dress
from app.views.study.picture_view import PictureView

if TYPE_CHECKING:
    from med2e3.io.single import SingleTable


class PictureCell(QWidget):
    """A title with what can be done, and the image or the table below it."""

    def __init__(self, pictures: SinglePictures) -> None:
        super().__init__()
        self._pictures = pictures
        self.view = PictureView(pictures)
        self.table = ReportTable()
        self.title = ElidedLabel()
        self.title.setProperty("dim", True)
        self.invert = self._button("invert", "Swap black and white")
        self.fit = self._button("fit", "Fit the image, in its own window")
        self.close_button = self._button("close", "Close this image")
        self.invert.clicked.connect(lambda _=False: pictures.invert())
        self.fit.clicked.connect(lambda _=False: pictures.reset())
        self.close_button.clicked.connect(lambda _=False: pictures.close())
        self.slider = QScrollBar(Qt.Orientation.Vertical)
        self.slider.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.slider.setAccessibleName("Images of the series seen by itself")
        self.slider.valueChanged.connect(pictures.go)
        self._lay_out()
        self.setAutoFillBackground(True)
        pictures.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Take over what is shown."""
        pictures = self._pictures
        table = pictures.table
        count = f"  {pictures.number + 1} of {pictures.count}" if pictures.count > 1 else ""
        self.title.setText(pictures.title + count)
        self._bar.setVisible(pictures.active)
        for button in (self.invert, self.fit):
            button.setVisible(pictures.image is not None)
        self._stack.setCurrentWidget(self.view if table is None else self.table)
        self.table.show_table(table)
        self.slider.setVisible(pictures.count > 1)
        with QSignalBlocker(self.slider):
            self.slider.setRange(0, max(0, pictures.count - 1))
            self.slider.setValue(pictures.number)

    def _button(self, symbol: str, tip: str) -> QToolButton:
        button = QToolButton()
        dress(button, symbol)
        button.setToolTip(tip)
        button.setAccessibleName(tip)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        return button

    def _lay_out(self) -> None:
        self._bar = QWidget()
        row = QHBoxLayout(self._bar)
        row.setContentsMargins(8, 2, 4, 2)
        row.setSpacing(2)
        row.addWidget(self.title, 1)
        for button in (self.invert, self.fit, self.close_button):
            row.addWidget(button)
        content = QWidget()
        self._stack = QStackedLayout(content)
        self._stack.addWidget(self.view)
        self._stack.addWidget(self.table)
        below = QHBoxLayout()
        below.setSpacing(0)
        below.addWidget(content, 1)
        below.addWidget(self.slider)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._bar)
        column.addLayout(below, 1)


class ReportTable(QTreeWidget):
    """A structured report: names and values, below each other as the report nests them."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: SingleTable | None = None
        self.setHeaderLabels(["Name", "Value"])
        self.setAlternatingRowColors(True)
        self.setUniformRowHeights(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setAccessibleName("Structured report")
        self.header().setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)

    def show_table(self, table: SingleTable | None) -> None:
        """Take over another report."""
        if table is self._shown:
            return
        self._shown = table
        self.clear()
        if table is None:
            return
        self.setHeaderLabels([table.title, "Value"])
        above: list[QTreeWidgetItem] = [self.invisibleRootItem()]
        for row in table.rows:
            del above[row.level + 1 :]
            item = QTreeWidgetItem(above[-1], [row.name, row.value])
            item.setToolTip(1, row.value)
            above.append(item)
        self.expandAll()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """The keys for copying copy the selected rows, names and values apart by a tab."""
        if not event.matches(QKeySequence.StandardKey.Copy):
            super().keyPressEvent(event)
            return
        rows = [f"{item.text(0)}\t{item.text(1)}" for item in self.selectedItems()]
        QGuiApplication.clipboard().setText("\n".join(rows))
