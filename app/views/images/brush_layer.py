"""The brush over one slice view: its ring under the mouse, and the strokes of the left button.

A sheet on the view; it decides nothing: the view gets the events that the brush does not take.
"""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QEvent, QObject, QPointF, Qt
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPen, QWheelEvent

from app.viewmodels.images.brush import Brush
from app.viewmodels.images.mouse import left_is_taken
from app.views.images.slice_view import NOTCH, SliceView
from app.views.parts import theme
from app.views.parts.painting import painted
from app.views.parts.sheet import Sheet
from med2e3.geometry import Float

#: Widths of the ring and of its dark rim, in logical pixels.
LINE, RIM = 1.4, 3.4


class BrushLayer(Sheet):
    """The ring of one view."""

    def __init__(self, view: SliceView, brush: Brush) -> None:
        super().__init__(view)
        self._view = view
        self._brush = brush
        self._at: QPointF | None = None
        self._wipes = False
        brush.changed.connect(self.refresh)
        view.viewer.tool_changed.connect(self.refresh)
        view.viewer.zoomed.connect(lambda _: self.update())
        self.refresh()

    def refresh(self) -> None:
        """Lie over the view while the brush is in the hand."""
        self.cover()
        self.setVisible(self._brush.in_hand)
        self.update()

    @painted
    def paintEvent(self, painter: QPainter) -> None:
        """A ring as large as the brush; dashed while it wipes away."""
        viewport = self._view.viewport()
        if self._at is None or viewport is None:
            return
        radius = self._brush.size_mm / 2 * viewport.pixels_per_mm
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        label = self._brush.label
        ink = QColor(theme.DARK.accent if label is None else label.colour)
        for colour, width in ((QColor(0, 0, 0, 170), RIM), (ink, LINE)):
            pen = QPen(colour, width)
            if self._wipes or self._brush.erases:
                pen.setDashPattern([5.0 / width, 4.0 / width])
            painter.setPen(pen)
            painter.drawEllipse(self._at, radius, radius)

    # --- mouse -----------------------------------------------------------------------------

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Take the left button and Alt + wheel while the brush is in the hand."""
        super().eventFilter(watched, event)
        if not self._brush.in_hand:
            return False
        if event.type() == QEvent.Type.Leave:
            self._at = None
            self.update()
        elif isinstance(event, QWheelEvent):
            return self._wheel(event)
        elif isinstance(event, QMouseEvent):
            return self._mouse(event)
        return False

    def _wheel(self, event: QWheelEvent) -> bool:
        if not event.modifiers() & Qt.KeyboardModifier.AltModifier:
            return False
        delta = event.angleDelta().y() or event.angleDelta().x()  # Qt turns it where Alt is held
        self._brush.grow(delta / NOTCH)
        event.accept()
        return True

    def _mouse(self, event: QMouseEvent) -> bool:
        kind, left = event.type(), Qt.MouseButton.LeftButton
        self._at = event.position()
        self._wipes = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        self.update()
        place = self._place(event.position())
        if place is None:
            return False
        if kind == QEvent.Type.MouseMove and self._brush.painting:
            self._brush.move(*place)
            return False  # the view reads the voxel under the mouse in any case
        if event.button() != left or self._belongs_to_view(event):
            return False
        if kind in (QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonDblClick):
            self._view.setFocus()
            self._brush.press(*place, erases=self._wipes)
            return True
        if kind == QEvent.Type.MouseButtonRelease and self._brush.painting:
            self._brush.release()
            return True
        return False

    def _belongs_to_view(self, event: QMouseEvent) -> bool:
        """Whether Space or Shift gives the left button another meaning."""
        if self._brush.painting:
            return False
        shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        return left_is_taken(self._view.viewer, shift=shift)

    def _place(self, at: QPointF) -> tuple[Float, Float] | None:
        """The place under the mouse in LPS mm, and the unit normal of the slice there."""
        state, viewport = self._view.state, self._view.viewport()
        if state is None or viewport is None:
            return None
        row, column = viewport.to_index(at.x(), at.y())
        return np.asarray(state.mm_at(row, column)), state.normal
