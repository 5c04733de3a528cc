"""One image that belongs to no volume, as a view: window, zoom and pan by the mouse, texts over it.

On a scout the open volume's slices are lines: the one shown in the accent colour, the first and the
last one thin. Decides nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import (
    QColor,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPen,
    QPolygonF,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.imaging.colour_names import ColourMap
from app.imaging.viewport import Viewport
from app.rendering import bands, markings
from app.rendering.grey import as_picture, grey_map
from app.viewmodels.study.pictures import SinglePictures
from app.views.parts import theme
from app.views.parts.painting import painted

#: One notch of a mouse wheel, in Qt's eighths of a degree; zoom of a notch, and of 100 pixels.
NOTCH, NOTCH_ZOOM, DRAG_ZOOM = 120, 1.15, 1.6

#: Widths of the line of the slice that is shown, and of the first and last one.
LINE, THIN = 1.6, 0.8

EMPTY = (
    "Images seen by themselves\n\n"
    "Click a scout, a capture, a dose page or an X-ray in the list of series."
)

LEFT = Qt.AlignmentFlag.AlignLeft
RIGHT = Qt.AlignmentFlag.AlignRight
TOP = Qt.AlignmentFlag.AlignTop
BOTTOM = Qt.AlignmentFlag.AlignBottom


class PictureView(QWidget):
    """The image. Left or right button: window; middle button: pan; wheel: next image, or zoom."""

    def __init__(self, pictures: SinglePictures) -> None:
        super().__init__()
        self.pictures = pictures
        self._last = QPointF()
        self._pressed = QPointF()
        self._held = Qt.MouseButton.NoButton
        self._wheel = 0
        self._drawn: tuple[object, ...] = ()
        self._picture: tuple[QImage, NDArray[np.generic]] | None = None
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(QSize(108, 120))
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setAccessibleName("Image seen by itself")
        pictures.changed.connect(self.update)
        pictures.looked.connect(self.update)

    def viewport(self) -> Viewport | None:
        """How the image lies on this widget."""
        return self.pictures.viewport(self.width(), self.height())

    # --- painting --------------------------------------------------------------------------

    @painted
    def paintEvent(self, painter: QPainter) -> None:
        """The image, the slices on it, and the texts; or what stands in its place."""
        painter.fillRect(self.rect(), theme.IMAGE_BACKGROUND)
        viewport = self.viewport()
        if viewport is None:
            self._say(painter)
            return
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        bands.draw_image(painter, QRectF(*viewport.image_rect()), self._image(), self.rect())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._draw_slices(painter, viewport)
        self._write(painter, viewport)
        if self.hasFocus():
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
            painter.setPen(QPen(QColor(theme.DARK.accent), 1.0))
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))

    def _say(self, painter: QPainter) -> None:
        """Why no image is there."""
        pictures = self.pictures
        words = EMPTY if not pictures.active else "Reading…"
        if pictures.message is not None:
            words = pictures.message.sentence
        painter.setPen(QColor(theme.DARK.dim))
        inside = self.rect().adjusted(24, 24, -24, -24)
        flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
        painter.drawText(inside, flags, words)

    def _image(self) -> QImage:
        """The pixels in their window; made anew only where these changed."""
        pictures, image = self.pictures, self.pictures.image
        assert image is not None
        inverted = pictures.inverted != image.is_inverted
        key = (image, pictures.window, inverted)
        if self._picture is None or self._drawn != key:
            self._drawn = key
            if image.is_colour:
                pixels = np.ascontiguousarray(255 - image.values if inverted else image.values)
                rows, columns, _ = pixels.shape
                form = QImage.Format.Format_RGB888
                self._picture = QImage(pixels.data, columns, rows, columns * 3, form), pixels
            else:
                grey = grey_map(pictures.window, inverted, ColourMap.GREY)
                values = image.values
                if values.dtype != np.int16:
                    values = values.astype(np.float32)
                picture = as_picture(grey.pixels(np.ascontiguousarray(values)))
                self._picture = picture.image, picture.pixels
        return self._picture[0]

    def _draw_slices(self, painter: QPainter, viewport: Viewport) -> None:
        """The slice of the active plane, and the first and last one of it."""
        accent, pale = QColor(theme.DARK.accent), QColor(theme.DARK.dim)
        for outline in self.pictures.range_outlines():
            _draw(painter, _polygon(outline, viewport), pale, THIN)
        outline_now = self.pictures.slice_outline()
        if outline_now is not None:
            _draw(painter, _polygon(outline_now, viewport), accent, LINE)

    def _write(self, painter: QPainter, viewport: Viewport) -> None:
        pictures, size = self.pictures, QRectF(self.rect())
        corners = {
            TOP | LEFT: "\n".join(pictures.whose()),
            BOTTOM | LEFT: "\n".join(pictures.where()),
            BOTTOM | RIGHT: "\n".join(pictures.how()),
        }
        image = pictures.image
        if image is not None and image.spacing_mm is not None:
            below = corners[BOTTOM | LEFT], corners[BOTTOM | RIGHT]
            markings.draw_scale_bar(painter, _above(painter, size, below), viewport.pixels_per_mm)
        markings.draw_corners(painter, size, {at: text for at, text in corners.items() if text})

    # --- mouse and keys ----------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Start a drag."""
        self._held = event.button()
        self._last = self._pressed = event.position()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Window, pan or zoom by the button that is held; read the value under the mouse."""
        moved, self._last = event.position() - self._last, event.position()
        viewport = self.viewport()
        if viewport is None:
            return
        self.pictures.hover(*viewport.to_index(self._last.x(), self._last.y()))
        if self._held == Qt.MouseButton.LeftButton:
            self.pictures.drag_window(moved.x(), moved.y())
        elif self._held == Qt.MouseButton.MiddleButton:
            self.pictures.look(viewport.panned(moved.x(), moved.y()))
        elif self._held == Qt.MouseButton.RightButton:
            factor = DRAG_ZOOM ** (-moved.y() / 100)
            self.pictures.look(viewport.zoomed(factor, self._pressed.x(), self._pressed.y()))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End a drag."""
        self._held = Qt.MouseButton.NoButton

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Fit the image into the view again."""
        self.pictures.reset()

    def leaveEvent(self, event: QEvent) -> None:
        """No value is under the mouse any more."""
        self.pictures.leave()
        super().leaveEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """The next image of the series; with Ctrl held, or where it is the only one, zoom."""
        viewport = self.viewport()
        if viewport is None:
            return
        event.accept()
        zooms = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        if zooms or self.pictures.count < 2:
            at = event.position()
            factor = NOTCH_ZOOM ** (event.angleDelta().y() / NOTCH)
            self.pictures.look(viewport.zoomed(factor, at.x(), at.y()))
            return
        self._wheel += event.angleDelta().y()
        notches = int(self._wheel / NOTCH)
        self._wheel -= notches * NOTCH
        self.pictures.step(-notches)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """The keys that scroll slices go through the images here."""
        steps = {
            Qt.Key.Key_Up: -1, Qt.Key.Key_Left: -1, Qt.Key.Key_Down: 1, Qt.Key.Key_Right: 1,
            Qt.Key.Key_PageUp: -10, Qt.Key.Key_PageDown: 10,
            Qt.Key.Key_Home: -self.pictures.count, Qt.Key.Key_End: self.pictures.count,
        }  # fmt: skip
        by = steps.get(Qt.Key(event.key()))
        if by is None or not self.pictures.count:
            super().keyPressEvent(event)
            return
        self.pictures.step(by)


def _above(painter: QPainter, size: QRectF, below: tuple[str, str]) -> QRectF:
    """Where the scale bar stands: between both lower texts, or above them without room there."""
    metrics = painter.fontMetrics()
    widths = [max(map(metrics.horizontalAdvance, text.split("\n"))) for text in below]
    if 2 * (max(widths) + 2 * markings.MARGIN) + size.width() / 4 <= size.width():
        return size
    lines = max(len(text.split("\n")) for text in below)
    return size.adjusted(0, 0, 0, -lines * markings.line_height(painter.font()))


def _polygon(outline: NDArray[np.float64], viewport: Viewport) -> QPolygonF:
    return QPolygonF([QPointF(*viewport.to_screen(row, column)) for row, column in outline])


def _draw(painter: QPainter, shape: QPolygonF, colour: QColor, width: float) -> None:
    """A closed line with a dark rim."""
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for ink, wide in ((markings.SHADE, width + 2), (colour, width)):
        painter.setPen(QPen(ink, wide))
        painter.drawPolygon(shape)
