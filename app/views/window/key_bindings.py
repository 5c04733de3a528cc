"""The keys of a window: shortcuts on its actions, tooltips that name them, commands enabled or not.

Knows no command by name. Keys that text and lists should take first (the group `NAVIGATION`) are
handled by the window's own key events; all others are shortcuts of Qt actions.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtGui import QAction, QKeyEvent, QKeySequence
from PySide6.QtWidgets import QWidget

from app.viewmodels.window.availability import what_now, why_not
from app.viewmodels.window.commands import BY_NAME
from app.viewmodels.window.workspace import Workspace
from app.views.parts.keys import COMMAND, spelled, typing

#: Keys of this group reach the window only when no text or list takes them first.
NAVIGATION = "Slices"


class KeyBindings:
    """Binds the shortcuts to a window's actions, and shows which commands can be run now."""

    def __init__(self, workspace: Workspace, window: QWidget, actions: dict[str, QAction]) -> None:
        self._workspace = workspace
        self._window = window
        self._actions = actions
        self._navigation: dict[str, str] = {}
        workspace.shortcuts.changed.connect(self.refresh)
        for signal in (workspace.viewer.volume_changed, workspace.assistant.model_changed):
            signal.connect(self.enable)
        for book in workspace.books.all:
            for signal in (book.changed, book.selection_changed):
                signal.connect(self.enable)
        for signal in (workspace.assistant.turns_changed, workspace.assistant.chosen_changed):
            signal.connect(self.enable)
        self._before: tuple[object, ...] = ()
        turned = (workspace.viewer.turned, workspace.side_by_side.changed)
        for signal in (workspace.steps.changed, *turned):
            signal.connect(self._stepped)

    def refresh(self) -> None:
        """Bind the keys as they are now, and name them in the tooltips."""
        shortcuts = self._workspace.shortcuts
        self._navigation = {}
        for name, action in self._actions.items():
            keys = shortcuts.keys(name)
            if BY_NAME[name].group == NAVIGATION:
                self._navigation |= dict.fromkeys(keys, name)
            else:
                action.setShortcuts([QKeySequence(key) for key in keys])
        for widget in self._window.findChildren(QWidget):
            if name := widget.property(COMMAND):
                widget.setToolTip(shortcuts.tip(name))
        self.enable()

    def enable(self) -> None:
        """Enable what can be run now; the tooltip of any other command says why it cannot."""
        shortcuts = self._workspace.shortcuts
        self._before = self._state()
        for name, action in self._actions.items():
            reason = why_not(BY_NAME[name], self._workspace)
            detail = reason or what_now(BY_NAME[name], self._workspace)
            action.setEnabled(not reason)
            action.setToolTip(shortcuts.tip(name) + (f": {detail}" if detail else ""))

    def _stepped(self) -> None:
        """Enable anew where undo or redo would do another thing, as not at each step of a drag."""
        if self._state() != self._before:
            self.enable()

    def _state(self) -> tuple[object, ...]:
        workspace = self._workspace
        named = workspace.steps.undo_name, workspace.steps.redo_name
        return *named, workspace.viewer.is_turned, workspace.side_by_side.active

    def navigate(self, event: QKeyEvent, commands: dict[str, Callable[[], object]]) -> bool:
        """Run the command of a key that no text or list took; returns whether there was one."""
        name = self._navigation.get(spelled(event))
        if name is None or typing():
            return False
        commands[name]()
        return True
