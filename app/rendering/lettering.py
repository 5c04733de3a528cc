"""Texts with a dark rim, drawn once and kept: the same words stand over every slice.

Writing a text with its rim takes five passes of Qt's text engine; putting a kept picture takes one
copy of some pixels. Knows no volume and no view.
"""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF, QRectF, QSizeF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter

HALO = QColor(0, 0, 0, 190)

#: Offsets of the dark rim; the four diagonals touch all sides of a stroke.
_RING = ((-1, -1), (1, -1), (-1, 1), (1, 1))

#: Room for the rim around a text, in logical pixels.
RIM = 2

#: Kept pictures: the texts of some dozen views, and of the slices scrolled through last; 2 MB.
KEPT = 256

#: No text over an image is as large as this, in logical pixels.
_ANY = QRectF(0, 0, 10_000, 10_000)

_kept: dict[tuple[object, ...], QImage] = {}


def write(painter: QPainter, rect: QRectF, flags: Qt.AlignmentFlag, text: str, ink: QColor) -> None:
    """Text with a dark rim, aligned in `rect`, in the painter's font."""
    if not text:
        return
    device = painter.device()
    ratio = device.devicePixelRatio() if device is not None else 1.0
    picture = _picture(painter.font(), flags, text, ink, ratio)
    size = QSizeF(picture.size()) / ratio
    painter.drawImage(_corner(rect.adjusted(-RIM, -RIM, RIM, RIM), size, flags, ratio), picture)


def _corner(rect: QRectF, size: QSizeF, flags: Qt.AlignmentFlag, ratio: float) -> QPointF:
    """Where a picture of `size` stands in `rect`, on whole pixels of the device."""
    align, spare = Qt.AlignmentFlag, rect.size() - size
    x = _share(flags, align.AlignRight, align.AlignHCenter) * spare.width()
    y = _share(flags, align.AlignBottom, align.AlignVCenter) * spare.height()
    left, top = (rect.left() + x) * ratio, (rect.top() + y) * ratio
    return QPointF(round(left) / ratio, round(top) / ratio)


def _share(flags: Qt.AlignmentFlag, end: Qt.AlignmentFlag, middle: Qt.AlignmentFlag) -> float:
    if flags & end:
        return 1.0
    return 0.5 if flags & middle else 0.0


def _picture(font: QFont, flags: Qt.AlignmentFlag, text: str, ink: QColor, ratio: float) -> QImage:
    key = (font.key(), int(flags), text, ink.rgba(), ratio)
    if (picture := _kept.pop(key, None)) is None:
        picture = _drawn(font, flags, text, ink, ratio)
    _kept[key] = picture  # the latest at the end
    if len(_kept) > KEPT:
        del _kept[next(iter(_kept))]
    return picture


def _drawn(font: QFont, flags: Qt.AlignmentFlag, text: str, ink: QColor, ratio: float) -> QImage:
    needed = QFontMetricsF(font).boundingRect(_ANY, int(flags), text)
    width, height = math.ceil(needed.width()) + 2 * RIM, math.ceil(needed.height()) + 2 * RIM
    form = QImage.Format.Format_ARGB32_Premultiplied
    picture = QImage(math.ceil(width * ratio), math.ceil(height * ratio), form)
    picture.setDevicePixelRatio(ratio)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    painter.setFont(font)
    inside = QRectF(RIM, RIM, width - 2 * RIM, height - 2 * RIM)
    painter.setPen(HALO)
    for dx, dy in _RING:
        painter.drawText(inside.translated(dx, dy), int(flags), text)
    painter.setPen(ink)
    painter.drawText(inside, int(flags), text)
    painter.end()
    return picture
