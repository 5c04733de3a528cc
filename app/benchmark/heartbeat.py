"""How long the event loop was ever held up: a timer that should fire every few milliseconds."""

from __future__ import annotations

import time

from PySide6.QtCore import QObject, Qt, QTimer

#: Milliseconds between two beats when nothing holds them up.
INTERVAL_MS = 2


class Heartbeat(QObject):
    """Records the longest time between two beats, less the interval."""

    def __init__(self) -> None:
        super().__init__()
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(INTERVAL_MS)
        self._timer.timeout.connect(self._beat)
        self._last = 0.0
        self.longest_ms = 0.0
        self.beats = 0

    def start(self) -> None:
        """Begin with nothing recorded."""
        self.longest_ms, self.beats = 0.0, 0
        self._last = time.perf_counter()
        self._timer.start()

    def stop(self) -> float:
        """The longest stall in milliseconds since `start`."""
        self._beat()
        self._timer.stop()
        return self.longest_ms

    def _beat(self) -> None:
        now = time.perf_counter()
        self.longest_ms = max(self.longest_ms, (now - self._last) * 1000 - INTERVAL_MS)
        self._last = now
        self.beats += 1
