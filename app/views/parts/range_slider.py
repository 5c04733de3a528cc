"""A slider with two ends, for a range between 0 and 1. Knows nothing of what it sets."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.views.parts import theme
from app.views.parts.painting import painted

#: Radius of the two knobs, in logical pixels.
KNOB = 6.0


class RangeSlider(QWidget):
    """Two knobs on a line; `moved` says which end (0 or 1) was dragged, and where to."""

    moved = Signal(int, float)

    def __init__(self, name: str) -> None:
        super().__init__()
        self.values = (0.0, 1.0)
        self._held: int | None = None
        self.setAccessibleName(name)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMinimumWidth(40)

    def sizeHint(self) -> QSize:
        """A low slider, since three of them stand below a picture."""
        return QSize(80, round(2 * KNOB + 4))

    def show_values(self, low: float, high: float) -> None:
        """Show both ends, each 0..1."""
        if (low, high) != self.values:
            self.values = (low, high)
            self.update()

    def place(self, value: float) -> float:
        """The horizontal place in pixels of a value 0..1."""
        return KNOB + value * max(self.width() - 2 * KNOB, 1.0)

    @painted
    def paintEvent(self, painter: QPainter) -> None:
        """Paint the line, the part between the ends, and the knobs."""
        colours, y = theme.current(), self.height() / 2
        low, high = (self.place(value) for value in self.values)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for left, right, ink in (
            (self.place(0), self.place(1), colours.line),
            (low, high, colours.accent),
        ):
            painter.setPen(QPen(QColor(ink), 3))
            painter.drawLine(QPointF(left, y), QPointF(right, y))
        painter.setPen(QPen(QColor(colours.panel), 1))
        painter.setBrush(QColor(colours.text))
        for x in (low, high):
            painter.drawEllipse(QRectF(x - KNOB + 1, y - KNOB + 1, 2 * KNOB - 2, 2 * KNOB - 2))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take the nearer knob; of two at one place, the one that can move that way."""
        if event.button() != Qt.MouseButton.LeftButton:
            return
        x = event.position().x()
        low, high = (self.place(value) for value in self.values)
        self._held = 0 if x < (low + high) / 2 else 1
        self._drag(x)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Move the knob that is held."""
        self._drag(event.position().x())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Let the knob go."""
        self._held = None

    def _drag(self, x: float) -> None:
        if self._held is not None:
            span = max(self.width() - 2 * KNOB, 1.0)
            self.moved.emit(self._held, min(max((x - KNOB) / span, 0.0), 1.0))
