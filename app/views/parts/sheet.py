"""A clear sheet that lies on a view, as large as it, and lets the mouse through."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtWidgets import QWidget


class Sheet(QWidget):
    """What is painted over a view by somebody else than the view."""

    def __init__(self, view: QWidget) -> None:
        super().__init__(view)
        self._covered = view
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        view.installEventFilter(self)

    def cover(self) -> None:
        """Lie on the whole view."""
        self.setGeometry(self._covered.rect())

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """As large as the view."""
        if event.type() is QEvent.Type.Resize:
            self.cover()
        return False
