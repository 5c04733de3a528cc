"""Says when nothing has moved for a moment, so that coarse pictures become exact."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer

from app.viewmodels.images.refiner import Refiner

#: Milliseconds without movement that count as rest: longer than between two events of a slow drag.
REST_MS = 120


class IdleTimer(QObject):
    """A timer that starts anew with each movement."""

    def __init__(self, exact: Refiner, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer = exact.viewer
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(REST_MS)
        self._timer.timeout.connect(exact.start)
        for signal in (viewer.slices_changed, viewer.volume_changed, viewer.voxels_filled):
            signal.connect(self._moved)

    def _moved(self) -> None:
        if self._viewer.is_coarse:
            self._timer.start()
