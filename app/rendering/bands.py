"""Large pictures and tall fills in bands of few rows, on the thread that asks for them.

Qt hands fills of many rows to other threads and waits for them. A picture of a view takes about a
millisecond: on two cores, waiting takes as long as it saves, and several times as long where other
programs keep the processor busy. Knows no view and no image format.
"""

from __future__ import annotations

from collections.abc import Iterator

from PySide6.QtCore import QRect, QRectF
from PySide6.QtGui import QColor, QImage, QPainter

#: Rows of the device in a band: Qt keeps up to 95 on one thread (its raster engine, Qt 6).
ROWS = 64


def draw_image(painter: QPainter, place: QRectF, image: QImage, seen: QRect) -> None:
    """The image stretched over `place`, as far as that lies in `seen`; takes any clip away."""
    for band in _bands(place.toAlignedRect() & seen, _rows(painter)):
        painter.setClipRect(band)
        painter.drawImage(place, image)
    painter.setClipping(False)


def fill(painter: QPainter, rect: QRectF, colour: QColor) -> None:
    """A rectangle on whole pixels, in a colour that may be transparent."""
    rows, top = float(_rows(painter)), rect.top()
    while top < rect.bottom():
        height = min(rows, rect.bottom() - top)
        painter.fillRect(QRectF(rect.left(), top, rect.width(), height), colour)
        top += rows


def _bands(rect: QRect, rows: int) -> Iterator[QRect]:
    for top in range(rect.top(), rect.top() + rect.height(), rows):
        height = min(rows, rect.top() + rect.height() - top)
        yield QRect(rect.left(), top, rect.width(), height)


def _rows(painter: QPainter) -> int:
    """The height of a band in logical pixels."""
    device = painter.device()
    ratio = device.devicePixelRatio() if device is not None else 1.0
    return max(1, int(ROWS / ratio))
