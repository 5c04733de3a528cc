"""Annotations over an image: text, letters, scale bar, crosshair; legible on white and on black.

Knows no volume: callers say what to write and where the image lies.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from PySide6.QtCore import QLineF, QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPen

from app.rendering import lettering
from app.rendering.lettering import HALO as HALO
from app.rendering.recording import Canvas, Recording

INK = QColor(236, 238, 240)

TOP_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop
TOP_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignTop

#: The rim of a crosshair.
SHADE = QColor(0, 0, 0, 120)

#: Distance of annotations from the edge of a view, in logical pixels.
MARGIN = 8.0

#: Lengths of a scale bar: the longest of these that takes at most a quarter of the view.
SCALE_BARS_MM = (1, 2, 5, 10, 20, 50, 100, 200)

#: The crosshair's distance from the edges of a view in the usual size of text, and the length of
#: its lines in short.
SIDE = 26.0
SHORT = 14.0

#: The letters' height over their line at the usual size of text, in logical pixels.
USUAL_ASCENT = 14.0

#: Lines from the top in which the letter stands, and the handle of the crosshair's line.
IN_THE_MIDDLE = (0, 2)

#: Width of the frame around the view that the keys act on, in logical pixels.
FRAME = 1.0

#: Free space between texts that stand in one line, in logical pixels.
APART = 8.0


def draw_text(
    painter: Canvas, rect: QRectF, flags: Qt.AlignmentFlag, text: str, ink: QColor = INK
) -> None:
    """Text with a dark rim, aligned in `rect`."""
    lettering.write(painter, rect, flags, text, ink)


def draw_corners(
    painter: Canvas, size: QRectF, corners: dict[Qt.AlignmentFlag, str], top_letter: str = ""
) -> None:
    """Text in the corners of a view; a corner is named by its two alignment flags.

    Where a view is too narrow for the upper texts and the letter between them, texts begin lower.
    """
    inside = size.adjusted(MARGIN, MARGIN - 2, -MARGIN, -MARGIN + 2)
    font = painter.font()
    down = lines_down(font, inside.width(), corners, top_letter)
    for corner, text in corners.items():
        below = down.get(corner, 0) * line_height(font)
        lines = (_cut(font, line, inside.width()) for line in text.split("\n"))
        draw_text(painter, inside.adjusted(0, below, 0, 0), corner, "\n".join(lines))


def corner_rects(
    font: QFont, size: QRectF, corners: dict[Qt.AlignmentFlag, str], top_letter: str = ""
) -> list[QRectF]:
    """Where `draw_corners` writes, in a view of this size."""
    inside = size.adjusted(MARGIN, MARGIN - 2, -MARGIN, -MARGIN + 2)
    down, high, found = lines_down(font, inside.width(), corners, top_letter), line_height(font), []
    for corner, text in corners.items():
        lines = text.split("\n")
        wide = min(max(_width(font.key(), line) for line in lines), inside.width())
        tall = len(lines) * high
        left = inside.right() - wide if corner & Qt.AlignmentFlag.AlignRight else inside.left()
        top = inside.top() + down.get(corner, 0) * high
        if corner & Qt.AlignmentFlag.AlignBottom:
            top = inside.bottom() - tall
        found.append(QRectF(left, top, wide, tall))
    return found


def lines_down(
    font: QFont, width: float, corners: dict[Qt.AlignmentFlag, str], top_letter: str
) -> dict[Qt.AlignmentFlag, int]:
    """How many lines lower the upper texts begin so that nothing lies on anything."""
    key = font.key()
    left, right = (
        [_width(key, line) for line in corners.get(corner, "").split("\n")]
        for corner in (TOP_LEFT, TOP_RIGHT)
    )
    half = (width - _width(enlarged(font).key(), top_letter)) / 2 - APART if top_letter else width
    first = int(left[0] > half)
    beside = [0.0] * first + left

    def fits(start: int) -> bool:
        rows = dict(enumerate(right, start))
        free = all(rows[k] + APART <= width - beside[k] for k in rows if k < len(beside))
        return free and all(rows.get(k, 0.0) <= half for k in IN_THE_MIDDLE)

    below = max(len(beside), IN_THE_MIDDLE[-1] + 1)
    second = next((k for k in range(below) if fits(k)), below)
    return {TOP_LEFT: first, TOP_RIGHT: second}


def _cut(font: QFont, line: str, width: float) -> str:
    """A line that is wider than all of the view ends in dots."""
    if _width(font.key(), line) <= width:
        return line
    return QFontMetricsF(font).elidedText(line, Qt.TextElideMode.ElideRight, width)


@lru_cache(maxsize=512)
def _width(font: str, line: str) -> float:
    """The width of a line in a font by its key: the same stand over every slice."""
    return _metrics(font).horizontalAdvance(line)


@lru_cache(maxsize=16)
def _metrics(font: str) -> QFontMetricsF:
    made = QFont()
    made.fromString(font)
    return QFontMetricsF(made)


def line_height(font: QFont) -> float:
    """From a line of a corner's text to the next one."""
    return QFontMetricsF(font).lineSpacing()


