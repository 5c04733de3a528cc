"""The labels of overlays over the 3D view, as shaded surfaces: a clear sheet on it."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QEvent, QObject, QPointF, Qt
from PySide6.QtGui import QColor, QPainter, QPolygonF

from app.imaging.camera import Projection
from app.viewmodels.images.solids import LabelSolids, Solid
from app.views.images.scene_view import SceneView
from app.views.parts.painting import painted
from app.views.parts.sheet import Sheet
from med2e3.geometry import Float

#: Light on a face that looks at the light, and on one across it; where the light stands, in (right,
#: up, back), as the lamp of the picture below.
BRIGHT, DIM = 1.0, 0.35
LAMP = np.array([-0.35, 0.55, 1.0]) / np.linalg.norm([-0.35, 0.55, 1.0])


class SceneMasks(Sheet):
    """Surfaces over the picture: they are not hidden by what is before them in the patient."""

    def __init__(self, view: SceneView, solids: LabelSolids) -> None:
        super().__init__(view)
        self._view = view
        self._solids = solids
        view.scene.changed.connect(self.update)
        view.scene.frame_changed.connect(self.refresh)
        solids.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Take over the surfaces; without any, or without a picture, the sheet is away."""
        self.cover()
        scene = self._view.scene
        there = scene.frame is not None and scene.message is None
        self.setVisible(there and bool(self._solids.solids))
        self.update()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Surfaces are made while the view is seen."""
        if event.type() in (QEvent.Type.Show, QEvent.Type.Hide):
            self._solids.watch(watched=event.type() == QEvent.Type.Show)
        return super().eventFilter(watched, event)

    @painted
    def paintEvent(self, painter: QPainter) -> None:
        """The faces that look at the reader, the farthest first."""
        projection = self._view.scene.projection(self.width(), self.height())
        if projection is None:
            return
        painter.setPen(Qt.PenStyle.NoPen)
        for solid in self._solids.solids:
            painter.setOpacity(solid.opacity)
            _paint(painter, solid, projection)


def facing(solid: Solid, axes: Float) -> tuple[np.ndarray, np.ndarray]:
    """The triangles (n, 3) that look at the reader, the farthest first, and the light on each.

    `axes` (3, 3) are the directions right, up and back of the camera in LPS.
    """
    corners = solid.points.astype(np.float64)[solid.triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    seen = np.flatnonzero(normals @ axes[2] > 0)
    depth = corners[seen].mean(axis=1) @ axes[2]
    order = seen[np.argsort(depth, kind="stable")]
    light = np.clip((normals[order] @ axes.T) @ LAMP, 0.0, 1.0)
    return solid.triangles[order], DIM + (BRIGHT - DIM) * light


def _paint(painter: QPainter, solid: Solid, projection: Projection) -> None:
    triangles, lights = facing(solid, projection.camera.axes)
    places = projection.to_screen(solid.points.astype(np.float64))[:, :2]
    ink = QColor(solid.colour)
    inks = [
        QColor.fromRgbF(ink.redF() * k / 31, ink.greenF() * k / 31, ink.blueF() * k / 31)
        for k in range(32)
    ]
    points = [QPointF(x, y) for x, y in places.tolist()]
    for (a, b, c), light in zip(triangles.tolist(), np.rint(lights * 31).astype(int), strict=True):
        painter.setBrush(inks[light])
        painter.drawConvexPolygon(QPolygonF([points[a], points[b], points[c]]))
