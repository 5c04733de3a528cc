"""Events of the mouse as Qt sends them to a view: wheel, drag, and movement alone."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent, QWheelEvent
from PySide6.QtWidgets import QApplication

from app.views.images.slice_view import NOTCH, SliceView

#: Events in one direction before they go back, so that a view stays near its first zoom and place.
THERE = 10

NONE, MIDDLE = Qt.MouseButton.NoButton, Qt.MouseButton.MiddleButton
PLAIN, CTRL = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ControlModifier


def wheel(view: SliceView, k: int) -> None:
    """Zoom by one notch at the middle, with Ctrl held."""
    turn(view, NOTCH if k % (2 * THERE) < THERE else -NOTCH, CTRL)


def turn(view: SliceView, delta: int, modifiers: Qt.KeyboardModifier = PLAIN) -> None:
    """Turn the wheel over the middle of a view, in eighths of a degree."""
    at = QPointF(view.rect().center())
    there, phase = QPointF(view.mapToGlobal(at.toPoint())), Qt.ScrollPhase.NoScrollPhase
    event = QWheelEvent(at, there, QPoint(), QPoint(0, delta), NONE, modifiers, phase, False)
    QApplication.sendEvent(view, event)


def drag(view: SliceView, k: int) -> None:
    """Pan by one movement with the middle button held, which goes down at the first."""
    if k == 0:
        _mouse(view, QEvent.Type.MouseButtonPress, 0, MIDDLE, MIDDLE)
    _mouse(view, QEvent.Type.MouseMove, k, NONE, MIDDLE)


def release(view: SliceView) -> None:
    """Let the middle button go."""
    _mouse(view, QEvent.Type.MouseButtonRelease, 0, MIDDLE, NONE)


def move(view: SliceView, k: int) -> None:
    """Move with no button held: the voxel there is read."""
    if k == 0:
        release(view)
    _mouse(view, QEvent.Type.MouseMove, k, NONE, NONE)


def _mouse(
    view: SliceView, kind: QEvent.Type, k: int, button: Qt.MouseButton, held: Qt.MouseButton
) -> None:
    step = k % (2 * THERE)
    way = 3.0 * (step if step < THERE else 2 * THERE - step)
    at = QPointF(view.rect().center()) + QPointF(way, way)
    there = QPointF(view.mapToGlobal(at.toPoint()))
    QApplication.sendEvent(view, QMouseEvent(kind, at, there, button, held, PLAIN))