def enlarged(font: QFont) -> QFont:
    """The font of the letters, a little larger than the texts, whatever unit its size is in."""
    large = QFont(font)
    if font.pixelSize() > 0 and font.pointSizeF() <= 0:
        large.setPixelSize(round(font.pixelSize() * 1.2))
    else:
        large.setPointSizeF(font.pointSizeF() + 2)
    large.setWeight(QFont.Weight.DemiBold)
    return large


def draw_letters(painter: Canvas, size: QRectF, letters: Sequence[str], free_bottom: float) -> None:
    """Patient sides at the left, right, top and bottom edge.

    `free_bottom` is the height at the bottom that the scale bar needs.
    """
    font = painter.font()
    large = enlarged(font)
    # The upper letter stands on the line of the texts beside it.
    higher = QFontMetricsF(large).ascent() - QFontMetricsF(font).ascent()
    inside = size.adjusted(MARGIN, MARGIN - 2 - higher, -MARGIN, -MARGIN + 2 + higher)
    middle, centre = Qt.AlignmentFlag.AlignVCenter, Qt.AlignmentFlag.AlignHCenter
    places = (
        Qt.AlignmentFlag.AlignLeft | middle,
        Qt.AlignmentFlag.AlignRight | middle,
        Qt.AlignmentFlag.AlignTop | centre,
        Qt.AlignmentFlag.AlignBottom | centre,
    )
    painter.setFont(large)
    for place, letter in zip(places, letters, strict=True):
        bottom = -free_bottom - higher if place & Qt.AlignmentFlag.AlignBottom else 0.0
        draw_text(painter, inside.adjusted(0, 0, 0, bottom), place, letter)
    painter.setFont(font)


def scale_bar_mm(pixels_per_mm: float, width: float) -> int:
    """The length in mm of the bar for a view of that width."""
    fitting = [mm for mm in SCALE_BARS_MM if mm * pixels_per_mm <= width / 4]
    return fitting[-1] if fitting else SCALE_BARS_MM[0]


def scale_bar_height(painter: Canvas) -> float:
    """The height that `draw_scale_bar` needs at the bottom of a view."""
    return QFontMetricsF(painter.font()).height() + 8.0


def draw_scale_bar(
    painter: Canvas, size: QRectF, pixels_per_mm: float, *, centred: bool = True
) -> None:
    """A bar of a round number of mm at the bottom, with its length above it; else at the right."""
    length_mm = scale_bar_mm(pixels_per_mm, size.width())
    length = length_mm * pixels_per_mm
    x = size.center().x() - length / 2 if centred else size.right() - MARGIN - length
    y = size.bottom() - MARGIN
    around = QRectF(x, y - 4, length, 4).adjusted(-4, -4, 4, 4)
    corner = lettering.pixel_before(painter, around.topLeft())
    place = QRectF(corner, around.bottomRight())
    key = ("scale bar", length, x - corner.x(), y - corner.y())
    lettering.stamp(painter, place, key, lambda p: _draw_bar(p, x, y, length))
    label = f"{length_mm // 10} cm" if length_mm >= 10 else f"{length_mm} mm"
    side = Qt.AlignmentFlag.AlignHCenter if centred else Qt.AlignmentFlag.AlignRight
    above = QRectF(x - 60, y - 60, length + (120 if centred else 60), 55)
    draw_text(painter, above, side | Qt.AlignmentFlag.AlignBottom, label)


