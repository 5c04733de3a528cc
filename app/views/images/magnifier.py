"""A lens over a view: what is under the mouse, three times as large, while it is switched on."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPainterPath, QPen
from PySide6.QtWidgets import QWidget

from app.rendering import bands
from app.rendering.grey import as_picture, grey_map
from app.views.images.slice_view import SliceView
from app.views.parts import theme
from app.views.parts.painting import painted

#: How much larger, and the diameter of the lens in logical pixels.
TIMES, DIAMETER = 3.0, 190


class Magnifier(QWidget):
    """The lens of one view; it lets the mouse through."""

    def __init__(self, view: SliceView) -> None:
        super().__init__(view)
        self._view = view
        self._at: QPointF | None = None
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.resize(DIAMETER, DIAMETER)
        self.hide()
        view.installEventFilter(self)
        view.viewer.tool_changed.connect(self._switched)
        for signal in (view.viewer.slices_changed, view.viewer.window_changed):
            signal.connect(self.update)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follow the mouse."""
        if event.type() == QEvent.Type.Leave:
            self._at = None
            self.hide()
        elif isinstance(event, QMouseEvent):
            self._at = event.position()
            self._switched()
        return False

    def _switched(self) -> None:
        at = self._at
        if at is None or not self._view.viewer.magnified or self._view.state is None:
            self.hide()
            return
        self.move(round(at.x()) - DIAMETER // 2, round(at.y()) - DIAMETER // 2)
        self.show()
        self.raise_()
        self.update()

    @painted
    def paintEvent(self, painter: QPainter) -> None:
        """The slice about the mouse in a circle, with a rim."""
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        circle = QRectF(self.rect()).adjusted(1, 1, -1, -1)
        path = QPainterPath()
        path.addEllipse(circle)
        painter.setClipPath(path)
        painter.fillRect(self.rect(), theme.IMAGE_BACKGROUND)
        self._draw_slice(painter)
        painter.setClipping(False)
        painter.setPen(QPen(QColor(theme.DARK.accent), 1.5))
        painter.drawEllipse(circle)

    def _draw_slice(self, painter: QPainter) -> None:
        state, viewport, viewer = self._view.state, self._view.viewport(), self._view.viewer
        if state is None or viewport is None or self._at is None:
            return
        larger = viewport.zoomed(TIMES, self._at.x(), self._at.y())
        patch = state.drawn(viewport)
        grey = grey_map(viewer.window, viewer.inverted, viewer.colours)
        picture = as_picture(grey.pixels(patch.values))
        place = QRectF(*patch.rect(larger)).translated(-self.x(), -self.y())
        smooth = viewer.display.interpolation
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, smooth)
        bands.draw_image(painter, place, picture.image, self.rect())
