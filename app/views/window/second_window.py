"""A cell of the layout in a window of its own, as for a second monitor.

The cell itself moves there and back: it stays linked with the others, and no picture is made twice.
Its window knows the keys of the first one. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QByteArray, QEvent, QRect
from PySide6.QtGui import QAction, QCloseEvent, QGuiApplication, QKeyEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.viewmodels.window.layouts import TITLES
from app.viewmodels.window.workspace import Workspace
from app.views.parts.keys import is_typed
from app.views.window.centre import Centre
from app.views.window.window_memory import brought_back, text_of

#: Size where there is no second monitor, in logical pixels.
FIRST_SIZE = (720, 720)


class SecondWindow(QWidget):
    """Shown while `Layouts.second` names a cell; key events go on to the `main` window."""

    def __init__(
        self, main: QWidget, centre: Centre, workspace: Workspace, actions: Iterable[QAction]
    ) -> None:
        super().__init__()
        self._main = main
        self._centre = centre
        self._viewer = workspace.viewer
        self._layouts = workspace.layouts
        self._settings = workspace.settings
        self._placed = False
        self._ended = False
        self.cell = ""
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        for action in actions:
            self.addAction(action)
        self._layouts.changed.connect(self.refresh)
        self._viewer.volume_changed.connect(self._title)

    def refresh(self) -> None:
        """Take over which cell is here; nothing is shown before the first window is."""
        wanted = self._layouts.second
        if wanted == self.cell or self._ended or not self._main.isVisible():
            return
        self._give_back()
        if wanted:
            self.cell = wanted
            widget = self._centre.hand_out(wanted)
            self._layout.addWidget(widget)
            widget.show()
            self._title()
            self._place()
            self.show()

    def end(self) -> None:
        """The first window closes: give the cell back, and remember where it was shown."""
        self._remember()
        self._ended = True
        self._give_back()
        self.deleteLater()

    def _give_back(self) -> None:
        if self.cell:
            name, self.cell = self.cell, ""
            widget = self._centre.cell(name)
            self._layout.removeWidget(widget)
            self._centre.take_back(name)
        self.hide()

    def _title(self) -> None:
        if self.cell:
            volume = self._viewer.volume
            of = f"{volume.name} — " if volume is not None else ""
            self.setWindowTitle(f"{TITLES[self.cell]} — {of}Med-2E3 viewer")

    # --- where -------------------------------------------------------------------------------

    def _place(self) -> None:
        """Where it was last, else all of another monitor, else a window beside."""
        if self._placed:
            return
        self._placed = True
        screens = QGuiApplication.screens()
        values = self._settings.values
        others = [s.availableGeometry() for s in screens if s is not self._main.screen()]
        if values.second_geometry and values.restore_window:
            self.restoreGeometry(QByteArray.fromBase64(values.second_geometry.encode()))
        elif others:
            self.setGeometry(others[0])
        else:
            self.setGeometry(QRect(self._main.geometry().center(), self.size()))
            self.resize(*FIRST_SIZE)
        self.setGeometry(brought_back(self.geometry(), [s.availableGeometry() for s in screens]))

    def _remember(self) -> None:
        if self._placed:
            self._settings.set("second_geometry", text_of(self.saveGeometry()))

    # --- events ------------------------------------------------------------------------------

    def event(self, event: QEvent) -> bool:
        """A key typed into a text, as at an arrow, is no command."""
        typed = event.type() == QEvent.Type.ShortcutOverride
        if typed and isinstance(event, QKeyEvent) and is_typed(event):
            event.accept()
            return True
        if event.type() == QEvent.Type.WindowDeactivate:
            self._viewer.hold_space(False)
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """As in the first window."""
        self._main.keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        """As in the first window."""
        self._main.keyReleaseEvent(event)

    def closeEvent(self, event: QCloseEvent) -> None:
        """The cell goes back to the first window."""
        self._remember()
        event.accept()
        if self.cell and not self._ended:
            self._layouts.attach()
