"""Where a window was, and which of its panels were shown. Never puts one where no screen is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtCore import QByteArray, QPoint, QRect
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QMainWindow, QSplitter, QWidget

from app.settings import Preferences
from app.viewmodels.core.settings import Settings

#: Size at the first start, in logical pixels.
FIRST_SIZE = (1280, 800)

#: What must be visible of a window's upper edge so that a mouse can take hold of it.
HOLD = (120, 24)


def remember(
    window: QMainWindow, splitter: QSplitter, panels: Mapping[str, QWidget], settings: Settings
) -> None:
    """Set the preferences that say where everything is; the file is not written yet."""
    settings.update(
        {
            "window_geometry": text_of(window.saveGeometry()),
            "splitters": text_of(splitter.saveState()),
            "hidden_panels": [name for name, panel in panels.items() if panel.isHidden()],
        }
    )


def restore(
    window: QMainWindow, splitter: QSplitter, panels: Mapping[str, QWidget], values: Preferences
) -> None:
    """Place the window and its panels as they were, or where a screen shows them."""
    window.resize(*FIRST_SIZE)
    if not values.restore_window:
        return
    if values.window_geometry:
        window.restoreGeometry(QByteArray.fromBase64(values.window_geometry.encode()))
    if values.splitters:
        splitter.restoreState(QByteArray.fromBase64(values.splitters.encode()))
    for name in values.hidden_panels:
        if name in panels:
            panels[name].hide()
    screens = [screen.availableGeometry() for screen in QGuiApplication.screens()]
    place = brought_back(window.geometry(), screens)
    if place != window.geometry():
        window.setGeometry(place)


def brought_back(place: QRect, screens: Sequence[QRect]) -> QRect:
    """The place itself where a screen shows it; else one in the middle of the first screen."""
    hold = QRect(place.left(), place.top(), place.width(), HOLD[1])
    for screen in screens:
        seen = screen & hold
        if seen.width() >= min(HOLD[0], place.width()) and seen.height() >= HOLD[1]:
            return place
    if not screens:
        return place
    first = screens[0]
    size = place.size().boundedTo(first.size())
    spare = first.size() - size
    corner = first.topLeft() + QPoint(spare.width() // 2, spare.height() // 2)
    return QRect(corner, size)


def inside(place: QRect, screen: QRect) -> QRect:
    """The place moved onto a screen, and smaller where the screen is."""
    size = place.size().boundedTo(screen.size())
    left = min(max(place.left(), screen.left()), screen.right() + 1 - size.width())
    top = min(max(place.top(), screen.top()), screen.bottom() + 1 - size.height())
    return QRect(QPoint(left, top), size)


def text_of(data: QByteArray) -> str:
    """State saved by Qt as text (base 64), as the preferences have it."""
    return bytes(data.toBase64().data()).decode()
