"""The menu of an image at a right click: what is under the mouse first, then tools and the view."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QPointF
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu

from app.imaging import windows
from app.viewmodels.annotation import kinds
from app.viewmodels.annotation.annotations import Annotations
from app.viewmodels.annotation.hit_testing import hit
from app.viewmodels.annotation.view_frame import ViewFrame
from app.viewmodels.images.tools import Tool
from app.viewmodels.window.workspace import Workspace
from app.views.images.slice_view import SliceView

#: Commands of the menu in groups, by their names.
GROUPS = (
    ("key_image", "grow_region", "hide_drawings"),
    ("reset_view", "one_to_one", "turn_quarter", "mirror", "upend", "invert", "reset_window"),
    ("maximise", "second_window", "magnifier", "slab", "reference_lines"),
    ("copy_view", "save_view", "tags"),
)

#: What can be done with a measurement under the mouse.
ON_A_DRAWING = ("copy_value", "to_report", "delete")


class ImageMenu:
    """Opens the menu of any view of a window; each entry is a command of the window."""

    def __init__(self, workspace: Workspace, actions: Mapping[str, QAction]) -> None:
        self._workspace = workspace
        self._actions = actions

    def serve(self, view: SliceView, book: Annotations) -> None:
        """Let a view open the menu, whose drawings are those of `book`."""
        view.open_menu = lambda at: self.open(view, book, at)

    def open(self, view: SliceView, book: Annotations, at: QPointF) -> QMenu:
        """The menu at a place of a view, shown there."""
        view.viewer.activate(view.plane)
        self._take(view, book, at)
        menu = self.menu(view, book)
        menu.aboutToHide.connect(menu.deleteLater)
        menu.popup(view.mapToGlobal(at.toPoint()))
        return menu

    def menu(self, view: SliceView, book: Annotations) -> QMenu:
        """The entries for what is selected and for the view."""
        menu = QMenu(view)
        if book.selected is not None:
            for name in ON_A_DRAWING:
                menu.addAction(self._actions[name])
            menu.addSeparator()
        presets = menu.addMenu("Window")
        for name in windows.PRESETS:
            presets.addAction(self._actions[f"preset:{name}"])
        presets.addSeparator()
        presets.addAction(self._actions["window_values"])
        tools = menu.addMenu("Left button")
        for tool in Tool:
            tools.addAction(self._actions[f"{tool}_tool"])
        measure = menu.addMenu("Measure")
        for drawing in kinds.tools():
            measure.addAction(self._actions[f"{drawing.name}_tool"])
        for name in ("grow_region", "brush_tool", "clicks_tool"):
            measure.addAction(self._actions[name])
        for group in GROUPS:
            menu.addSeparator()
            for name in group:
                menu.addAction(self._actions[name])
        return menu

    def _take(self, view: SliceView, book: Annotations, at: QPointF) -> None:
        """Select the drawing under the mouse, if there is one."""
        state, viewport = view.state, view.viewport()
        if state is None or viewport is None or book.hidden:
            return
        found = hit(ViewFrame.of(state, viewport), book.document.annotations, at.x(), at.y())
        book.select(None if found is None else found.uid)
