"""The keys of a window: shortcuts on its actions, tooltips that name them, typing left alone.

Knows no command by name. Keys that only text or lists should take first (slices) are given to the
window's own key events; all others are shortcuts of Qt actions.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QKeyCombination, Qt
from PySide6.QtGui import QAction, QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QTextEdit,
    QWidget,
)

from app.viewmodels.window.availability import what_now, why_not
from app.viewmodels.window.commands import BY_NAME
from app.viewmodels.window.workspace import Workspace

#: Keys of this group reach the window only when no text or list takes them first.
NAVIGATION = "Slices"

#: The property of a widget that remembers which command it stands for.
COMMAND = "command"

#: Rows of tables of commands: their columns stand apart, and each below its heading.
ROWS = "QTreeWidget::item { padding: 2px 8px; } QHeaderView::section { padding: 2px 11px; }"

#: With one of these held a key is a command also while text is being typed.
CHORD = (
    Qt.KeyboardModifier.ControlModifier
    | Qt.KeyboardModifier.AltModifier
    | Qt.KeyboardModifier.MetaModifier
)


class Keys:
    """Keeps a window's actions and tooltips in step with the shortcuts."""

    def __init__(self, workspace: Workspace, window: QWidget, actions: dict[str, QAction]) -> None:
        self._workspace = workspace
        self._window = window
        self._actions = actions
        self._navigation: dict[str, str] = {}
        workspace.shortcuts.changed.connect(self.refresh)
        for signal in (workspace.viewer.volume_changed, workspace.assistant.model_changed):
            signal.connect(self.enable)
        for signal in (workspace.annotations.changed, workspace.annotations.selection_changed):
            signal.connect(self.enable)
        workspace.assistant.turns_changed.connect(self.enable)
        self._before: tuple[object, ...] = ()
        turned = (workspace.viewer.turned, workspace.compare.changed)
        for signal in (workspace.steps.changed, *turned):
            signal.connect(self._stepped)

    def refresh(self) -> None:
        """Take over the shortcuts."""
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
        """Let commands that cannot be run now look like it, and say why."""
        shortcuts = self._workspace.shortcuts
        self._before = self._state()
        for name, action in self._actions.items():
            reason = why_not(BY_NAME[name], self._workspace)
            detail = reason or what_now(BY_NAME[name], self._workspace)
            action.setEnabled(not reason)
            action.setToolTip(shortcuts.tip(name) + (f": {detail}" if detail else ""))

    def _stepped(self) -> None:
        """Another step may be of the same name, as in a drag of the window or a turn."""
        if self._state() != self._before:
            self.enable()

    def _state(self) -> tuple[object, ...]:
        workspace = self._workspace
        named = workspace.steps.undo_name, workspace.steps.redo_name
        return *named, workspace.viewer.is_turned, workspace.compare.active

    def navigate(self, event: QKeyEvent, commands: dict[str, Callable[[], object]]) -> bool:
        """Run the command of a key that no text or list took; whether there was one."""
        name = self._navigation.get(spelled(event))
        if name is None or typing():
            return False
        commands[name]()
        return True


def speaks(widget: QWidget, name: str) -> None:
    """Let a widget's tooltip be a command's title and key, from the next `Keys.refresh` on."""
    widget.setProperty(COMMAND, name)


def native_keys(keys: tuple[str, ...]) -> str:
    """Keys as this system writes them."""
    native = QKeySequence.SequenceFormat.NativeText
    return "  ".join(QKeySequence(key).toString(native) for key in keys)


def spelled(event: QKeyEvent) -> str:
    """A key event's key in Qt's portable spelling; the number pad counts as the main keys."""
    modifiers = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
    key = Qt.Key(event.key())
    return QKeySequence(QKeyCombination(modifiers, key)).toString()


def typing() -> bool:
    """Whether keys go into a text field."""
    focus = QApplication.focusWidget()
    if isinstance(focus, QComboBox):
        return focus.isEditable()
    if isinstance(focus, QLineEdit | QPlainTextEdit | QTextEdit):
        return not focus.isReadOnly()
    return isinstance(focus, QAbstractSpinBox)


def is_typed(event: QKeyEvent) -> bool:
    """Whether a key belongs to the text being typed and to no command."""
    function_key = Qt.Key.Key_F1 <= event.key() <= Qt.Key.Key_F35
    leaves = event.key() == Qt.Key.Key_Escape
    return typing() and not (event.modifiers() & CHORD or function_key or leaves)
