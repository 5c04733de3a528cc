"""A cell of the layout in a window of its own, as for a second monitor.

The cell itself moves there and back: it stays linked with the others, and no picture is made twice.
Its window knows the keys of the first one. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QByteArray, QEvent, QRect, QSize
from PySide6.QtGui import QAction, QCloseEvent, QGuiApplication, QKeyEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.viewmodels.window.layouts import TITLES
from app.viewmodels.window.workspace import Workspace
from app.views.parts.keys import is_typed
from app.views.window.centre import Centre
from app.views.window.window_memory import brought_back, inside, text_of

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
        """Take the cell that the layout names; nothing is shown before the main window is."""
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
        """Remember where this window is, and give the cell back, since the main window closes."""
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
        """Place the window where it was, else on all of another monitor, else beside."""
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
            room = self._main.screen().availableGeometry()
            self.setGeometry(
                inside(QRect(self._main.geometry().center(), QSize(*FIRST_SIZE)), room)
            )
        self.setGeometry(brought_back(self.geometry(), [s.availableGeometry() for s in screens]))

    def _remember(self) -> None:
        if self._placed:
            self._settings.set("second_geometry", text_of(self.saveGeometry()))

    # --- events ------------------------------------------------------------------------------

    def event(self, event: QEvent) -> bool:
        """Keep a key that is typed into a text, as beside an arrow, from running a command."""
        typed = event.type() == QEvent.Type.ShortcutOverride
        if typed and isinstance(event, QKeyEvent) and is_typed(event):
            event.accept()
            return True
        if event.type() == QEvent.Type.WindowDeactivate:
            self._viewer.hold_space(False)
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Hand the key on to the main window."""
        self._main.keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        """Hand the key on to the main window."""
        self._main.keyReleaseEvent(event)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Give the cell back to the main window."""
        self._remember()
        event.accept()
        if self.cell and not self._ended:
            self._layouts.attach()
