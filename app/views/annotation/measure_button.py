"""The toolbar's button for tools that draw: it shows the one used last and lists all in a menu."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QToolButton

from app.viewmodels.annotation import kinds
from app.viewmodels.images.viewer import Viewer

#: The tool on the button until another one is used.
FIRST = kinds.LENGTH.name


class MeasureButton(QToolButton):
    """A press takes the tool shown; the arrow beside it opens the menu."""

    def __init__(self, viewer: Viewer, actions: dict[str, QAction]) -> None:
        super().__init__()
        self._viewer = viewer
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setPopupMode(QToolButton.ToolButtonPopupMode.MenuButtonPopup)
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        self._drawn_with = {tool.name: actions[f"{tool.name}_tool"] for tool in kinds.tools()}
        menu.addActions(list(self._drawn_with.values()))
        menu.addSeparator()
        for name in ("grow_region", "brush_tool", "clicks_tool"):
            menu.addAction(actions[name])
        menu.addSeparator()
        for name in ("key_image", "delete"):
            menu.addAction(actions[name])
        self.setMenu(menu)
        self.setDefaultAction(self._drawn_with[FIRST])
        viewer.tool_changed.connect(self.refresh)

    def refresh(self) -> None:
        """Show the measuring tool in use; the last one while there is none."""
        action = self._drawn_with.get(self._viewer.tool)
        if action is not None and action is not self.defaultAction():
            self.setDefaultAction(action)
