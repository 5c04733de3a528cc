"""The bands of highest weight as translucent slabs over the 3D view: a clear sheet on it."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QPolygonF

from app.imaging.camera import Projection
from app.rendering import colours
from app.viewmodels.assistant.assistant import Assistant
from app.viewmodels.assistant.levels import Slab3D, slabs_of
from app.views.images.scene_view import SceneView
from app.views.parts import theme
from app.views.parts.painting import painted
from app.views.parts.sheet import Sheet

#: Opacity of a face: the picture behind two slabs is still seen.
OPACITY = 0.28

#: Room of a rank, in logical pixels.
RANK = 14.0


class SceneSlabs(Sheet):
    """The slabs of the answer that is shown; the mouse goes through.

    They lie over the picture and are not hidden by what is in front of them in the patient.
    """

    def __init__(self, view: SceneView, assistant: Assistant) -> None:
        super().__init__(view)
        self._view = view
        self._assistant = assistant
        view.scene.changed.connect(self.update)
        view.scene.frame_changed.connect(self.refresh)
        assistant.chosen_changed.connect(self.refresh)
        self.refresh()

    def slabs(self) -> tuple[Slab3D, ...]:
        """What is drawn now, the highest weight first."""
        return slabs_of(self._assistant.shown)

    def refresh(self) -> None:
        """Take over the answer that is shown; without scores or a picture the sheet is away."""
        self.cover()
        scene = self._view.scene
        there = scene.frame is not None and scene.message is None
        self.setVisible(there and bool(self.slabs()))
        self.update()

    @painted
    def paintEvent(self, painter: QPainter) -> None:
        """The faces of each slab that look at the reader, and its rank in its middle."""
        projection = self._view.scene.projection(self.width(), self.height())
        if projection is None:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        _, _, back = projection.camera.axes
        for slab in reversed(self.slabs()):  # the highest on top
            _paint(painter, slab, projection, np.asarray(back))


def faces_towards(corners_mm: NDArray[np.float64], back: NDArray[np.float64]) -> list[list[int]]:
    """The faces of a box that look along `back`, each as its four corners in turn.

    `corners_mm` (8, 3) count in binary along the box's three axes.
    """
    found = []
    for axis, end in itertools.product(range(3), (0, 1)):
        first, second = (1 << (2 - a) for a in range(3) if a != axis)
        start = end << (2 - axis)
        face = [start, start + first, start + first + second, start + second]
        across = np.cross(
            corners_mm[face[1]] - corners_mm[face[0]], corners_mm[face[3]] - corners_mm[face[0]]
        )
        outward = corners_mm[face].mean(axis=0) - corners_mm.mean(axis=0)
        if across @ outward < 0:
            across = -across
        if across @ back > 0:
            found.append(face)
    return found


def _paint(
    painter: QPainter, slab: Slab3D, projection: Projection, back: NDArray[np.float64]
) -> None:
    places = projection.to_screen(slab.corners_mm)
    colour = QColor(colours.score_colour(slab.times_uniform))
    edge = QColor(colour)
    colour.setAlphaF(OPACITY)
    painter.setPen(QPen(edge, 1))
    painter.setBrush(colour)
    for face in faces_towards(slab.corners_mm, back):
        painter.drawPolygon(QPolygonF([QPointF(*places[k][:2]) for k in face]))
    x, y = places[:, :2].mean(axis=0)
    painter.setPen(QColor(theme.DARK.text))
    room = QRectF(float(x) - RANK / 2, float(y) - RANK / 2, RANK, RANK)
    painter.drawText(room, int(Qt.AlignmentFlag.AlignCenter), str(slab.rank))
