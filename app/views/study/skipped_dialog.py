"""The files that no volume shows, each with its kind and the reason."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.viewmodels.study.study import Study
from app.views.parts import theme

#: Widths of the columns file and kind, in logical pixels; the reason takes the rest.
WIDTHS = (260, 150)


class SkippedDialog(QDialog):
    """A list to look through and to copy; it stays open beside the images and follows the study."""

    def __init__(self, study: Study, parent: QWidget) -> None:
        super().__init__(parent)
        self._study = study
        self.setWindowTitle("Files left out")
        self.setModal(False)
        theme.open_at(self, 720, 380)
        self.head = QLabel()
        self.head.setTextFormat(Qt.TextFormat.PlainText)
        self.head.setWordWrap(True)
        self.list = QTreeWidget()
        self.list.setAccessibleName("Files left out")
        self.list.setHeaderLabels(["File", "What it is", "Why it is left out"])
        self.list.setRootIsDecorated(False)
        self.list.setUniformRowHeights(True)
        self.list.setSelectionMode(QTreeWidget.SelectionMode.ExtendedSelection)
        self.list.setSortingEnabled(True)
        self.list.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        for column, width in enumerate(WIDTHS):
            self.list.setColumnWidth(column, theme.grown(width))
        self.copy = QPushButton("Copy list")
        self.copy.clicked.connect(self.copy_all)
        close = QPushButton("Close")
        close.clicked.connect(self.hide)
        QShortcut(QKeySequence.StandardKey.Copy, self.list, self.copy_all)
        row = QHBoxLayout()
        row.addWidget(self.copy)
        row.addStretch(1)
        row.addWidget(close)
        layout = QVBoxLayout(self)
        layout.addWidget(self.head)
        layout.addWidget(self.list, 1)
        layout.addLayout(row)
        study.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Take over the files."""
        self.head.setText(self._study.skipped_sentence or "No file was left out.")
        self.list.clear()
        for one in self._study.skipped:
            item = QTreeWidgetItem(self.list, [one.path.name, one.kind, one.reason])
            item.setToolTip(0, str(one.path))
            item.setToolTip(2, one.reason)

    def copy_all(self) -> None:
        """Put the list on the clipboard, one file a line, tabs between."""
        lines = [f"{one.path}\t{one.kind}\t{one.reason}" for one in self._study.skipped]
        QGuiApplication.clipboard().setText("\n".join(lines))
