"""Icons, drawn from the SVG files in resources/icons in the colours of the theme."""

from __future__ import annotations

from PySide6.QtCore import QByteArray, QRectF, QSize, Qt
from PySide6.QtGui import QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from app.views import theme
from med2e3.resources import resource_path

#: Sizes rendered, in pixels: 20 logical pixels at scales 1, 1.5, 2 and 3.
SIZES = (20, 30, 40, 60)


def icon(name: str, *, colour: str = "") -> QIcon:
    """The icon resources/icons/`name`.svg in the text colour, dim where disabled."""
    source = (resource_path("icons") / f"{name}.svg").read_text(encoding="utf-8")
    colours = theme.current()
    result = QIcon()
    for mode, ink in (
        (QIcon.Mode.Normal, colour or colours.text),
        (QIcon.Mode.Disabled, colours.dim),
    ):
        renderer = QSvgRenderer(QByteArray(source.replace("currentColor", ink).encode()))
        for size in SIZES:
            result.addPixmap(_render(renderer, size), mode)
    return result


def _render(renderer: QSvgRenderer, size: int) -> QPixmap:
    pixmap = QPixmap(QSize(size, size))
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    renderer.render(painter, QRectF(0, 0, size, size))
    painter.end()
    return pixmap
