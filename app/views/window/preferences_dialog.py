"""The preferences as they are declared, page by page; changes show at once, Cancel takes them back.

Knows no preference by name: `app.settings.declared` says what there is and how it is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QScrollArea,
    QSpinBox,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from app.settings import Shown, declared
from app.viewmodels.window.preferences import PreferenceEditor
from app.views.parts import theme
from app.views.parts.elided import ChoiceBox
from app.views.window.layout_dialog import INSET

#: First size at the usual size of text, in logical pixels: the longest page without scrolling.
SIZE = (520, 470)

#: Left and right of the tabs, in logical pixels.
AROUND = 24


class PreferencesDialog(QDialog):
    """A dialog with a tab for each page and a control for each preference."""

    def __init__(self, window: QWidget, editor: PreferenceEditor) -> None:
        super().__init__(window)
        self._editor = editor
        self.setWindowTitle("Preferences")
        theme.open_at(self, *SIZE)
        editor.begin()
        self.controls: dict[str, QWidget] = {}
        self._show: dict[str, Callable[[Any], None]] = {}
        self.tabs = QTabWidget()
        pages: dict[str, dict[str, Shown]] = {}
        for name, how in declared().items():
            pages.setdefault(how.page, {})[name] = how
        for title, preferences in pages.items():
            self.tabs.addTab(self._page(preferences), title)
        self.tabs.setUsesScrollButtons(False)
        self.tabs.setElideMode(Qt.TextElideMode.ElideNone)
        room = self.screen().availableSize().width()
        self.setMinimumWidth(min(self.tabs.tabBar().sizeHint().width() + AROUND, room))
        kinds = QDialogButtonBox.StandardButton
        self.buttons = QDialogButtonBox(kinds.RestoreDefaults | kinds.Cancel | kinds.Ok)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self.buttons.button(kinds.RestoreDefaults).clicked.connect(lambda _=False: editor.reset())
        column = QVBoxLayout(self)
        column.addWidget(self.tabs)
        column.addWidget(self.buttons)
        self.accepted.connect(editor.keep)
        self.rejected.connect(editor.cancel)
        self.finished.connect(editor.settings.changed.connect(self._show_one))
        self.refresh()

    def refresh(self) -> None:
        """Show every preference as it is."""
        for name in self._show:
            self._show_one(name)

    def _show_one(self, name: str) -> None:
        if name in self._show:
            with QSignalBlocker(self.controls[name]):
                self._show[name](self._editor.value(name))

    def _page(self, preferences: dict[str, Shown]) -> QScrollArea:
        page = QWidget()
        form = QFormLayout(page)
        form.setVerticalSpacing(8)
        form.setHorizontalSpacing(16)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for name, how in preferences.items():
            self._add(form, name, how)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setWidget(page)
        return area

    def _add(self, form: QFormLayout, name: str, how: Shown) -> None:
        control, self._show[name] = _control(how, lambda value: self._editor.set(name, value))
        control.setAccessibleName(how.title)
        control.setAccessibleDescription(how.description)
        self.controls[name] = control
        if isinstance(control, QCheckBox):
            form.addRow(control)
        else:
            form.addRow(how.title, control)
        if how.description:
            said = QLabel(how.description)
            said.setProperty("dim", True)
            said.setWordWrap(True)
            form.addRow(said)


def _control(how: Shown, change: Callable[[Any], None]) -> tuple[QWidget, Callable[[Any], None]]:
    """A control that calls `change` with a new value, and the function that shows a value in it."""
    if how.choices:
        return _choice(how, change)
    if how.limits is not None:
        number = QSpinBox()
        number.setRange(*how.limits)
        number.lineEdit().setTextMargins(*INSET)
        number.valueChanged.connect(change)
        return number, number.setValue
    if how.is_text:
        line = QLineEdit()
        line.editingFinished.connect(lambda: change(line.text()))
        return line, line.setText
    tick = QCheckBox(how.title)
    tick.toggled.connect(change)
    return tick, tick.setChecked


def _choice(how: Shown, change: Callable[[Any], None]) -> tuple[QWidget, Callable[[Any], None]]:
    box = ChoiceBox()
    for value, words in how.choices:
        box.addItem(words, value)
    box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    box.currentIndexChanged.connect(lambda k: change(box.itemData(k)))
    return box, lambda value: box.setCurrentIndex(box.findData(value))
