"""Keys of commands, to change: search, record a key, remove one, reset one or all.

Decides nothing: `Shortcuts` says what a key runs, who loses it, and which keys cannot be given.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.viewmodels.window.commands import COMMANDS, Command
from app.viewmodels.window.fuzzy import match
from app.viewmodels.window.shortcuts import Shortcuts
from app.views.parts import theme
from app.views.parts.keys import ROWS, native_keys, spelled

#: First size at the usual size of text, in logical pixels: every column, about twenty commands.
SIZE = (680, 560)

#: Keys that are no key by themselves.
MODIFIERS = (Qt.Key.Key_Control, Qt.Key.Key_Shift, Qt.Key.Key_Alt, Qt.Key.Key_Meta)

#: Where an item keeps the name of its command.
NAME = int(Qt.ItemDataRole.UserRole)


class KeyRecorder(QPushButton):
    """A button that, once pressed, records the next key, whatever it does elsewhere; Esc leaves."""

    def __init__(self, editor: ShortcutEditor) -> None:
        super().__init__("Add a key…")
        self._editor = editor
        self.setCheckable(True)
        self.setAutoDefault(False)
        self.toggled.connect(self._say)

    def _say(self, on: bool) -> None:
        self.setText("Press the key…" if on else "Add a key…")
        if on:
            self.setFocus()

    def event(self, event: QEvent) -> bool:
        """Keep the dialog's own shortcuts from running while a key is recorded."""
        if self.isChecked() and isinstance(event, QKeyEvent):
            if event.type() == QEvent.Type.ShortcutOverride:
                event.accept()
                return True
            if event.type() == QEvent.Type.KeyPress:
                self._take(event)
                return True
        return super().event(event)

    def _take(self, event: QKeyEvent) -> None:
        if event.key() in MODIFIERS:
            return
        self.setChecked(False)
        if event.key() != Qt.Key.Key_Escape:
            self._editor.record(spelled(event))


class ShortcutEditor(QDialog):
    """The table of commands with their keys."""

    def __init__(self, window: QWidget, shortcuts: Shortcuts) -> None:
        super().__init__(window)
        self._shortcuts = shortcuts
        self.setWindowTitle("Keyboard shortcuts")
        theme.open_at(self, *SIZE)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search commands and keys")
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self.refresh)
        self.list = _list()
        self.list.currentItemChanged.connect(lambda *_: self._refresh_buttons())
        self.said = QLabel()
        self.said.setWordWrap(True)
        self.said.setProperty("dim", True)
        self.recorder = KeyRecorder(self)
        self.remove = _button("Remove its keys", self._remove)
        self.reset = _button("Reset", self._reset)
        self.reset_all = _button("Reset all", self._reset_all)
        done = _button("Close", self.accept)
        row = QHBoxLayout()
        for button in (self.recorder, self.remove, self.reset):
            row.addWidget(button)
        row.addStretch(1)
        for button in (self.reset_all, done):
            row.addWidget(button)
        column = QVBoxLayout(self)
        for part in (self.search, self.list, self.said):
            column.addWidget(part)
        column.addLayout(row)
        self.finished.connect(shortcuts.changed.connect(self.refresh))
        self.refresh()

    def refresh(self) -> None:
        """List the commands that fit the search, with the keys that they have now."""
        chosen = self.chosen()
        self.list.clear()
        for command in COMMANDS:
            if _fits(self.search.text(), command, self._shortcuts.keys(command.name)):
                item = _item(command, self._shortcuts)
                self.list.addTopLevelItem(item)
                if command.name == chosen:
                    self.list.setCurrentItem(item)
        first = self.list.topLevelItem(0)
        if first is not None and self.list.currentItem() is None:
            self.list.setCurrentItem(first)
        self._refresh_buttons()

    def chosen(self) -> str:
        """The name of the chosen command; empty: none is listed."""
        item = self.list.currentItem()
        return str(item.data(0, NAME)) if item is not None else ""

    def choose(self, name: str) -> None:
        """Choose a listed command."""
        for k in range(self.list.topLevelItemCount()):
            item = self.list.topLevelItem(k)
            if item is not None and item.data(0, NAME) == name:
                self.list.setCurrentItem(item)

    def record(self, key: str) -> None:
        """Give the chosen command a key, and say who lost it."""
        if refusal := self._shortcuts.refusal(key):
            self.said.setText(f"{refusal} It can be given to no command.")
            return
        loser = self._shortcuts.add(self.chosen(), key)
        native = native_keys((key,))
        self.said.setText(f"{native} no longer runs “{loser.title}”." if loser else "")

    def _remove(self) -> None:
        for key in self._shortcuts.keys(self.chosen()):
            self._shortcuts.remove(self.chosen(), key)
        self.said.clear()

    def _reset(self) -> None:
        losers = self._shortcuts.reset(self.chosen())
        titles = ", ".join(f"“{loser.title}”" for loser in losers)
        self.said.setText(f"Taken back from {titles}." if losers else "")

    def _reset_all(self) -> None:
        self._shortcuts.reset_all()
        self.said.setText("Every command has its first keys again.")

    def _refresh_buttons(self) -> None:
        name = self.chosen()
        self.recorder.setEnabled(bool(name))
        self.remove.setEnabled(bool(name) and bool(self._shortcuts.keys(name)))
        self.reset.setEnabled(bool(name) and self._shortcuts.is_changed(name))
        self.reset_all.setEnabled(self._shortcuts.any_changed)


def _fits(text: str, command: Command, keys: tuple[str, ...]) -> bool:
    named = match(text, f"{command.group} {command.title}") is not None
    return named or text.casefold() in [key.casefold() for key in keys]


def _item(command: Command, shortcuts: Shortcuts) -> QTreeWidgetItem:
    keys = shortcuts.keys(command.name)
    changed = shortcuts.is_changed(command.name)
    note = "changed" if changed else ""
    item = QTreeWidgetItem([command.title, command.group, native_keys(keys), note])
    item.setData(0, NAME, command.name)
    return item


def _list() -> QTreeWidget:
    made = QTreeWidget()
    made.setAccessibleName("Commands and their keys")
    made.setHeaderLabels(["Command", "Group", "Keys", ""])
    made.setRootIsDecorated(False)
    made.setStyleSheet(ROWS)
    made.setUniformRowHeights(True)
    header = made.header()
    header.setStretchLastSection(False)
    header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
    for column in (1, 2, 3):
        header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
    return made


def _button(text: str, act: Callable[[], object]) -> QPushButton:
    button = QPushButton(text)
    button.setAutoDefault(False)
    button.clicked.connect(lambda _=False: act())
    return button
