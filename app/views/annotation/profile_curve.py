"""The values along a line as a curve: from its first point on the left to its last on the right."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.imaging import numbers, windows
from app.views.parts import theme
from app.views.parts.painting import painted
from med2e3.geometry import Float

#: Height of the curve and of the line of words below it, in logical pixels.
CURVE, WORDS = 64, 18

#: Space above and below the curve, so that its line is not cut.
EDGE = 2.0


class ProfileCurve(QWidget):
    """Draws what `show_profile` is given."""

    def __init__(self) -> None:
        super().__init__()
        self.along: Float = np.zeros(0)
        self.values: Float = np.zeros(0)
        self._unit = ""
        self.setFixedHeight(CURVE + WORDS)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Values along the line")

    def show_profile(self, found: tuple[Float, Float] | None, unit: str) -> None:
        """Draw distances (n,) in mm and values (n,); hide without any."""
        self.setVisible(found is not None)
        if found is not None:
            self.along, self.values = found
            self._unit = unit
            self.update()

    @painted
    def paintEvent(self, painter: QPainter) -> None:
        """The curve from its lowest to its highest value; both ends in words."""
        if not len(self.values):
            return
        colours = theme.current()
        low, high = float(self.values.min()), float(self.values.max())
        across = (self.along - self.along[0]) / max(float(np.ptp(self.along)), 1e-9)
        up = (self.values - low) / max(high - low, 1e-9)
        x = across * (self.width() - 2 * EDGE) + EDGE
        y = CURVE - EDGE - up * (CURVE - 2 * EDGE)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(colours.accent), 1.4))
        painter.drawPolyline(QPolygonF([QPointF(*at) for at in zip(x, y, strict=True)]))
        painter.setPen(QColor(colours.dim))
        line = QRectF(0, CURVE + 2, self.width(), WORDS - 2)
        ends = f"{numbers.value(low)} to {windows.with_unit(numbers.value(high), self._unit)}"
        painter.drawText(line, Qt.AlignmentFlag.AlignLeft, ends)
        painter.drawText(line, Qt.AlignmentFlag.AlignRight, f"{float(self.along[-1]):.1f} mm")
