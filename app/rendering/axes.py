"""Lines at any angle through a point of a view, and the handles at their ends.

Knows no planes: callers say through which point and in which direction on the screen (x right, y
down).
"""

from __future__ import annotations

import math
from functools import partial

from PySide6.QtCore import QLineF, QPointF, QRectF, QSizeF, Qt
from PySide6.QtGui import QColor, QPainter, QPen

from app.rendering import lettering
from app.rendering.markings import HALO, SHADE
from app.rendering.recording import Canvas

#: Distance of a handle from the end of its line, and its radius, in logical pixels.
INSET = 12.0
RADIUS = 4.0

#: How near the mouse must come to a handle to take it: a finger's tremor on a mouse.
REACH = 10.0

#: Nearer to the common point than this a handle would hide it.
NEAREST = 34.0


def through(inside: QRectF, at: QPointF, direction: tuple[float, float]) -> QLineF | None:
    """The line through `at` as far as the room for lines goes; None where it misses that."""
    low, high = -math.inf, math.inf
    for start, step, first, last in (
        (at.x(), direction[0], inside.left(), inside.right()),
        (at.y(), direction[1], inside.top(), inside.bottom()),
    ):
        if abs(step) < 1e-9:
            if not first <= start <= last:
                return None
            continue
        ends = sorted(((first - start) / step, (last - start) / step))
        low, high = max(low, ends[0]), min(high, ends[1])
    if low >= high:
        return None
    along = QPointF(*direction)
    return QLineF(at + along * low, at + along * high)


def handles(line: QLineF, at: QPointF) -> list[QPointF]:
    """Where a line is taken to turn it: near its ends, unless the common point is there."""
    length = line.length()
    if length < 2 * INSET:
        return []
    ends = [line.pointAt(INSET / length), line.pointAt(1 - INSET / length)]
    return [end for end in ends if QLineF(end, at).length() > NEAREST]


def draw_axes(
    painter: QPainter, lines: list[QLineF], at: QPointF, colour: QColor, gap: float
) -> None:
    """Thin lines with a dark rim, open around the common point by `gap` pixels."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    parts = [part for line in lines for part in _opened(line, at, gap)]
    # Three lines beside each other, within a clip: Qt draws a thin one pixel by pixel where there
    # is one, and takes more than ten times as long for a thick one or without.
    painter.setClipRect(painter.viewport())
    painter.setPen(QPen(SHADE, 1.0))
    painter.drawLines([beside for part in parts for beside in _abreast(part)])
    painter.setPen(QPen(colour, 1.0))
    painter.drawLines(parts)
    painter.setClipping(False)


def draw_handles(painter: Canvas, points: list[QPointF], colour: QColor) -> None:
    """Small rings, on whole pixels, that show where a line can be taken."""
    key, around = ("handle", colour.rgba()), QPointF(RADIUS + 2, RADIUS + 2)
    for point in points:
        corner = lettering.pixel_before(painter, point - around)
        place = QRectF(corner, QSizeF(around.x(), around.y()) * 2)
        lettering.stamp(painter, place, key, partial(_draw_ring, place.center(), colour))


def _draw_ring(centre: QPointF, colour: QColor, painter: QPainter) -> None:
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for ink, width in ((HALO, 3.2), (colour, 1.4)):
        painter.setPen(QPen(ink, width))
        painter.drawEllipse(centre, RADIUS, RADIUS)


def draw_reference(painter: QPainter, lines: list[QLineF], colour: QColor) -> None:
    """Where other planes cross this one: dashed and thin, behind nothing."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    for ink, width in ((QColor(0, 0, 0, 110), 2.4), (colour, 1.0)):
        pen = QPen(ink, width)
        pen.setDashPattern([6.0 / width, 5.0 / width])
        painter.setPen(pen)
        painter.drawLines(lines)


def _abreast(line: QLineF) -> list[QLineF]:
    across = line.normalVector().unitVector()
    return [line.translated(across.dx() * k, across.dy() * k) for k in (-1, 0, 1)]


def _opened(line: QLineF, at: QPointF, gap: float) -> list[QLineF]:
    parts = []
    for end in (line.p1(), line.p2()):
        half = QLineF(at, end)
        if half.length() > gap:
            parts.append(QLineF(half.pointAt(gap / half.length()), end))
    return parts
