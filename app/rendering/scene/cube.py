"""The orientation cube: six faces with the patient's sides, as the camera sees them.

Which face is where follows from the camera alone, by the same vectors that render the volume; it
cannot say anything else than the picture does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPen, QPolygonF, QTransform

from app.imaging.camera import STANDARD_VIEWS, Camera

#: Colours of the cube: faces towards the viewer are the lighter ones.
FACE, EDGE, INK = QColor(58, 62, 68), QColor(20, 21, 23), QColor(236, 238, 240)

#: Side of the square that a letter is laid out in before it is bent onto a face.
LETTER_BOX = 100.0


@dataclass(frozen=True)
class Face:
    """A face that is seen: its letter, its four corners on the screen, and how far it faces us.

    Corners go round from the top left one, as the letter is read from outside the patient.
    """

    letter: str
    corners: tuple[tuple[float, float], ...]
    towards: float


def visible_faces(camera: Camera, centre: tuple[float, float], half: float) -> list[Face]:
    """The faces that the camera sees, of a cube with half-side `half` pixels."""
    faces = []
    for letter, (outward, up) in STANDARD_VIEWS.items():
        normal, upward = np.asarray(outward, float), np.asarray(up, float)
        across = np.cross(upward, normal)  # to the right for somebody who looks at this face
        seen = camera.axes @ normal
        if seen[2] > 1e-3:
            corners = [
                camera.axes @ (normal + a * across + b * upward)
                for a, b in ((-1, 1), (1, 1), (1, -1), (-1, -1))
            ]
            places = tuple((centre[0] + c[0] * half, centre[1] - c[1] * half) for c in corners)
            faces.append(Face(letter, places, float(seen[2])))
    return faces


def draw_cube(painter: QPainter, camera: Camera, centre: tuple[float, float], half: float) -> None:
    """The cube with its letters; at most three faces, none hides another."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    for face in visible_faces(camera, centre, half):
        polygon = QPolygonF([QPointF(x, y) for x, y in face.corners])
        painter.setPen(QPen(EDGE, 1.2))
        painter.setBrush(FACE.lighter(round(70 + 70 * face.towards)))
        painter.drawPolygon(polygon)
        _draw_letter(painter, face, polygon)
    painter.restore()


def _draw_letter(painter: QPainter, face: Face, polygon: QPolygonF) -> None:
    box = QRectF(0, 0, LETTER_BOX, LETTER_BOX)
    source = QPolygonF([box.topLeft(), box.topRight(), box.bottomRight(), box.bottomLeft()])
    bend = QTransform.quadToQuad(source, polygon)
    if not isinstance(bend, QTransform) or face.towards < 0.2:  # too flat to be read
        return
    painter.save()
    painter.setTransform(bend, combine=True)
    font = QFont(painter.font())
    font.setPixelSize(64)
    font.setWeight(QFont.Weight.DemiBold)
    painter.setFont(font)
    painter.setPen(INK)
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, face.letter)
    painter.restore()
