"""A place that a series of the list can be dropped on, which says so while one is over it."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QByteArray, QEvent, QMimeData, QObject, Qt
from PySide6.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent
from PySide6.QtWidgets import QLabel, QWidget

from app.views.parts import theme

#: The kind of data of a series that is dragged within the window; its value names the series.
SERIES = "application/x-viewer-series"


def dragged(name: str) -> QMimeData:
    """What is dragged where a series of the list is."""
    data = QMimeData()
    data.setData(SERIES, QByteArray(name.encode()))
    return data


class DropTarget(QObject):
    """Lets a widget take series: while one is over it, it is framed and says what a drop does."""

    def __init__(
        self, widget: QWidget, words: Callable[[], str], dropped: Callable[[str], object]
    ) -> None:
        super().__init__(widget)
        self._words = words
        self._dropped = dropped
        self.frame = QLabel(widget)
        self.frame.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.frame.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.frame.setStyleSheet(
            f"border: 2px solid {theme.DARK.accent}; color: {theme.DARK.text};"
            "background: rgba(20, 24, 30, 150);"
        )
        self.frame.hide()
        widget.setAcceptDrops(True)
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Take series; files and folders go on to the window."""
        if isinstance(event, QDragEnterEvent | QDragMoveEvent | QDropEvent):
            if not event.mimeData().hasFormat(SERIES):
                return False
            event.acceptProposedAction()
            if event.type() == QEvent.Type.Drop:
                self._highlight(on=False)
                self._dropped(bytes(event.mimeData().data(SERIES).data()).decode())
            elif event.type() == QEvent.Type.DragEnter:
                self._highlight(on=True)
            return True
        if event.type() == QEvent.Type.DragLeave:
            self._highlight(on=False)
        return False

    def _highlight(self, *, on: bool) -> None:
        widget = self.parent()
        assert isinstance(widget, QWidget)
        self.frame.setText(self._words())
        self.frame.setGeometry(widget.rect())
        self.frame.setVisible(on)
        self.frame.raise_()
