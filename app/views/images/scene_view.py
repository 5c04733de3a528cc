"""The 3D view: the latest frame with its annotations, its controls, and what the mouse does to it.

Left drag turns, wheel and right drag zoom, middle drag and Space+drag pan, Shift+drag up and down
shifts what is opaque; with the clipping box, its handles are dragged. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import (
    QColor,
    QHideEvent,
    QImage,
    QMouseEvent,
    QPainter,
    QResizeEvent,
    QShowEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.rendering import markings
from app.rendering.scene import clip_box
from app.rendering.scene.clip_box import Handle
from app.rendering.scene.cube import draw_cube
from app.viewmodels.images.overlays import Overlays
from app.viewmodels.images.scene import RenderedFrame, Scene
from app.viewmodels.images.viewer import Viewer
from app.views.images.slice_view import DRAG_ZOOM, NOTCH, NOTCH_ZOOM
from app.views.parts import theme
from app.views.parts.painting import painted
from med2e3.geometry import direction_letters

#: Half the side of the orientation cube, and the distance of its middle from the corner.
CUBE, CUBE_PLACE = 15.0, 40.0

#: HU that a Shift+drag of one pixel shifts the curves of the preset.
SHIFT_A_PIXEL = 1.5

PREPARING = "Preparing…"

#: Said while something lies over the planes that is not seen here, and of what is: nobody must take
#: it for absent, nor for the place where the picture hides it.
FLAT_ONLY = "overlays of values, boxes:\nin the planes only"
MASKS = "masks: coarse,\nbefore all else"


class SceneView(QWidget):
    """The picture."""

    def __init__(
        self, scene: Scene, viewer: Viewer, enlarge: Callable[[], object], overlays: Overlays
    ) -> None:
        """`enlarge` lets the view fill the centre, or gives it back."""
        super().__init__()
        self._overlays = overlays
        self._enlarge = enlarge
        self.scene = scene
        self._viewer = viewer
        self._button = Qt.MouseButton.NoButton
        self._last = QPointF()
        self._handle: Handle | None = None
        self._image: tuple[RenderedFrame, QImage] | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(QSize(120, 100))
        self.setMouseTracking(True)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setAccessibleName("3D view")
        scene.changed.connect(self.update)
        scene.frame_changed.connect(self.update)
        overlays.changed.connect(self.update)

    # --- painting --------------------------------------------------------------------------

    def background(self) -> QColor:
        """Black as around every image: on white, letters and the gaps in thin bone are lost."""
        return theme.IMAGE_BACKGROUND

    @painted
    def paintEvent(self, painter: QPainter) -> None:
        """The frame, stretched while it is coarse, and what is written over it."""
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.fillRect(self.rect(), self.background())
        scene, frame = self.scene, self.scene.frame
        if scene.message is not None:
            self._say(painter, scene.message.sentence)
        elif frame is None:
            self._say(painter, scene.doing or (PREPARING if scene.extent else ""))
        else:
            painter.drawImage(QRectF(self.rect()), self._picture(frame))
            self._annotate(painter, frame)

    def _picture(self, frame: RenderedFrame) -> QImage:
        if self._image is None or self._image[0] is not frame:
            rows, columns = frame.pixels.shape
            form = QImage.Format.Format_ARGB32_Premultiplied
            data, stride = frame.pixels.data, frame.pixels.strides[0]
            self._image = (frame, QImage(data, columns, rows, stride, form))
        return self._image[1]

    def _say(self, painter: QPainter, text: str) -> None:
        painter.setPen(QColor(theme.DARK.dim))
        flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
        painter.drawText(self.rect().adjusted(24, 12, -24, -12), int(flags), text)

    def _annotate(self, painter: QPainter, frame: RenderedFrame) -> None:
        """Letters and cube belong to the frame that is shown, not to the one that is coming."""
        size, scene = QRectF(self.rect()), self.scene
        right, up, _ = frame.look.camera.axes
        letters = [direction_letters(v) for v in (-right, right, up, -up)]
        projection = scene.projection(self.width(), self.height())
        if projection is not None and scene.extent is not None:
            if scene.clipping:
                accent = QColor(theme.DARK.accent)  # on black in both themes
                clip_box.draw_box(painter, scene.look.clip, scene.extent, projection, accent)
            markings.draw_scale_bar(painter, size, projection.pixels_per_mm)
        bar = markings.scale_bar_height(painter)
        markings.draw_letters(painter, size, letters, bar)
        place = (self.width() - CUBE_PLACE, self.height() - CUBE_PLACE)
        draw_cube(painter, frame.look.camera, place, CUBE)
        if self._viewer.corner_text:
            markings.draw_corners(painter, size, self.corner_texts(), letters[2])

    def corner_texts(self) -> dict[Qt.AlignmentFlag, str]:
        """Preset with its shift; what is not shown in full."""
        align, look = Qt.AlignmentFlag, self.scene.look
        title = f"3D\n{look.preset} {self.scene.shift_text}".rstrip()
        overlays = self._overlays
        layers = [one for one in overlays.layers if one.visible]
        flat = any(not x.labels for x in layers) or any(x.visible for x in overlays.boxes)
        masks = any(x.labels for x in layers)
        notes = (FLAT_ONLY * flat, MASKS * masks, self.scene.note.replace(": ", ":\n"))
        return {
            align.AlignLeft | align.AlignTop: title,
            align.AlignLeft | align.AlignBottom: "\n".join(filter(None, notes)),
        }

    # --- size and visibility ---------------------------------------------------------------

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Frames of the new size."""
        ratio = self.devicePixelRatioF()
        self.scene.resize((round(self.width() * ratio), round(self.height() * ratio)))

    def showEvent(self, event: QShowEvent) -> None:
        """Frames are made from now on."""
        self.scene.show(shown=True)

    def hideEvent(self, event: QHideEvent) -> None:
        """Nobody looks: no frames."""
        self.scene.show(shown=False)

    # --- mouse -----------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Start a drag."""
        self._last = event.position()
        self._button = event.button()
        self._handle = self._handle_at(event.position())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Turn, zoom, pan, shift, or move a face of the box."""
        moved, self._last = event.position() - self._last, event.position()
        left = self._button == Qt.MouseButton.LeftButton
        if self._button == Qt.MouseButton.NoButton:
            self._point_at(event.position())
        elif left and self._handle is not None:
            self._drag_handle(self._handle, moved)
        elif left and event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self.scene.shift(self.scene.look.shift_hu - moved.y() * SHIFT_A_PIXEL)
        elif self._button == Qt.MouseButton.RightButton:
            self.scene.zoom(DRAG_ZOOM ** (-moved.y() / 100))
        elif self._button == Qt.MouseButton.MiddleButton or (left and self._viewer.space_held):
            self._pan(moved)
        elif left:
            self.scene.turn(moved.x(), moved.y())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End a drag."""
        self._button, self._handle = Qt.MouseButton.NoButton, None

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Fill the centre with this view, or show all again."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._enlarge()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom."""
        delta = event.angleDelta().y() or event.angleDelta().x()
        self.scene.zoom(NOTCH_ZOOM ** (delta / NOTCH))
        event.accept()

    def _handle_at(self, at: QPointF) -> Handle | None:
        projection = self.scene.projection(self.width(), self.height())
        extent = self.scene.extent
        if projection is None or extent is None or not self.scene.clipping:
            return None
        found = clip_box.handles(self.scene.look.clip, extent, projection)
        return clip_box.handle_at(found, at.x(), at.y())

    def _point_at(self, at: QPointF) -> None:
        shape = Qt.CursorShape
        self.setCursor(shape.PointingHandCursor if self._handle_at(at) else shape.ArrowCursor)

    def _drag_handle(self, handle: Handle, moved: QPointF) -> None:
        old = self.scene.look.clip[handle.axis][handle.end]
        share = handle.fraction_for(moved.x(), moved.y())
        self.scene.clip_to(handle.axis, handle.end, old + share)

    def _pan(self, moved: QPointF) -> None:
        projection = self.scene.projection(self.width(), self.height())
        if projection is not None:
            scale = projection.pixels_per_mm
            self.scene.pan(moved.x() / scale, -moved.y() / scale)