def _draw_bar(painter: QPainter, x: float, y: float, length: float) -> None:
    lines = [
        QLineF(x, y, x + length, y),
        QLineF(x, y - 4, x, y),
        QLineF(x + length, y - 4, x + length, y),
    ]
    for colour, width in ((HALO, 3.4), (INK, 1.4)):
        painter.setPen(QPen(colour, width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.SquareCap))
        painter.drawLines(lines)


@dataclass(frozen=True)
class Cross:
    """How a crosshair is drawn: "open", "full" or "short"; `gap` in logical pixels."""

    style: str = "open"
    gap: float = 9.0


def room_of_lines(size: QRectF, font: QFont, letters: Sequence[str] = ()) -> QRectF:
    """The part of a view that lines through it may take: off the edges, where letters stand.

    `letters` are those at the left and at the right, of which turned planes have up to three.
    """
    key = enlarged(font).key()
    side = SIDE * max(_metrics(key).ascent() / USUAL_ASCENT, 1.0)
    left, right = (
        max([side, *(MARGIN + _width(key, letter) + APART / 2 for letter in letters[k : k + 1])])
        for k in (0, 1)
    )
    return size.adjusted(left, side, -right, -2 * side)


def crosshair_lines(inside: QRectF, at: QPointF, cross: Cross) -> list[QLineF]:
    """Two lines through a point: open around it, and in the room that lines may take."""
    x, y = at.x(), at.y()
    gap = 0.0 if cross.style == "full" else cross.gap
    if cross.style == "short":
        reach = gap + SHORT
        inside = QRectF(x - reach, y - reach, 2 * reach, 2 * reach)
    lines = [
        QLineF(inside.left(), y, x - gap, y),
        QLineF(x + gap, y, inside.right(), y),
        QLineF(x, inside.top(), x, y - gap),
        QLineF(x, y + gap, x, inside.bottom()),
    ]
    return [line for line in lines if line.dx() > 0 or line.dy() > 0]


def record_crosshair(
    recording: Recording, inside: QRectF, at: QPointF, colour: QColor, cross: Cross
) -> None:
    """Thin lines with a dark rim, straight along the pixels: crisp, and quick to fill."""
    for line in crosshair_lines(inside, at, cross):
        x, y = math.floor(line.x1()), math.floor(line.y1())
        across, down = math.floor(line.x2()) - x, math.floor(line.y2()) - y
        body = QRectF(x, y, max(across, 1), max(down, 1))
        recording.fill(body.adjusted(-1, -1, 1, 1), SHADE)
        recording.fill(body, colour)


def draw_frame(painter: QPainter, rect: QRect, colour: QColor) -> None:
    """A thin frame along the inner edges of a view."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(colour, FRAME))
    painter.drawRect(rect.adjusted(0, 0, -1, -1))


def margins(outer: QRect, inner: QRect) -> list[QRect]:
    """The part of `outer` that `inner` does not cover: above, below, left and right of it."""
    seen = outer & inner
    if seen.isEmpty():
        return [outer]
    parts = [
        outer.adjusted(0, 0, 0, seen.top() - 1 - outer.bottom()),
        outer.adjusted(0, seen.bottom() + 1 - outer.top(), 0, 0),
        QRect(outer.left(), seen.top(), seen.left() - outer.left(), seen.height()),
        QRect(seen.right() + 1, seen.top(), outer.right() - seen.right(), seen.height()),
    ]
    return [part for part in parts if not part.isEmpty()]
