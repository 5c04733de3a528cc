"""The clipping box over the 3D view: its twelve edges, and a handle on each of its six faces."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QLineF, QPointF
from PySide6.QtGui import QColor, QPainter, QPen

from app.imaging.camera import Projection
from app.viewmodels.images.scene import Clip, Extent

#: Radius of a handle, and how far from it the mouse still takes it, in logical pixels.
RADIUS, REACH = 5.0, 11.0


@dataclass(frozen=True)
class Handle:
    """The middle of a face: `axis` 0 R→L, 1 A→P, 2 I→S; `end` 0 the first face, 1 the last.

    `step` is how far on the screen (x, y) the face moves for the whole length of the axis.
    """

    axis: int
    end: int
    at: tuple[float, float]
    step: tuple[float, float]

    def fraction_for(self, dx: float, dy: float) -> float:
        """The part of the axis that a drag by (dx, dy) pixels means; 0 seen end-on."""
        length = self.step[0] ** 2 + self.step[1] ** 2
        return 0.0 if length < 1.0 else (dx * self.step[0] + dy * self.step[1]) / length


def handles(clip: Clip, extent: Extent, projection: Projection) -> list[Handle]:
    """One handle a face."""
    middle = np.asarray([(low + high) / 2 for low, high in clip])
    found = []
    for axis, end in itertools.product(range(3), (0, 1)):
        fractions = middle.copy()
        fractions[axis] = clip[axis][end]
        x, y, _ = projection.to_screen(extent.at(fractions))
        ends = np.stack([middle, middle])
        ends[:, axis] = (0, 1)
        first, last = projection.to_screen(extent.at(ends))
        step = last - first
        found.append(Handle(axis, end, (float(x), float(y)), (float(step[0]), float(step[1]))))
    return found


def handle_at(found: list[Handle], x: float, y: float) -> Handle | None:
    """The handle under the mouse that is best moved from here; None where there is none."""
    near = [h for h in found if (h.at[0] - x) ** 2 + (h.at[1] - y) ** 2 <= REACH**2]
    return max(near, key=lambda h: h.step[0] ** 2 + h.step[1] ** 2, default=None)


def draw_box(
    painter: QPainter, clip: Clip, extent: Extent, projection: Projection, colour: QColor
) -> None:
    """Edges and handles."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    corners = np.asarray(list(itertools.product(*clip)))
    places = projection.to_screen(extent.at(corners))
    lines = [
        QLineF(*places[a][:2], *places[b][:2])
        for a, b in itertools.combinations(range(8), 2)
        if bin(a ^ b).count("1") == 1
    ]
    for ink, width in ((QColor(0, 0, 0, 130), 3.0), (colour, 1.0)):
        painter.setPen(QPen(ink, width))
        painter.drawLines(lines)
    painter.setPen(QPen(QColor(0, 0, 0, 160), 1.5))
    painter.setBrush(colour)
    for handle in handles(clip, extent, projection):
        painter.drawEllipse(QPointF(*handle.at), RADIUS, RADIUS)
