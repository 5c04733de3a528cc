"""A layer painted again only when what it shows has changed. Knows nothing of what that is."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtGui import QPainter, QPixmap
from PySide6.QtWidgets import QWidget


class CachedLayer:
    """The picture of a widget below its moving parts."""

    def __init__(self, paint: Callable[[QPainter], None]) -> None:
        self._paint = paint
        self._pixmap = QPixmap()
        self._key: tuple[object, ...] = ()
        self._drawn: tuple[object, ...] = ()

    def forget(self) -> None:
        """Paint again at the next look."""
        self._key = self._drawn = ()

    def shows(self, widget: QWidget, key: tuple[object, ...]) -> bool:
        """Whether `draw` drew the picture of `key` last, at the widget's present size."""
        return self._drawn == self._whole(widget, key)

    def draw(self, painter: QPainter, widget: QWidget, key: tuple[object, ...]) -> None:
        """Draw the picture for `key`; it is kept from the second time on.

        While each is another one, as in scrolling, keeping them would only take time.
        """
        whole = self._whole(widget, key)
        if whole in (self._key, self._drawn):
            painter.drawPixmap(0, 0, self.of(widget, key))
        else:
            painter.save()
            self._paint(painter)
            painter.restore()
        self._drawn = whole

    def of(self, widget: QWidget, key: tuple[object, ...]) -> QPixmap:
        """The picture for everything that `key` holds, at the widget's size and resolution."""
        whole = self._whole(widget, key)
        if whole != self._key:
            ratio = widget.devicePixelRatioF()
            size = widget.size() * ratio
            if self._pixmap.size() != size:
                self._pixmap = QPixmap(size)
            self._pixmap.setDevicePixelRatio(ratio)
            painter = QPainter(self._pixmap)
            painter.setFont(widget.font())
            try:
                self._paint(painter)
            finally:
                painter.end()
            self._key = whole
        return self._pixmap

    def _whole(self, widget: QWidget, key: tuple[object, ...]) -> tuple[object, ...]:
        return (*key, widget.width(), widget.height(), widget.devicePixelRatioF())
