"""Sets the range of a region while it is seen: two values, connected or anywhere, keep or not."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app.viewmodels.images.growing import Growing

#: What a range can be typed in, and one step of it.
ENDS, STEP = (-32768.0, 65535.0), 10.0


class GrowDialog(QDialog):
    """Stays open beside the images; closing it takes the region away unless it was kept."""

    def __init__(self, growing: Growing, parent: QWidget) -> None:
        super().__init__(parent)
        self._growing = growing
        self.setWindowTitle("Region by its values")
        self.setModal(False)
        self.low, self.high = self._spin("low", "From"), self._spin("high", "To")
        self.connected = QCheckBox("Only what is connected with the crosshair")
        self.connected.toggled.connect(lambda on: growing.change(connected=on))
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.again = QPushButton("From the crosshair now")
        self.again.setToolTip("Begin anew where the crosshair is")
        self.again.clicked.connect(lambda _=False: growing.start())
        self.keep = QPushButton("Keep")
        self.keep.setDefault(True)
        self.keep.clicked.connect(self._keep)
        cancel = QPushButton("Cancel")
        cancel.clicked.connect(self.reject)
        form = QFormLayout()
        form.addRow("From", self.low)
        form.addRow("To", self.high)
        row = QHBoxLayout()
        for button in (self.again, cancel, self.keep):
            row.addWidget(button)
        column = QVBoxLayout(self)
        column.addLayout(form)
        for widget in (self.connected, self.words):
            column.addWidget(widget)
        column.addLayout(row)
        self.rejected.connect(growing.cancel)
        growing.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Take over the range and what was found."""
        wanted = self._growing.wanted
        self.words.setText(self._growing.words)
        region = self._growing.region
        self.keep.setEnabled(region is not None and region.millilitres > 0)
        if wanted is None:
            self.hide()
            return
        for spin, value in ((self.low, wanted.low), (self.high, wanted.high)):
            with QSignalBlocker(spin):
                spin.setValue(value)
        with QSignalBlocker(self.connected):
            self.connected.setChecked(wanted.connected)

    def _keep(self) -> None:
        self._growing.keep()
        self.hide()

    def _spin(self, end: str, title: str) -> QDoubleSpinBox:
        spin = QDoubleSpinBox()
        spin.setRange(*ENDS)
        spin.setDecimals(0)
        spin.setSingleStep(STEP)
        spin.setAccessibleName(f"{title}: value of the region")
        spin.setKeyboardTracking(False)
        spin.valueChanged.connect(lambda value: self._growing.change(**{end: value}))
        return spin
