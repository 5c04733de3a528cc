"""Overlays over one slice view: a clear sheet on it that paints masks, volumes and boxes.

Letters, scale bar and texts of the view stand over them, whatever their opacity.
Lets the mouse through. Decides nothing: what is shown is in `Overlays`, where it lies follows from
the slice's millimetres.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPen, QPolygonF

from app.imaging.viewport import Viewport
from app.rendering import markings
from app.rendering import overlay_pixels as pixels
from app.rendering.overlay_pixels import PixelPlane
from app.viewmodels.images.layers import BoxMark, Layer
from app.viewmodels.images.overlays import Overlays
from app.views.images.slice_view import SliceView
from app.views.parts.painting import painted
from app.views.parts.sheet import Sheet

#: Width of outlines and boxes, and of the dark rim of a box, in logical pixels.
LINE, RIM = 1.3, 3.2


class OverlayLayer(Sheet):
    """The overlays of one view."""

    def __init__(self, view: SliceView, overlays: Overlays) -> None:
        super().__init__(view)
        self._view = view
        self._overlays = overlays
        # By the layers themselves: a number of one that is gone may be that of a newer one.
        self._painted: dict[Layer, QImage] = {}
        self._ids: dict[Layer, NDArray[np.intp]] = {}
        self._plane_key: tuple[object, ...] = ()
        self.lower()  # measurements are drawn over masks
        viewer = view.viewer
        for signal in (viewer.slices_changed, viewer.volume_changed):
            signal.connect(self.update)
        overlays.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Take over the overlays; without any the sheet is away and costs nothing."""
        for kept in (self._painted, self._ids):
            for gone in kept.keys() - set(self._overlays.layers):
                del kept[gone]
        self.cover()
        self.setVisible(not self._overlays.empty)
        self._view.covered = not self._overlays.empty
        self.update()
        self._view.update()

    def plane(self) -> PixelPlane | None:
        """The slice of the view in the patient; None while there is none."""
        state, viewport = self._view.state, self._view.viewport()
        if state is None or viewport is None:
            return None
        origin = state.mm_at(0, 0)
        down, across = state.mm_at(1, 0) - origin, state.mm_at(0, 1) - origin
        return PixelPlane(origin, down, across, viewport.shape)

    @painted
    def paintEvent(self, painter: QPainter) -> None:
        """Layers from the first to the latest, boxes on top, and the view's writing over all."""
        plane, viewport = self.plane(), self._view.viewport()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if plane is not None and viewport is not None and self._overlays.belongs:
            self._keep_for(plane)
            self._paint(painter, plane, viewport)
        self._view.write_over(painter)

    def _paint(self, painter: QPainter, plane: PixelPlane, viewport: Viewport) -> None:
        for layer in self._overlays.layers:
            if layer.visible and layer.labels:
                self._paint_labels(painter, layer, plane, viewport)
            elif layer.visible:
                self._paint_values(painter, layer, plane, viewport)
        for box in self._overlays.boxes:
            if box.visible:
                _paint_box(painter, box, plane, viewport)

    def _keep_for(self, plane: PixelPlane) -> None:
        """What was resampled is kept as long as the slice is the same."""
        steps = (plane.origin_mm, plane.row_mm, plane.column_mm)
        key = (plane.shape, *(tuple(np.round(v, 6)) for v in steps))
        if key != self._plane_key:
            self._plane_key = key
            self._painted.clear()
            self._ids.clear()

    def _paint_values(
        self, painter: QPainter, layer: Layer, plane: PixelPlane, viewport: Viewport
    ) -> None:
        if layer not in self._painted:
            self._painted[layer] = _image(pixels.value_pixels(layer, plane))
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, not layer.stepped)
        painter.drawImage(QRectF(*viewport.image_rect()), self._painted[layer])

    def _paint_labels(
        self, painter: QPainter, layer: Layer, plane: PixelPlane, viewport: Viewport
    ) -> None:
        if layer not in self._painted:
            self._ids[layer] = pixels.label_ids(layer, plane)
            self._painted[layer] = _image(pixels.label_pixels(layer, self._ids[layer]))
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
        painter.drawImage(QRectF(*viewport.image_rect()), self._painted[layer])
        ids = self._ids[layer]
        for number in np.unique(ids[ids > 0]):
            painter.setPen(QPen(QColor(layer.labels[int(number) - 1].colour), LINE))
            painter.drawLines(_lines(pixels.outline(ids == number), viewport))


def _image(values: NDArray[np.uint32]) -> QImage:
    """An image of its own: the array need not live on."""
    rows, columns = values.shape
    form = QImage.Format.Format_ARGB32_Premultiplied
    return QImage(values.data, columns, rows, values.strides[0], form).copy()


def _lines(runs: NDArray[np.float64], viewport: Viewport) -> list[QLineF]:
    x0, y0 = viewport.to_screen(0, 0)
    x1, y1 = viewport.to_screen(1, 1)
    scale, offset = np.array([y1 - y0, x1 - x0] * 2), np.array([y0, x0] * 2)
    return [QLineF(x, y, u, v) for y, x, v, u in (runs * scale + offset).tolist()]


def _paint_box(painter: QPainter, box: BoxMark, plane: PixelPlane, viewport: Viewport) -> None:
    corners = pixels.box_outline(box.corners_mm, plane)
    if not corners:
        return
    polygon = QPolygonF([QPointF(*viewport.to_screen(row, column)) for row, column in corners])
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for ink, width in ((QColor(0, 0, 0, 150), RIM), (QColor(box.colour), LINE)):
        painter.setPen(QPen(ink, width))
        painter.drawPolygon(polygon)
    around = polygon.boundingRect()
    place = QRectF(around.left(), around.top() - 18, max(around.width(), 60), 17)
    flags = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignBottom
    markings.draw_text(painter, place, flags, box.name.split(":")[0], QColor(box.colour))
