"""Width and level of the window as numbers, shown at once; and presets of the reader's own."""

from __future__ import annotations

from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFormLayout,
    QLineEdit,
    QPushButton,
    QWidget,
)

from app.viewmodels.core.settings import Settings
from app.viewmodels.images.viewer import Viewer
from app.viewmodels.window import own_windows
from app.views.parts import theme
from app.views.parts.elided import ChoiceBox
from med2e3.volume import Window

#: Values that any scan has: CT of metal, and counts of nuclear medicine.
MOST = 1e7

#: Width at the usual size of text, in logical pixels.
WIDTH = 320

#: The narrowest window that can be typed.
NARROWEST = 0.01


#: Letters of a preset's name: it stands in a menu, and in the file of preferences.
MOST_LETTERS = 60


class WindowValues(QDialog):
    """Changes the window of a viewer while numbers are typed; Cancel takes them back."""

    def __init__(self, parent: QWidget, viewer: Viewer, settings: Settings) -> None:
        super().__init__(parent)
        self._viewer, self._settings = viewer, settings
        self._before = viewer.greys
        self.setWindowTitle("Window")
        self.setMinimumWidth(theme.grown(WIDTH))
        self.width_box, self.level_box = _number(NARROWEST, MOST), _number(-MOST, MOST)
        self.own = ChoiceBox()
        self.own.activated.connect(self._use)
        self.name = QLineEdit()
        self.name.setPlaceholderText("Name of a preset of your own")
        self.name.setMaxLength(MOST_LETTERS)
        self.keep = QPushButton("Keep")
        self.keep.clicked.connect(self._keep)
        self.drop = QPushButton("Forget")
        self.drop.clicked.connect(self._forget)
        kinds = QDialogButtonBox.StandardButton
        buttons = QDialogButtonBox(kinds.Ok | kinds.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        form = QFormLayout(self)
        for title, control in (
            ("Width (W)", self.width_box),
            ("Level (L)", self.level_box),
            ("Your presets", self.own),
            ("Keep these as", self.name),
        ):
            control.setAccessibleName(title)
            form.addRow(title, control)
        form.addRow(self.keep, self.drop)
        form.addRow(buttons)
        self._show(viewer.window)
        self._list()
        for box in (self.width_box, self.level_box):
            box.valueChanged.connect(lambda _: self._typed())
        self.rejected.connect(lambda: viewer.show_greys(self._before))

    def _show(self, window: Window) -> None:
        for box, value in ((self.width_box, window.width), (self.level_box, window.centre)):
            box.blockSignals(True)
            box.setValue(value)
            box.blockSignals(False)

    def _typed(self) -> None:
        self._viewer.set_window(Window(self.level_box.value(), self.width_box.value()))

    def _list(self) -> None:
        self.own.clear()
        self.own.addItems(list(own_windows.named(self._settings)))
        self.own.setEnabled(self.own.count() > 0)
        self.drop.setEnabled(self.own.count() > 0)

    def _use(self) -> None:
        window = own_windows.named(self._settings)[self.own.currentText()]
        self._show(window)
        self._typed()

    def _keep(self) -> None:
        name = self.name.text().strip()
        if name:
            window = Window(self.level_box.value(), self.width_box.value())
            own_windows.keep(self._settings, name, window)
            self._list()
            self.own.setCurrentText(name)

    def _forget(self) -> None:
        own_windows.forget(self._settings, self.own.currentText())
        self._list()


def _number(least: float, most: float) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setRange(least, most)
    box.setDecimals(2)
    box.setSingleStep(10)
    return box
