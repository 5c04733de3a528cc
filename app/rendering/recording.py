"""What lies over an image, kept as pictures and rectangles: put again, and compared with another.

Texts, letters and straight lines over a slice are the same for many slices. Putting them again
takes a fraction of finding out where each of them stands. Knows no view and no volume.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Protocol

from PySide6.QtCore import QPointF, QRect, QRectF, QSizeF
from PySide6.QtGui import QColor, QFont, QImage, QPaintDevice, QPainter, QRegion
from PySide6.QtWidgets import QWidget

from app.rendering import bands

#: Pixels that a place grows by on each side when it is painted again: Qt rounds to whole ones.
ROUNDED = 1


class Canvas(Protocol):
    """What takes texts and small forms over an image: a painter, or a `Recording`."""

    def font(self) -> QFont:
        """The font of texts."""
        ...

    def setFont(self, font: QFont, /) -> None:
        """Write in another font."""
        ...

    def device(self) -> QPaintDevice:
        """What is painted on, which knows the size of its pixels."""
        ...

    def drawImage(self, at: QPointF, image: QImage, /) -> None:
        """Put a picture with its upper left corner at a point."""
        ...


class Recording:
    """Pictures and filled rectangles, in the order in which they were put on it.

    They are put again without antialiasing: whoever records gives whole pixels of the device.
    """

    def __init__(self, font: QFont, device: QPaintDevice) -> None:
        self._font, self._device = font, device
        self._parts: list[tuple[QRectF, QImage | QColor]] = []

    def font(self) -> QFont:
        """The font of texts, from now on."""
        return self._font

    def setFont(self, font: QFont, /) -> None:
        """Write in another font from now on."""
        self._font = font

    def device(self) -> QPaintDevice:
        """What all of it will be put on."""
        return self._device

    def drawImage(self, at: QPointF, image: QImage, /) -> None:
        """Put a picture with its upper left corner at a point."""
        size = QSizeF(image.size()) / image.devicePixelRatio()
        self._parts.append((QRectF(at, size), image))

    def fill(self, rect: QRectF, colour: QColor) -> None:
        """Fill a rectangle, in a colour that may be transparent."""
        self._parts.append((rect, colour))

    def put(self, painter: QPainter) -> None:
        """Put all of it on the device."""
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        for place, ink in self._parts:
            if isinstance(ink, QImage):
                painter.drawImage(place.topLeft(), ink)
            else:
                bands.fill(painter, place, ink)

    def changed(self, other: Recording) -> QRect | None:
        """A rectangle around every pixel in which the two differ; None where that is not known."""
        if len(self._parts) != len(other._parts):
            return None
        region = QRegion()
        for (here, ink), (there, before) in zip(self._parts, other._parts, strict=True):
            if not _same(ink, before) or (isinstance(ink, QImage) and here != there):
                region += QRegion(_whole(here)) + QRegion(_whole(there))
            else:
                for strip in _moved_edges(here, there):
                    region += QRegion(_whole(strip))
        return region.boundingRect()


def changed_among(now: Sequence[Recording], before: Sequence[Recording]) -> QRect | None:
    """A rectangle around all that differs, recording by recording; None where one is not known."""
    parts = [one.changed(other) for one, other in zip(now, before, strict=True)]
    known = [part for part in parts if part is not None]
    return reduce(QRect.united, known, QRect()) if len(known) == len(parts) else None


class KeptRecording:
    """What lies over the picture of a widget, found out again only where something differs."""

    def __init__(self, widget: QWidget, record: Callable[[Recording], None]) -> None:
        self._widget, self._record = widget, record
        self._kept: tuple[tuple[object, ...], Recording] | None = None

    def forget(self) -> None:
        """Find out again at the next look."""
        self._kept = None

    def of(self, key: tuple[object, ...]) -> Recording:
        """The recording for all that `key` holds, at the widget's size, resolution and font."""
        widget = self._widget
        size, ratio = (widget.width(), widget.height()), widget.devicePixelRatioF()
        whole = (*key, *size, ratio, widget.font().key())
        if self._kept is None or self._kept[0] != whole:
            recording = Recording(widget.font(), widget)
            self._record(recording)
            self._kept = (whole, recording)
        return self._kept[1]


def _same(one: QImage | QColor, other: QImage | QColor) -> bool:
    if isinstance(one, QImage) and isinstance(other, QImage):
        return one.cacheKey() == other.cacheKey()
    return isinstance(one, QColor) and isinstance(other, QColor) and one.rgba() == other.rgba()


def _whole(rect: QRectF) -> QRect:
    """Every pixel that a rectangle may touch."""
    return rect.toAlignedRect().adjusted(-ROUNDED, -ROUNDED, ROUNDED, ROUNDED)


def _moved_edges(here: QRectF, there: QRectF) -> list[QRectF]:
    """What lies between the edges of two rectangles of one colour, edge by edge."""
    both, strips = here | there, []
    for one, other in ((here.left(), there.left()), (here.right(), there.right())):
        if one != other:
            strips.append(QRectF(min(one, other), both.top(), abs(one - other), both.height()))
    for one, other in ((here.top(), there.top()), (here.bottom(), there.bottom())):
        if one != other:
            strips.append(QRectF(both.left(), min(one, other), both.width(), abs(one - other)))
    return strips
