"""Painting that can fail: the error is drawn in the widget and told once, and the window stays.

An exception that leaves a `paintEvent` with its painter open would end the process.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

Painted = TypeVar("Painted", bound=QWidget)

#: Drawn in the place of what could not be painted, on the images' dark background.
SENTENCE = "This cannot be drawn."
INK, BACKDROP = QColor(255, 120, 110), QColor(0, 0, 0, 175)

#: The property of a widget that says which failure was told last.
TOLD = "painting_failed"


def painted(paint: Callable[[Painted, QPainter], None]) -> Callable[[Painted, QPaintEvent], None]:
    """Make a `paintEvent` of a method that takes a painter. Every `paintEvent` is one of these."""

    @functools.wraps(paint)
    def paint_event(self: Painted, event: QPaintEvent) -> None:
        with _painting(self) as painter:
            paint(self, painter)

    return paint_event


@contextmanager
def _painting(widget: QWidget) -> Iterator[QPainter]:
    """A painter on `widget`, closed at the end whatever happens."""
    painter = QPainter(widget)
    try:
        yield painter
    except Exception as error:
        painter.end()
        _draw_failure(widget)
        _tell_once(widget, error)
    else:
        if widget.property(TOLD) is not None:
            widget.setProperty(TOLD, None)
    finally:
        if painter.isActive():
            painter.end()


def _draw_failure(widget: QWidget) -> None:
    painter = QPainter(widget)
    painter.fillRect(widget.rect(), BACKDROP)
    painter.setPen(INK)
    painter.drawText(widget.rect(), Qt.AlignmentFlag.AlignCenter, SENTENCE)
    painter.end()


def _tell_once(widget: QWidget, error: Exception) -> None:
    """Report a failure after the painting, for a notice would paint the window again."""
    name = repr(error)
    if widget.property(TOLD) != name:
        widget.setProperty(TOLD, name)
        QTimer.singleShot(0, lambda: sys.excepthook(type(error), error, error.__traceback__))
