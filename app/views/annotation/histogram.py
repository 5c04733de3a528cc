"""The histogram of a region: how many pixels have which value, with the mean marked."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.imaging import numbers, windows
from app.views.parts import theme
from app.views.parts.painting import painted
from med2e3.geometry import Float
from med2e3.regions import histogram

#: Height of the bars and of the line of numbers below them, in logical pixels.
BARS, NUMBERS = 36, 18


class Histogram(QWidget):
    """Draws the distribution of the values of `show_values`."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: np.ndarray[tuple[int, ...], np.dtype[np.int64]] = np.zeros(0, np.int64)
        self.edges: Float = np.zeros(0)
        self._mean = 0.0
        self._ends = (0.0, 0.0)
        self._unit = ""
        self.setFixedHeight(BARS + NUMBERS)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_values(self, values: Float | None, unit: str) -> None:
        """Draw the values of a region; hide without any."""
        self.setVisible(values is not None)
        if values is not None:
            self.counts, self.edges = histogram(values)
            self._mean, self._unit = float(values.mean()), unit
            self._ends = float(values.min()), float(values.max())
            most = int(self.counts.max())
            self.setToolTip(f"{values.size} pixels; the highest bar has {most}")
            self.update()

    @painted
    def paintEvent(self, painter: QPainter) -> None:
        """Draw the bars, the mean as a line, and the range in numbers."""
        if not self.counts.size:
            return
        colours = theme.current()
        width = self.width() / len(self.counts)
        tall = BARS / float(self.counts.max())
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colours.dim))
        for k, count in enumerate(self.counts):
            height = float(count) * tall
            painter.drawRect(QRectF(k * width, BARS - height, max(width - 0.5, 0.5), height))
        low, high = float(self.edges[0]), float(self.edges[-1])
        x = (self._mean - low) / max(high - low, 1e-9) * self.width()
        painter.setPen(QPen(QColor(colours.accent), 1.5))
        painter.drawLine(QPointF(x, 0), QPointF(x, BARS))
        painter.setPen(QColor(colours.dim))
        line = QRectF(0, BARS + 2, self.width(), NUMBERS - 2)
        painter.drawText(line, Qt.AlignmentFlag.AlignLeft, numbers.value(self._ends[0]))
        highest = windows.with_unit(numbers.value(self._ends[1]), self._unit)
        painter.drawText(line, Qt.AlignmentFlag.AlignRight, highest)
