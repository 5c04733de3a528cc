"""Prompts over one slice view: what the left button points at or draws is told to `Clicking`."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QEvent, QObject, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPen, QPolygonF

from app.viewmodels.images.clicking import Clicking, Drawn
from app.viewmodels.images.mouse import left_is_taken
from app.views.images.slice_view import SliceView
from app.views.parts import theme
from app.views.parts.painting import painted
from app.views.parts.sheet import Sheet

#: Widths of a line and of its rim, in logical pixels.
LINE, RIM = 1.6, 3.6


class ClickLayer(Sheet):
    """The prompt on its way in one view; the view gets the events that are not taken."""

    def __init__(self, view: SliceView, clicking: Clicking) -> None:
        super().__init__(view)
        self._view = view
        self._clicking = clicking
        self._path: list[QPointF] = []
        clicking.changed.connect(self.refresh)
        view.viewer.tool_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Lie over the view while prompts are given."""
        self.cover()
        self.setVisible(self._clicking.in_hand)
        self.update()

    @painted
    def paintEvent(self, painter: QPainter) -> None:
        """What is being drawn: a box, or a line."""
        if len(self._path) < 2:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for ink, width in ((QColor(0, 0, 0, 170), RIM), (QColor(theme.DARK.accent), LINE)):
            painter.setPen(QPen(ink, width))
            if self._clicking.drawn is Drawn.BOX:
                painter.drawRect(QRectF(self._path[0], self._path[-1]).normalized())
            else:
                painter.drawPolyline(QPolygonF(self._path))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Take the left button while prompts are given."""
        super().eventFilter(watched, event)
        if not self._clicking.in_hand or not isinstance(event, QMouseEvent):
            return False
        kind = event.type()
        if kind == QEvent.Type.MouseMove and self._path:
            self._path.append(event.position())
            self.update()
            return False
        if event.button() != Qt.MouseButton.LeftButton or self._belongs_to_view(event):
            return False
        if kind in (QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonDblClick):
            self._path = [event.position()]
            return True
        if kind == QEvent.Type.MouseButtonRelease and self._path:
            self._end(event)
            return True
        return False

    def _belongs_to_view(self, event: QMouseEvent) -> bool:
        """Whether Space or Shift gives the left button another meaning."""
        shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        return not self._path and left_is_taken(self._view.viewer, shift=shift)

    def _end(self, event: QMouseEvent) -> None:
        path, self._path = [*self._path, event.position()], []
        state, viewport = self._view.state, self._view.viewport()
        self.update()
        if state is None or viewport is None:
            return
        places = [state.mm_at(*viewport.to_index(at.x(), at.y())) for at in path]
        wipes = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        self._clicking.prompt(np.array(places), state.normal, positive=not wipes)
