"""Texts with a dark rim and small forms, drawn once and kept: the same stand over every slice.

A text takes a pass of Qt's text engine, a smooth form one of its rasteriser; putting a kept picture
takes one copy of some pixels. Knows no volume and no view.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

from PySide6.QtCore import QPointF, QRectF, QSizeF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter

from app.rendering.recording import Canvas

HALO = QColor(0, 0, 0, 190)

#: Offsets of the dark rim: close ones that touch all sides of a stroke, and wider ones, so that
#: thin letters keep their contrast on white, at scale 2 too.
_RING = (
    *((-1, -1), (1, -1), (-1, 1), (1, 1)),
    *((-1, 0), (1, 0), (0, -1), (0, 1)),
    *((-2, 0), (2, 0), (0, -2), (0, 2)),
)

#: Room for the rim around a text, in logical pixels.
RIM = 2

#: Kept pictures: the texts of some dozen views, and of the slices scrolled through last; 2 MB.
KEPT = 256

#: No text over an image is as large as this, in logical pixels.
_ANY = QRectF(0, 0, 10_000, 10_000)

_kept: dict[tuple[object, ...], QImage] = {}


def write(painter: Canvas, rect: QRectF, flags: Qt.AlignmentFlag, text: str, ink: QColor) -> None:
    """Text with a dark rim, aligned in `rect`, in the painter's font."""
    if not text:
        return
    ratio, font = _ratio(painter), painter.font()
    key = (font.key(), flags.value, text, ink.rgba(), ratio)
    picture = _kept_picture(key, lambda: _drawn(font, flags, text, ink, ratio))
    painter.drawImage(_corner(rect, picture, _shares(key[1]), ratio), picture)


def stamp(
    painter: Canvas, place: QRectF, key: tuple[object, ...], draw: Callable[[QPainter], None]
) -> None:
    """What `draw` draws inside `place`, which begins on a whole pixel of the device; kept by `key`.

    The key says all that the form depends on, but for the whole pixels before its place.
    """
    ratio = _ratio(painter)
    size = QSizeF(math.ceil(place.width()), math.ceil(place.height()))

    def drawn() -> QImage:
        picture = _empty(size, ratio)
        with QPainter(picture) as inner:  # ended before its picture goes, also by an exception
            inner.setFont(painter.font())
            inner.setRenderHint(QPainter.RenderHint.Antialiasing)
            inner.translate(-place.topLeft())
            draw(inner)
        return picture

    picture = _kept_picture((*key, size.width(), size.height(), ratio), drawn)
    painter.drawImage(place.topLeft(), picture)


def pixel_before(painter: Canvas, at: QPointF) -> QPointF:
    """The whole pixel of the device that a point lies in."""
    ratio = _ratio(painter)
    return QPointF(math.floor(at.x() * ratio) / ratio, math.floor(at.y() * ratio) / ratio)


def _ratio(painter: Canvas) -> float:
    return painter.device().devicePixelRatio()


def _corner(rect: QRectF, picture: QImage, shares: tuple[float, float], ratio: float) -> QPointF:
    """Where a picture with its rim stands in `rect`, on whole pixels of the device."""
    spare_x = (rect.width() + 2 * RIM) * ratio - picture.width()
    spare_y = (rect.height() + 2 * RIM) * ratio - picture.height()
    left = (rect.left() - RIM) * ratio + shares[0] * spare_x
    top = (rect.top() - RIM) * ratio + shares[1] * spare_y
    return QPointF(round(left) / ratio, round(top) / ratio)


@cache
def _shares(flags: int) -> tuple[float, float]:
    """How much of the spare room is left of a text and above it."""
    align = Qt.AlignmentFlag
    across = ((align.AlignRight, 1.0), (align.AlignHCenter, 0.5))
    down = ((align.AlignBottom, 1.0), (align.AlignVCenter, 0.5))
    x, y = (next((k for f, k in way if flags & f.value), 0.0) for way in (across, down))
    return x, y


def _kept_picture(key: tuple[object, ...], drawn: Callable[[], QImage]) -> QImage:
    if (picture := _kept.pop(key, None)) is None:
        picture = drawn()
    _kept[key] = picture  # the latest at the end
    if len(_kept) > KEPT:
        del _kept[next(iter(_kept))]
    return picture


def _drawn(font: QFont, flags: Qt.AlignmentFlag, text: str, ink: QColor, ratio: float) -> QImage:
    needed = QFontMetricsF(font).boundingRect(_ANY, int(flags), text)
    width, height = math.ceil(needed.width()) + 2 * RIM, math.ceil(needed.height()) + 2 * RIM
    picture = _empty(QSizeF(width, height), ratio)
    inside = QRectF(RIM, RIM, width - 2 * RIM, height - 2 * RIM)
    letters = QImage(picture)
    with QPainter(letters) as painter:
        painter.setFont(font)
        painter.setPen(ink)
        painter.drawText(inside, int(flags), text)
    dark = QImage(letters)
    with QPainter(dark) as painter:
        painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_SourceIn)
        painter.fillRect(dark.rect(), HALO)
    with QPainter(picture) as painter:
        for dx, dy in _RING:
            painter.drawImage(QPointF(dx, dy), dark)
        painter.drawImage(QPointF(0, 0), letters)
    return picture


def _empty(size: QSizeF, ratio: float) -> QImage:
    form = QImage.Format.Format_ARGB32_Premultiplied
    picture = QImage(math.ceil(size.width() * ratio), math.ceil(size.height() * ratio), form)
    picture.setDevicePixelRatio(ratio)
    picture.fill(Qt.GlobalColor.transparent)
    return picture
