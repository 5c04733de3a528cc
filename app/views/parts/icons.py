"""Icons, drawn from the SVG files in resources/icons in the colours of the theme.

An icon is drawn once for each pair of colours, at all scales of `SIZES`, and then kept.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

from PySide6.QtCore import QByteArray, QObject, QRectF, QSize, Qt
from PySide6.QtGui import QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from app.views.parts import theme
from med2e3.resources import resource_path

#: Sizes rendered, in pixels: 20 logical pixels at scales 1, 1.5, 2 and 3.
SIZES = (20, 30, 40, 60)

#: Sizes of the application's own icon, from a list of windows to a screen of scale 3.
APPLICATION_SIZES = (16, 24, 32, 48, 64, 128, 256)

#: Icons kept, of about 30 kB each: all of resources/icons in three inks and both themes fit.
KEPT = 256

#: The property of a button or action that remembers its icon and the theme's colour for it.
NAME, INK = "icon_name", "icon_ink"


class HasIcon(Protocol):
    """What can have an icon: a button or an action."""

    def setIcon(self, icon: QIcon) -> None:
        """Show an icon."""
        ...

    def setProperty(self, name: str, value: object) -> bool:
        """Remember a value under a name."""
        ...


def icon(name: str, ink: str = "text") -> QIcon:
    """The icon resources/icons/`name`.svg in a colour of the theme, dim where disabled."""
    colours = theme.current()
    return drawn(name, getattr(colours, ink), colours.dim)


@lru_cache(maxsize=1)
def application_icon() -> QIcon:
    """The picture of the application: for windows, and for the opening page."""
    renderer = QSvgRenderer(QByteArray((resource_path("icons") / "app.svg").read_bytes()))
    result = QIcon()
    for size in APPLICATION_SIZES:
        result.addPixmap(_render(renderer, size))
    return result


@lru_cache(maxsize=KEPT)
def drawn(name: str, colour: str, disabled: str) -> QIcon:
    """The icon resources/icons/`name`.svg in two colours (#rrggbb)."""
    source = (resource_path("icons") / f"{name}.svg").read_text(encoding="utf-8")
    result = QIcon()
    for mode, ink in ((QIcon.Mode.Normal, colour), (QIcon.Mode.Disabled, disabled)):
        renderer = QSvgRenderer(QByteArray(source.replace("currentColor", ink).encode()))
        for size in SIZES:
            result.addPixmap(_render(renderer, size), mode)
    return result


def dress(target: HasIcon, name: str, ink: str = "text") -> None:
    """Give a button or an action an icon that follows the theme."""
    target.setProperty(NAME, name)
    target.setProperty(INK, ink)
    target.setIcon(icon(name, ink))


def dress_again(root: QObject) -> None:
    """Redraw the icons of everything under `root` after the theme changed."""
    for child in root.findChildren(QObject):
        name = child.property(NAME)
        if name:
            child.setIcon(icon(name, child.property(INK)))  # type: ignore[attr-defined]


def _render(renderer: QSvgRenderer, size: int) -> QPixmap:
    pixmap = QPixmap(QSize(size, size))
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    renderer.render(painter, QRectF(0, 0, size, size))
    painter.end()
    return pixmap
