"""Draws annotations over an image: lines with a dark rim, handles, and values beside them.

Legible on white bone and on black air. Knows no widgets: callers say what is to be drawn how.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPen, QPolygonF

from app.rendering import markings
from app.viewmodels.annotation import shapes
from app.viewmodels.annotation.model import Annotation, Mark
from app.viewmodels.annotation.view_frame import FULL, ViewFrame
from med2e3.geometry import Float

#: What was drawn is yellow: the accent's blue is the crosshair's, red means an error. Chosen ones
#: are lighter, so that they stand out without another hue.
INK = QColor(244, 206, 96)
CHOSEN_INK = QColor(255, 240, 190)
RIM = QColor(0, 0, 0, 180)
BACKDROP = QColor(0, 0, 0, 175)

#: Widths of a line and of its rim, radius of a handle, length of an arrow's head: logical pixels.
LINE, RIM_LINE = 1.4, 3.6
HANDLE = 4.0
HEAD = 12.0

#: Between a form and its value, and from there to the edge of the view.
GAP = 10.0
EDGE = 4.0


#: Most distances tried for a value, each half its height further from its form.
STEPS = 40


@dataclass(frozen=True)
class Item:
    """An annotation to draw, with its text, its opacity, and whether it is chosen or hovered."""

    annotation: Annotation
    lines: tuple[str, ...]
    strength: float = FULL
    chosen: bool = False
    hovered: bool = False

    @property
    def marked(self) -> bool:
        """Whether it stands out from the others."""
        return self.chosen or self.hovered


@dataclass(frozen=True)
class Beside:
    """The form that a value stands beside, and other forms that it should not cover."""

    anchor: QRectF
    others: tuple[QRectF, ...] = ()


def draw(
    painter: QPainter,
    size: QRectF,
    frame: ViewFrame,
    items: Sequence[Item],
    written: Sequence[QRectF] = (),
) -> None:
    """Draw all items of a view; forms first, so that no line crosses a value.

    Values keep clear of what is `written` over the view already, where there is room.

    Where values would lie on each other, only those of what is chosen or under the pointer stay in
    full: the others are in the list, and under the pointer whole again.
    """
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    for item in items:
        painter.setOpacity(item.strength)
        _draw_form(painter, frame, item)
    painter.setOpacity(1.0)
    metrics = QFontMetricsF(painter.font())
    values = _arrange(metrics, size, frame, items, written, shorten=False)
    if any(one.rect.intersects(other.rect) for one, other in combinations(values, 2)):
        values = _arrange(metrics, size, frame, items, written, shorten=True)
    for value in values:
        _draw_value(painter, value)
    painter.restore()


@dataclass(frozen=True)
class Value:
    """The text of an item, its rectangle, and the rectangle that it stands beside."""

    item: Item
    text: str
    rect: QRectF
    anchor: QRectF


def _arrange(
    metrics: QFontMetricsF,
    size: QRectF,
    frame: ViewFrame,
    items: Sequence[Item],
    written: Sequence[QRectF],
    *,
    shorten: bool,
) -> list[Value]:
    """Place every value, those of chosen and hovered items first."""
    values: list[Value] = []
    anchors = {item.annotation.uid: _anchor(frame, item.annotation) for item in items}
    said = [item for item in items if item.lines and item.strength == FULL]
    for item in sorted(said, key=lambda item: not item.marked):
        text = shortened(item.lines) if shorten and not item.marked else "\n".join(item.lines)
        text = folded(metrics, text, size.width() - 2 * EDGE)
        anchor = anchors[item.annotation.uid]
        others = tuple(box for uid, box in anchors.items() if uid != item.annotation.uid)
        taken = [*written, *(value.rect for value in values)]
        rect = place_label(size, Beside(anchor, others), _extent(metrics, text), taken)
        values.append(Value(item, text, rect, anchor))
    return values


def _draw_form(painter: QPainter, frame: ViewFrame, item: Item) -> None:
    annotation = item.annotation
    ink = CHOSEN_INK if item.marked else INK
    lines = [_polygon(frame.to_screen(line)) for line in shapes.lines(annotation)]
    marks = frame.to_screen(shapes.handles(annotation))
    # A form on its way has not all of the points that its mark is drawn at.
    mark = annotation.kind.mark if len(marks) == annotation.kind.points else Mark.NONE
    if mark is Mark.ARROW_HEAD:
        lines.append(_head(marks))
    for colour, width in ((RIM, RIM_LINE), (ink, LINE + 0.4 * item.chosen)):
        pen = QPen(colour, width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap)
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for line in lines:
            painter.drawPolyline(line)
        if mark is Mark.SPAN:
            _draw_span(painter, marks)
        elif mark is Mark.SPOT:
            _draw_spot(painter, marks[0])
        elif mark is Mark.STROKES:
            _draw_strokes(painter, marks)
    if item.marked and item.strength == FULL:
        _draw_handles(painter, marks, ink, small=annotation.kind.traced)


def _draw_spot(painter: QPainter, at: Float) -> None:
    x, y = float(at[0]), float(at[1])
    painter.drawEllipse(QPointF(x, y), 4.5, 4.5)
    for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        painter.drawLine(QPointF(x + 4.5 * dx, y + 4.5 * dy), QPointF(x + 9 * dx, y + 9 * dy))


def _draw_span(painter: QPainter, marks: Float) -> None:
    """Draw a thin dashed line between the middles of two lines that make one angle."""
    pen, whole = QPen(painter.pen()), painter.pen()
    pen.setWidthF(max(whole.widthF() - 0.4, 1.0))
    pen.setCapStyle(Qt.PenCapStyle.FlatCap)
    pen.setDashPattern([5.0 / pen.widthF(), 5.0 / pen.widthF()])
    painter.setPen(pen)
    painter.drawLine(QPointF(*marks[:2].mean(axis=0)), QPointF(*marks[2:].mean(axis=0)))
    painter.setPen(whole)


def _draw_strokes(painter: QPainter, marks: Float) -> None:
    """Draw short strokes across both ends of a line, which show where it ends."""
    along = marks[1] - marks[0]
    length = float(np.linalg.norm(along))
    if length < 1:
        return
    across = np.array([-along[1], along[0]]) / length * 5
    for at in marks:
        painter.drawLine(QPointF(*(at - across)), QPointF(*(at + across)))


def _draw_handles(painter: QPainter, marks: Float, ink: QColor, *, small: bool) -> None:
    radius = 2.0 if small else HANDLE
    painter.setPen(QPen(RIM, 1.6))
    painter.setBrush(ink)
    for x, y in marks:
        painter.drawEllipse(QPointF(float(x), float(y)), radius, radius)


def _head(marks: Float) -> QPolygonF:
    """The head of an arrow at its tip, the first mark."""
    tip, tail = marks
    along = tail - tip
    length = float(np.linalg.norm(along))
    direction = along / length if length else np.array([1.0, 0.0])
    turns = [math.radians(a) for a in (25, -25)]
    ends = [
        tip
        + HEAD
        * np.array(
            [
                direction[0] * math.cos(a) - direction[1] * math.sin(a),
                direction[0] * math.sin(a) + direction[1] * math.cos(a),
            ]
        )
        for a in turns
    ]
    return _polygon(np.array([ends[0], tip, ends[1]]))


def _draw_value(painter: QPainter, value: Value) -> None:
    _draw_leader(painter, value.anchor, value.rect)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(BACKDROP)
    painter.drawRoundedRect(value.rect, 3, 3)
    inside = value.rect.adjusted(4, 2, -4, -2)
    flags = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
    ink = CHOSEN_INK if value.item.marked else INK
    markings.draw_text(painter, inside, flags, value.text, ink)


def _extent(metrics: QFontMetricsF, text: str) -> tuple[float, float]:
    """Width and height of a value with the space around it."""
    bounds = metrics.boundingRect(QRectF(0, 0, 600, 600), Qt.AlignmentFlag.AlignLeft, text)
    return bounds.width() + 8, bounds.height() + 4


def folded(metrics: QFontMetricsF, text: str, room: float) -> str:
    """A text in lines that a width has room for: a number to a line, and broken between words."""
    if _extent(metrics, text)[0] <= room:
        return text
    lines: list[str] = []
    for part in text.replace(", ", "\n").split("\n"):
        lines.append("")
        for word in part.split(" "):
            longer = f"{lines[-1]} {word}".strip()
            if lines[-1] and _extent(metrics, longer)[0] > room:
                lines.append(word)
            else:
                lines[-1] = longer
    return "\n".join(lines)


def shortened(lines: Sequence[str]) -> str:
    """The first number or name of a value, with dots where there is more."""
    first = lines[0].split(", ")[0]
    return first if len(lines) == 1 and first == lines[0] else f"{first} …"


def _anchor(frame: ViewFrame, annotation: Annotation) -> QRectF:
    """The rectangle that the value stands beside: the whole form, or one of its handles."""
    marks, kind = frame.to_screen(shapes.handles(annotation)), annotation.kind
    if kind.label_at is not None and len(marks) == kind.points:
        marks = marks[[kind.label_at]]
    low, high = marks.min(axis=0), marks.max(axis=0)
    return QRectF(float(low[0]), float(low[1]), *(float(v) for v in high - low))


def place_label(
    size: QRectF, beside: Beside, extent: tuple[float, float], taken: Sequence[QRectF]
) -> QRectF:
    """Where a value stands: right of its form, else left, below or above; inside the view.

    The nearest such place, tried each half a text's height further, that no other value has and no
    other form, else no other value; where all are taken, the first one.
    """
    inside = size.adjusted(EDGE, EDGE, -EDGE, -EDGE)
    steps = min(math.ceil(2 * max(size.width(), size.height()) / extent[1]), STEPS)
    for avoided in ([*taken, *beside.others], taken):
        for step in range(steps):
            for place in _places(beside.anchor, extent, GAP + step * extent[1] / 2, inside):
                if inside.contains(place) and not any(place.intersects(o) for o in avoided):
                    return place
    place = _places(beside.anchor, extent, GAP, inside)[0]
    x = _within(place.left(), inside.left(), inside.right() - place.width())
    y = _within(place.top(), inside.top(), inside.bottom() - place.height())
    return QRectF(x, y, place.width(), place.height())


def _places(
    anchor: QRectF, extent: tuple[float, float], gap: float, inside: QRectF
) -> list[QRectF]:
    """The places right, left, below and above a form, moved along its edge into the view."""
    width, height = extent
    x = _within(anchor.center().x() - width / 2, inside.left(), inside.right() - width)
    y = _within(anchor.center().y() - height / 2, inside.top(), inside.bottom() - height)
    return [
        QRectF(anchor.right() + gap, y, width, height),
        QRectF(anchor.left() - gap - width, y, width, height),
        QRectF(x, anchor.bottom() + gap, width, height),
        QRectF(x, anchor.top() - gap - height, width, height),
    ]


def _within(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def _draw_leader(painter: QPainter, anchor: QRectF, label: QRectF) -> None:
    """Draw a dotted line from a form to a value that stands away from it."""
    centre = label.center()
    start = QPointF(
        min(max(centre.x(), anchor.left()), anchor.right()),
        min(max(centre.y(), anchor.top()), anchor.bottom()),
    )
    end = QPointF(
        min(max(start.x(), label.left()), label.right()),
        min(max(start.y(), label.top()), label.bottom()),
    )
    if (end - start).manhattanLength() > 2 * GAP:
        painter.setPen(QPen(INK, 1.0, Qt.PenStyle.DotLine))
        painter.drawLine(start, end)


def _polygon(points: Float) -> QPolygonF:
    return QPolygonF([QPointF(float(x), float(y)) for x, y in points])
