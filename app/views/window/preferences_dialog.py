"""The preferences as they are declared, page by page; changes show at once, Cancel takes them back.

Knows no preference by name: `app.settings.declared` says what there is and how it is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from PySide6.QtCore import QSignalBlocker, QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QBoxLayout,
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
SIZE = (820, 440)

#: Preferences of a page from which on they stand in two columns.
FEWEST = 5

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
        self.tabs.tabBar().setAccessibleName("Pages of the preferences")
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
        page = Columns()
        names = list(preferences)
        half = _half([bool(preferences[name].description) for name in names])
        for part in (names[:half], names[half:]):
            column = QWidget()
            form = QFormLayout(column)
            form.setVerticalSpacing(8)
            form.setHorizontalSpacing(16)
            form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
            for name in part:
                self._add(form, name, preferences[name])
            if part:
                page.add(column)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
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


class Columns(QWidget):
    """Two columns side by side, or one below the other where there is no room for both."""

    def __init__(self) -> None:
        super().__init__()
        self.columns: list[QWidget] = []
        self._row = QBoxLayout(QBoxLayout.Direction.LeftToRight, self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(12)

    def add(self, column: QWidget) -> None:
        """Put a column to the right of the others, its rows at the top."""
        self.columns.append(column)
        self._row.addWidget(column, 1, Qt.AlignmentFlag.AlignTop)

    def minimumSizeHint(self) -> QSize:
        """As wide as the wider column alone: then they stand one below the other."""
        widest = max(column.minimumSizeHint().width() for column in self.columns)
        return QSize(widest, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Another width has room for another number of columns."""
        super().resizeEvent(event)
        needed = sum(column.minimumSizeHint().width() for column in self.columns)
        fits = needed + self._row.spacing() <= self.width()
        way = QBoxLayout.Direction
        self._row.setDirection(way.LeftToRight if fits else way.TopToBottom)


def _half(described: Sequence[bool]) -> int:
    """How many of a page's preferences stand in the first column; all where they are few.

    One with a description takes two lines.
    """
    if len(described) < FEWEST:
        return len(described)
    heights = [1 + has for has in described]
    halves = range(1, len(heights))
    return min(halves, key=lambda k: abs(sum(heights[:k]) - sum(heights[k:])))


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
