"""Sets the brush beside the images: what it does, its form and size, and what was painted."""

from __future__ import annotations

import math

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtWidgets import (
    QButtonGroup,
    QDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QRadioButton,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from app.viewmodels.images.brush import SIZES_MM, Brush
from app.viewmodels.images.tools import Tool
from app.viewmodels.images.viewer import Viewer

#: Steps of the slider, which runs evenly through the logarithm of the size.
STEPS = 200

#: What the mouse does with the brush.
MOUSE = "Ctrl + drag wipes · Alt + wheel changes the size · Ctrl+Z takes a stroke back"


class BrushDialog(QDialog):
    """Stays open beside the images; closing it lays the brush down, and what was painted stays."""

    def __init__(self, brush: Brush, viewer: Viewer, parent: QWidget) -> None:
        super().__init__(parent)
        self._brush = brush
        self._viewer = viewer
        self.setWindowTitle("Brush")
        self.setModal(False)
        self.paints, self.wipes = QRadioButton("Paint"), QRadioButton("Wipe away")
        self.disc, self.ball = QRadioButton("Disc in the plane"), QRadioButton("Ball")
        self._groups = [
            self._pair(*pair) for pair in ((self.paints, self.wipes), (self.disc, self.ball))
        ]
        self.wipes.toggled.connect(lambda on: brush.set(erases=on))
        self.ball.toggled.connect(lambda on: brush.set(is_ball=on))
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, STEPS)
        self.slider.setAccessibleName("Diameter of the brush")
        self.slider.valueChanged.connect(lambda step: brush.set(size_mm=_size_of(step)))
        self.millimetres = QLabel()
        self.millimetres.setMinimumWidth(self.fontMetrics().horizontalAdvance("120.0 mm "))
        self.words, mouse = QLabel(), QLabel(MOUSE)
        for label in (self.words, mouse):
            label.setWordWrap(True)
        mouse.setProperty("dim", True)
        self.new = QPushButton("New label")
        self.new.setToolTip("The next stroke begins another label")
        self.new.clicked.connect(lambda _=False: brush.begin_label())
        close = QPushButton("Close")
        close.clicked.connect(self.reject)
        form = QFormLayout()
        form.addRow("Left button", _row(self.paints, self.wipes))
        form.addRow("Form", _row(self.disc, self.ball))
        form.addRow("Diameter", _row(self.slider, self.millimetres))
        column = QVBoxLayout(self)
        column.addLayout(form)
        column.addWidget(self.words)
        column.addWidget(mouse)
        column.addLayout(_row(self.new, close))
        self.setMinimumWidth(340)
        self.rejected.connect(self._lay_down)
        for signal in (brush.changed, viewer.tool_changed):
            signal.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Take over the brush; another tool in the hand closes this."""
        brush = self._brush
        if self.isVisible() and not brush.in_hand:
            self.hide()
        for button, on in (
            (self.paints, not brush.erases), (self.wipes, brush.erases),
            (self.disc, not brush.is_ball), (self.ball, brush.is_ball),
        ):  # fmt: skip
            with QSignalBlocker(button):
                button.setChecked(on)
        with QSignalBlocker(self.slider):
            self.slider.setValue(_step_of(brush.size_mm))
        self.millimetres.setText(f"{brush.size_mm:.1f} mm")
        self.words.setText(brush.words)
        self.new.setEnabled(brush.label is not None)

    def _lay_down(self) -> None:
        if self._brush.in_hand:
            self._viewer.choose_tool(Tool.CROSSHAIR)

    def _pair(self, one: QRadioButton, other: QRadioButton) -> QButtonGroup:
        group = QButtonGroup(self)
        group.addButton(one)
        group.addButton(other)
        return group


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget, int(isinstance(widget, QSlider)))
    return row


def _size_of(step: int) -> float:
    low, high = SIZES_MM
    return float(low * (high / low) ** (step / STEPS))


def _step_of(size_mm: float) -> int:
    low, high = SIZES_MM
    return round(math.log(size_mm / low) / math.log(high / low) * STEPS)
