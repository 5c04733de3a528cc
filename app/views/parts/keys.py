"""Keys as Qt spells them, whether they belong to a text being typed, and commands in tooltips."""

from __future__ import annotations

from PySide6.QtCore import QKeyCombination, Qt
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QTextEdit,
    QWidget,
)

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


def show_command(widget: QWidget, name: str) -> None:
    """Let a widget's tooltip be a command's title and key.

    `app.views.window.key_bindings` writes it at its next refresh, and when the keys change.
    """
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
    """Whether the widget with the focus takes keys as text."""
    focus = QApplication.focusWidget()
    if isinstance(focus, QComboBox):
        return focus.isEditable()
    if isinstance(focus, QLineEdit | QPlainTextEdit | QTextEdit):
        return not focus.isReadOnly()
    return isinstance(focus, QAbstractSpinBox)


def is_typed(event: QKeyEvent) -> bool:
    """Whether a key belongs to a text being typed, and so to no command."""
    function_key = Qt.Key.Key_F1 <= event.key() <= Qt.Key.Key_F35
    leaves = event.key() == Qt.Key.Key_Escape
    return typing() and not (event.modifiers() & CHORD or function_key or leaves)
