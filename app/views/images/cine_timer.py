"""The clock of the cine: calls `Cine.step` at its rate while it plays."""

from __future__ import annotations

from PySide6.QtCore import QObject, Qt, QTimer

from app.viewmodels.images.cine import Cine


class CineTimer(QObject):
    """Runs only while slices are played."""

    def __init__(self, cine: Cine, parent: QObject) -> None:
        super().__init__(parent)
        self._cine = cine
        self.timer = QTimer(self)
        self.timer.setTimerType(Qt.TimerType.PreciseTimer)
        self.timer.timeout.connect(cine.step)
        cine.changed.connect(self._refresh)

    def _refresh(self) -> None:
        if not self._cine.playing:
            self.timer.stop()
        elif not self.timer.isActive() or self.timer.interval() != self._cine.interval_ms:
            self.timer.start(self._cine.interval_ms)
