"""Tells the viewer when nothing has moved for a moment, so that coarse pictures become fine."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer

from app.viewmodels.viewer import Viewer

#: Milliseconds without movement that count as rest: longer than between two events of a slow drag.
REST_MS = 120


class Rest(QObject):
    """A timer that starts anew with each movement."""

    def __init__(self, viewer: Viewer, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(REST_MS)
        self._timer.timeout.connect(viewer.settle_next)
        viewer.slices_changed.connect(self._moved)

    def _moved(self) -> None:
        if self._viewer.is_coarse:
            self._timer.start()
