"""Starts the `Refiner` when nothing has moved for a moment."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer

from app.viewmodels.images.refiner import Refiner

#: Milliseconds without movement after which pictures are refined: longer than between two events
#: of a slow drag.
IDLE_MS = 120


class IdleTimer(QObject):
    """A timer that starts anew with each movement of a viewer whose pictures are coarse."""

    def __init__(self, refiner: Refiner, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer = refiner.viewer
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(IDLE_MS)
        self._timer.timeout.connect(refiner.start)
        for signal in (viewer.slices_changed, viewer.volume_changed, viewer.voxels_filled):
            signal.connect(self._moved)

    def _moved(self) -> None:
        if self._viewer.is_coarse:
            self._timer.start()
