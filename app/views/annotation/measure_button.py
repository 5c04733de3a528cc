"""The toolbar's button for measuring: the tool used last, and all of them in its menu."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QToolButton

from app.viewmodels.images.viewer import VIEW_TOOLS, Tool, Viewer

#: The tool on the button until another one is used.
FIRST = Tool.LENGTH


class MeasureButton(QToolButton):
    """A press takes the tool shown; the arrow beside it opens the list."""

    def __init__(self, viewer: Viewer, actions: dict[str, QAction]) -> None:
        super().__init__()
        self._viewer = viewer
        self._actions = actions
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setPopupMode(QToolButton.ToolButtonPopupMode.MenuButtonPopup)
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        for tool in Tool:
            if tool not in VIEW_TOOLS:
                menu.addAction(actions[f"{tool}_tool"])
        menu.addSeparator()
        for name in ("key_image", "delete"):
            menu.addAction(actions[name])
        self.setMenu(menu)
        self.setDefaultAction(actions[f"{FIRST}_tool"])
        viewer.tool_changed.connect(self.refresh)

    def refresh(self) -> None:
        """Show the measuring tool in use; the last one while there is none."""
        if self._viewer.tool not in VIEW_TOOLS:
            action = self._actions[f"{self._viewer.tool}_tool"]
            if action is not self.defaultAction():
                self.setDefaultAction(action)
