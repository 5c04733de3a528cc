"""Scores of one answer as bars over the model's slices, on the fixed scale, with the ×1 line."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QLineF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QHelpEvent, QMouseEvent, QPainter, QPen
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from app.rendering import colours
from app.viewmodels.assistant.strip import BandCell, Strip
from app.views.parts import theme
from app.views.parts.painting import painted
from med2e3 import score_scale

#: Heights of the form in the chat and of the one in the tab; the latter has room for the scale.
COMPACT, FULL = 26, 88
SCALE_W = 30.0

#: Multiples written at the scale: those that do not touch each other at this height.
LABELLED = (1.0, 4.0, 32.0)


class ScoreBars(QWidget):
    """One bar a model slice, from the first to the last in display order."""

    def __init__(self, jump: Callable[[BandCell], object], *, compact: bool = False) -> None:
        super().__init__()
        self._jump = jump
        self._compact = compact
        self._strip: Strip | None = None
        self.setFixedHeight(COMPACT if compact else FULL)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAccessibleName("Slice scores")

    def show_strip(self, strip: Strip | None) -> None:
        """Show other scores, or none."""
        self._strip = strip
        self.setVisible(strip is not None and strip.cells[0].times_uniform is not None)
        self.update()

    def sizeHint(self) -> QSize:
        """Wide enough to tell 32 bars apart."""
        return QSize(220, self.height())

    def bar_rects(self) -> list[QRectF]:
        """The full column of each bar."""
        if self._strip is None:
            return []
        left = 0.0 if self._compact else SCALE_W
        width = (self.width() - left) / len(self._strip.cells)
        return [
            QRectF(left + k * width, 2, width, self.height() - 4)
            for k in range(len(self._strip.cells))
        ]

    @painted
    def paintEvent(self, painter: QPainter) -> None:
        """Bars, the line of uniform, and the scale where there is room."""
        if self._strip is None:
            return
        colour = theme.current()
        for cell, column in zip(self._strip.cells, self.bar_rects(), strict=True):
            times = cell.times_uniform or 0.0
            gap = 1.0 if column.width() > 4 else 0.0
            bar = column.adjusted(0, 0, -gap, 0)
            painter.fillRect(bar, QColor(colour.field))
            bar.setTop(bar.bottom() - max(score_scale.position(times) * bar.height(), 1.0))
            painter.fillRect(bar, colours.score_colour(times))
        self._paint_scale(painter)

    def _paint_scale(self, painter: QPainter) -> None:
        colour = theme.current()
        small = painter.font()
        small.setPointSizeF(max(small.pointSizeF() - 1.5, 6.5))
        painter.setFont(small)
        left = 0.0 if self._compact else SCALE_W
        height = self.height() - 4.0
        for mark in score_scale.MARKS:
            y = 2 + height * (1 - score_scale.position(mark))
            if mark == 1.0:
                painter.setPen(QPen(QColor(colour.text), 1, Qt.PenStyle.DashLine))
                painter.drawLine(QLineF(left, y, self.width(), y))
            if not self._compact and mark in LABELLED:
                painter.setPen(QColor(colour.dim))
                label = QRectF(0, y - 7, SCALE_W - 5, 14)
                label.moveTop(max(label.top(), 0.0))
                flags = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                painter.drawText(label, int(flags), f"×{mark:.0f}")

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Bring the view to the band."""
        cell = self._cell_at(event.position().x())
        if cell is not None:
            self._jump(cell)

    def event(self, event: QEvent) -> bool:
        """The tooltip of the bar under the mouse."""
        if isinstance(event, QHelpEvent) and event.type() is QEvent.Type.ToolTip:
            cell = self._cell_at(event.pos().x())
            QToolTip.showText(event.globalPos(), "" if cell is None else cell.tip, self)
            return True
        return super().event(event)

    def _cell_at(self, x: float) -> BandCell | None:
        if self._strip is None:
            return None
        rects = self.bar_rects()
        return next(
            (
                cell
                for cell, rect in zip(self._strip.cells, rects, strict=True)
                if rect.left() <= x < rect.right()
            ),
            None,
        )
