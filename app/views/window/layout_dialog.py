"""The user's own layout: rows, columns, and what each cell shows; applied as it is edited."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from app.viewmodels.window.layouts import LARGEST, NOTHING, Custom, Layouts
from app.views.parts.elided import ChoiceBox

#: Margins of a number in its box, which a style sheet cannot give it, in logical pixels.
INSET = (4, 0, 0, 0)


class LayoutDialog(QDialog):
    """Edits `Layouts.custom`; the window behind shows it at once."""

    def __init__(self, layouts: Layouts, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Your own layout")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._layouts = layouts
        self.rows, self.columns = QSpinBox(), QSpinBox()
        for box, largest in ((self.rows, LARGEST[0]), (self.columns, LARGEST[1])):
            box.setRange(1, largest)
            box.lineEdit().setTextMargins(*INSET)
        self.rows.setValue(layouts.custom.rows)
        self.columns.setValue(layouts.custom.columns)
        self.boxes: list[ChoiceBox] = []
        self._grid = QGridLayout()
        size = QHBoxLayout()
        for title, number in (("Rows", self.rows), ("Columns", self.columns)):
            label = QLabel(title)
            label.setBuddy(number)
            size.addWidget(label)
            size.addWidget(number)
            size.addSpacing(12)
        size.addStretch(1)
        close = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        close.rejected.connect(self.reject)
        whole = QVBoxLayout(self)
        whole.setSpacing(10)
        whole.addLayout(size)
        whole.addLayout(self._grid)
        whole.addWidget(close)
        self._show(layouts.custom)
        self.rows.valueChanged.connect(self._resize)
        self.columns.valueChanged.connect(self._resize)

    def _resize(self) -> None:
        size = (self.rows.value(), self.columns.value())
        self._use(self._layouts.custom.with_size(*size))

    def _use(self, custom: Custom) -> None:
        self._layouts.use_custom(custom)
        self._show(custom)

    def _show(self, custom: Custom) -> None:
        for box in self.boxes:
            self._grid.removeWidget(box)
            box.deleteLater()
        self.boxes = [self._box(k, cell) for k, cell in enumerate(custom.cells)]
        for k, box in enumerate(self.boxes):
            self._grid.addWidget(box, *divmod(k, custom.columns))
        for column in range(LARGEST[1]):  # as wide as each other, as the cells are
            self._grid.setColumnStretch(column, int(column < custom.columns))
        # A dialog that grew for a third row stays so with two: its rows would stand far apart.
        QTimer.singleShot(0, self, self.adjustSize)

    def _box(self, at: int, cell: str) -> ChoiceBox:
        box = ChoiceBox()
        box.setAccessibleName(f"Cell {at + 1}")
        box.addItem("Nothing", NOTHING)
        for name, title in self._layouts.titles.items():
            box.addItem(title, name)
        box.setCurrentIndex(box.findData(cell))
        box.activated.connect(
            lambda k: self._use(self._layouts.custom.with_cell(at, box.itemData(k)))
        )
        return box
