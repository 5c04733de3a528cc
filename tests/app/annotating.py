"""Hands for drawing in the real window: positions in voxels, mouse and keys through Qt."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog

from app.viewmodels.annotation.kinds import tools
from app.viewmodels.annotation.model import Annotation
from med2e3.geometry import Plane

NO_BUTTON = Qt.MouseButton.NoButton

#: The key of each tool.
KEYS = {tool.name: Qt.Key(ord(tool.key)) for tool in tools() if len(tool.key) == 1}
KEYS["crosshair"] = Qt.Key.Key_C

Place = tuple[float, float]


def exports(gui: Any, button: Any, title: str) -> Callable[[Path], None]:
    """Choose an entry of an export menu; what is returned chooses a place in its dialog."""
    (entry,) = (action for action in button.menu().actions() if action.text() == title)
    gui.do(entry.trigger)
    dialog = gui.window.findChildren(QFileDialog)[-1]

    def choose(place: Path) -> None:
        dialog.fileSelected.emit(str(place))
        dialog.done(0)
        gui.window.activateWindow()  # as a window manager does

    return choose


def save_pictures(gui: Any, folder: Path) -> None:
    """Export the key images into a folder."""
    choose = exports(gui, gui.window.measurements.export, "Save key images (PNG)…")
    gui.do(lambda: choose(folder))
    gui.until(gui.window.isActiveWindow)


class Pen:
    """Draws in one view of a window; places are (row, column) of the slice shown."""

    def __init__(self, gui: Any, plane: Plane = Plane.AXIAL) -> None:
        self.gui = gui
        self.plane = plane
        self.book = gui.workspace.annotations
        self.view = gui.view(plane)
        gui.until(lambda: self.book.volume is not None)

    def screen(self, at: Place) -> tuple[float, float]:
        x, y = self.view.viewport().to_screen(*at)
        return float(x), float(y)

    def tool(self, name: str) -> None:
        self.gui.key(KEYS[name], self.view)

    def drag(self, start: Place, end: Place, **how: Any) -> None:
        self.gui.drag(self.view, self.screen(start), self.screen(end), **how)

    def click(self, at: Place) -> None:
        self.hover(at)
        self.drag(at, at)

    def hover(self, at: Place) -> None:
        self.gui.drag(self.view, self.screen(at), self.screen(at), NO_BUTTON)

    def trace(self, path: list[Place]) -> None:
        """Draw along a path with the button held down, in eight moves a side."""
        points = [np.asarray(self.screen(at)) for at in path]
        left, kinds = Qt.MouseButton.LeftButton, QEvent.Type

        def act() -> None:
            self._send(kinds.MouseButtonPress, points[0], left, left)
            for a, b in itertools.pairwise(points):
                for k in range(1, 9):
                    self._send(kinds.MouseMove, a + (b - a) * k / 8, NO_BUTTON, left)
            self._send(kinds.MouseButtonRelease, points[-1], left, NO_BUTTON)

        self.gui.do(act)

    def _send(
        self, kind: QEvent.Type, at: np.ndarray, button: Qt.MouseButton, held: Qt.MouseButton
    ) -> None:
        # QTest's positions are whole pixels; a mouse on a fine screen is between them.
        here = QPointF(float(at[0]), float(at[1]))
        there = QPointF(self.view.mapToGlobal(here.toPoint()))
        modifiers = Qt.KeyboardModifier.NoModifier
        QApplication.sendEvent(self.view, QMouseEvent(kind, here, there, button, held, modifiers))

    def type(self, text: str, end: Qt.Key) -> None:
        """Type into whatever has the focus."""

        def act() -> None:
            line = QApplication.focusWidget()
            QTest.keyClicks(line, text)
            QTest.keyClick(line, end)

        self.gui.do(act)

    @property
    def drawn(self) -> tuple[Annotation, ...]:
        return tuple(self.book.document.annotations)

    @property
    def last(self) -> Annotation:
        return self.drawn[-1]

    def lines(self) -> tuple[str, ...]:
        """What the last annotation says."""
        return tuple(self.book.reading(self.last).lines)

    def numbers(self) -> dict[str, float]:
        return {q.name: q.value for q in self.book.reading(self.last).quantities}

    def places(self) -> np.ndarray:
        """(n, 3) where the last annotation's points lie: (slice, row, column) as displayed."""
        grid = self.view.state.geometry
        return np.asarray(grid.to_index(np.asarray(self.last.points_mm)))
