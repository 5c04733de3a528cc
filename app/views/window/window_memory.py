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
    """Note where everything is; the file is not written yet."""
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
    """Put everything where it was, or where it can be seen."""
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
    """The same place where a screen shows it; else on the first screen, no larger than it."""
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


def text_of(data: QByteArray) -> str:
    """What Qt saved, as the preferences keep it."""
    return bytes(data.toBase64().data()).decode()
