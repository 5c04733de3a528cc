"""The one application object of Qt, and its log without the lines that help nobody."""

from __future__ import annotations

import sys

from PySide6.QtCore import QtMsgType, qInstallMessageHandler
from PySide6.QtWidgets import QApplication

#: What Qt's own log says that helps nobody: platforms without a window manager cannot do this.
QT_NOISE = ("propagateSizeHints",)


def qt_application() -> QApplication:
    """The application object, made at the first call; closing the last window does not end it."""
    qInstallMessageHandler(_qt_message)
    QApplication.setApplicationName("Med-2E3 viewer")
    existing = QApplication.instance()
    qt = existing if isinstance(existing, QApplication) else QApplication(sys.argv[:1])
    qt.setQuitOnLastWindowClosed(False)
    return qt


def _qt_message(kind: QtMsgType, context: object, message: str) -> None:
    if not any(noise in message for noise in QT_NOISE):
        print(f"Qt: {message}", file=sys.stderr)
